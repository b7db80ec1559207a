"""REINFORCE: its gradient against exact enumeration, its variance against theory, its masks, and that it learns."""

import math
from dataclasses import dataclass, replace

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch

from palaestra import agents
from palaestra.agents.learning import statistics
from palaestra.agents.learning.rollout import Collector, Rollout
from palaestra.envs import BatchedEnv, Step, Task, make_batched
from palaestra.envs.core.tree import tree_map
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.tests.agents.core.test_resume import check_resume

LEVELS, HORIZON = 4, 6
CHOICES = [("return", None), ("reward_to_go", None), ("reward_to_go", "constant"), ("reward_to_go", "state")]


@dataclass(frozen=True)
class StairsState:
    level: torch.Tensor
    time: torch.Tensor


class Stairs(Task[StairsState]):
    """Climb (1) or descend (0) for six steps from the second of four levels; each step pays the level it leads to.

    A step fails, and stays where it is, with probability 0.2. The observation names the level and the time.
    """

    horizon, step_noise = HORIZON, 1
    observation_space = spaces.Discrete(LEVELS * HORIZON)
    action_space = spaces.Discrete(2)

    def reset(self, noise):
        time = torch.zeros(len(noise), dtype=torch.int64)
        return StairsState(time + 1, time)

    def step(self, state, action, noise):
        move = torch.where(noise[:, 0] < 0.2, 0, 2 * action - 1)
        level = (state.level + move).clamp(0, LEVELS - 1)
        return Step(StairsState(level, state.time + 1), level.float(), torch.zeros_like(move, dtype=torch.bool))

    def observe(self, state):
        return state.level * HORIZON + state.time.clamp(max=HORIZON - 1)

    def draw(self, state, canvas): ...


def expected_return(log_policy, gamma):
    """The discounted return of a policy (LEVELS * HORIZON, 2), by backward induction over levels and times."""
    value = [torch.zeros((), dtype=torch.float64)] * LEVELS
    for time in reversed(range(HORIZON)):
        paid = [level + gamma * value[level] for level in range(LEVELS)]
        new = []
        for level in range(LEVELS):
            total = 0.0
            for action, move in ((0, -1), (1, 1)):
                there = min(max(level + move, 0), LEVELS - 1)
                after = 0.8 * paid[there] + 0.2 * paid[level]
                total = total + log_policy[level * HORIZON + time, action].exp() * after
            new.append(total)
        value = new
    return value[1]


def stairs_agent(credit, baseline, gamma=1.0, seed=0):
    """An agent whose policy and value are tables, one row for each level and time."""
    settings = {
        "hidden": (),
        "rollout_steps": HORIZON,
        "learning_rate": 0.1,
        "entropy_coefficient": 0,
        "max_grad_norm": 1e9,
    }
    env = BatchedEnv(Stairs(), 64, seed=seed)
    agent = agents.make("reinforce", env, seed=seed, credit=credit, baseline=baseline, gamma=gamma, **settings)
    return agent, env


def policy_gradients(agent, rollout):
    """(B, parameters of the policy): the gradient of each environment's episode alone, as `minimise` would see it."""
    credit, weight, counted = agent.credit(rollout)
    gradients = []
    for b in range(rollout.reward.shape[1]):
        row = slice(b, b + 1)
        one = tree_map(lambda part, row=row: part[:, row], replace(rollout, metrics={}))
        loss, _ = agent.loss(one, credit[:, row], weight[:, row], counted[:, row], counted[:, row].sum())
        found = torch.autograd.grad(loss, list(agent.network.actor.parameters()))
        gradients.append(torch.cat([gradient.flatten() for gradient in found]))
    return -torch.stack(gradients).double()


def exact_gradient(agent, gamma):
    """Of the expected return, for the policy's parameters in the order of `policy_gradients`."""
    layer = agent.network.actor.layers[0]
    weight, bias = (part.detach().double().requires_grad_() for part in (layer.weight, layer.bias))
    found = torch.autograd.grad(expected_return((weight.T + bias).log_softmax(1), gamma), (weight, bias))
    return torch.cat([gradient.flatten() for gradient in found])


def sampled_gradients(gamma, episodes):
    """Each choice's gradients (episodes, P) on the same policy and the same episodes, and the exact one."""
    trained, env = stairs_agent("reward_to_go", "state", gamma)
    with torch.no_grad():
        trained.network.actor.layers[0].weight.normal_(generator=torch.Generator().manual_seed(5))
    trained.network.actor.requires_grad_(False)
    list(trained.learn(env, 64 * HORIZON * 150))  # the value learns, the policy stays
    fresh = BatchedEnv(Stairs(), episodes, seed=1000)
    fresh.reset()
    rollout, _ = Collector(fresh, trained.network, trained.policy).collect((), torch.rand(HORIZON, fresh.num_envs, 1))
    found = {}
    for credit, baseline in CHOICES:
        agent, _ = stairs_agent(credit, baseline, gamma)
        agent.load_state_dict(trained.state_dict())
        found[credit, baseline] = policy_gradients(agent, rollout) * HORIZON
    return found, exact_gradient(trained, gamma)


@pytest.mark.parametrize("gamma", [1.0, 0.8])
def test_the_gradient_varies_less_with_each_refinement_around_one_exact_mean(gamma):
    found, exact = sampled_gradients(gamma, 400)
    variances = []
    for gradients in found.values():
        missed = (gradients.mean(0) - exact).square().sum()  # on average the sum of the means' variances
        assert missed <= 5 * gradients.var(0).sum() / len(gradients)
        variances.append(float(gradients.var(0).sum()))
    whole, to_go, constant, state = variances
    assert whole > 1.2 * to_go
    assert to_go > 1.2 * constant
    assert constant > 1.2 * state


def tabular(credit, baseline, gamma, states):
    """A float64 agent whose observations are one-hot states, with weights that matter and a baseline that is not 0."""
    config = agents.REINFORCEConfig(credit=credit, baseline=baseline, gamma=gamma, hidden=(), entropy_coefficient=0)
    agent = agents.REINFORCE(spaces.Box(0, 1, (states,), np.float32), spaces.Discrete(2), config)
    agent.network.double().encoder = torch.nn.Identity()  # the encoders make float32
    generator = torch.Generator().manual_seed(7)
    for parameter in agent.parameters:
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    agent.mean_credit = torch.tensor(0.7, dtype=torch.float64)
    return agent


def played(agent, state, action, reward):
    """The rollout of B whole episodes of T steps: states, actions and rewards (T, B)."""
    observation = torch.nn.functional.one_hot(state, agent.observation_space.shape[0]).double()
    time = torch.arange(len(state)).unsqueeze(1).expand(state.shape)
    start, done, none = time == 0, time == len(state) - 1, torch.zeros_like(reward)
    with torch.no_grad():
        value = agent.network(observation, (), start)[1]
    value = torch.cat([value, value[:1]])
    return Rollout(observation, start, action, none, value, reward, done, ~done & done, none, (), {})


ALL = [(credit, baseline) for credit in ("return", "reward_to_go") for baseline in (None, "constant", "state")]


@pytest.mark.parametrize(("credit", "baseline"), ALL)
def test_the_expected_gradient_on_a_two_armed_bandit_is_the_product_of_the_odds_and_the_gap(credit, baseline):
    agent = tabular(credit, baseline, 0.9, 1)
    arms, paid = torch.tensor([[0, 1]]), torch.tensor([[2.0, -1.5]], dtype=torch.float64)
    gradients = policy_gradients(agent, played(agent, torch.zeros_like(arms), arms, paid))
    weight, bias = agent.network.actor.layers[0].weight, agent.network.actor.layers[0].bias
    odds = (weight[:, 0] + bias).softmax(0).detach()
    slope = float(odds[0] * odds[1] * 3.5)
    # the logits are weight + bias: both have the same gradient
    assert (odds @ gradients).tolist() == pytest.approx([slope, -slope, slope, -slope], rel=1e-12)


@pytest.mark.parametrize("gamma", [1.0, 0.6])
@pytest.mark.parametrize(("credit", "baseline"), ALL)
def test_the_expected_gradient_of_two_steps_is_that_of_the_return_over_all_ways(credit, baseline, gamma):
    agent = tabular(credit, baseline, gamma, 3)  # the first action leads from state 0 to state 1 or 2
    first, second = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    state, action = torch.stack([torch.zeros(4, dtype=torch.int64), 1 + first]), torch.stack([first, second])
    reward = torch.tensor([[1.0, 1.0, -2.0, -2.0], [3.0, 0.5, 4.0, -1.0]], dtype=torch.float64)
    layer = agent.network.actor.layers[0]
    log_policy = (layer.weight.T + layer.bias).log_softmax(1)  # (3, 2)
    odds = (log_policy[0, first] + log_policy[1 + first, second]).exp()
    exact = torch.autograd.grad(odds @ (reward[0] + gamma * reward[1]), (layer.weight, layer.bias))
    gradients = policy_gradients(agent, played(agent, state, action, reward))
    # the loss is a mean over the steps: two in every episode
    torch.testing.assert_close(
        2 * odds.detach() @ gradients, torch.cat([part.flatten() for part in exact]), rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize("credit", ["return", "reward_to_go"])
def test_credit_is_summed_within_whole_episodes_and_the_others_are_masked(credit):
    T, B, gamma = 20, 5, 0.9
    generator = torch.Generator().manual_seed(0)
    kind = torch.rand(T, B, generator=generator)
    terminated, truncated = kind < 0.15, kind > 0.85
    done = terminated | truncated
    start = torch.cat([torch.tensor([[True, False, True, False, True]]), done[:-1]])
    reward = torch.randn(T, B, generator=generator)
    agent = agents.make("reinforce", BatchedEnv(Stairs(), 2), gamma=gamma, credit=credit)
    none = torch.zeros(T, B)
    value = torch.full((T + 1, B), torch.nan)  # never asked
    found = agent.credit(Rollout(none, start, none, none, value, reward, terminated, truncated, value[1:], (), {}))
    whole = torch.zeros(T, B, dtype=torch.bool)
    for b in range(B):
        begin = None
        for t in range(T):
            begin = t if start[t, b] else begin
            if done[t, b] and begin is not None:
                whole[begin : t + 1, b] = True
                for now in range(begin, t + 1):
                    origin, weight = (begin, 1.0) if credit == "return" else (now, gamma ** (now - begin))
                    expected = sum(gamma ** (k - origin) * float(reward[k, b]) for k in range(origin, t + 1))
                    assert float(found[0][now, b]) == pytest.approx(expected, abs=1e-5)
                    assert float(found[1][now, b]) == pytest.approx(weight, rel=1e-5)
    assert torch.equal(found[2], whole)
    assert 0 < whole.sum() < T * B


def test_unfinished_episodes_teach_nothing_and_the_report_says_so(clock):
    env = clock(3, 9, 20)
    agent = agents.make("reinforce", env, rollout_steps=8, hidden=(4,))
    before = [parameter.clone() for parameter in agent.parameters]
    reports = list(agent.learn(env, 24))
    assert [report["counted"] for report in reports] == [0.0]
    for mine, old in zip(agent.parameters, before, strict=True):
        assert torch.equal(mine, old)
    longer = agents.make("reinforce", clock(3, 9, 20), rollout_steps=12, hidden=(4,))
    assert [report["counted"] for report in longer.learn(clock(3, 9, 20), 36)] == [0.75]


def test_the_constant_baseline_is_the_mean_credit_of_the_rollout_before(clock):
    agent = agents.make("reinforce", clock(2, 4, 9), rollout_steps=8, baseline="constant", hidden=(4,))
    reports = agent.learn(clock(2, 4, 9), 32)
    assert "value_loss" not in next(reports)
    assert float(agent.mean_credit) == 2.5  # 4, 3, 2, 1 to go
    assert next(reports)["policy_loss"] == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize(("credit", "baseline"), ALL)
def test_every_choice_climbs_the_stairs(credit, baseline):
    env = BatchedEnv(Stairs(), 64)
    agent = agents.make(
        "reinforce", env, credit=credit, baseline=baseline, rollout_steps=12, hidden=(), learning_rate=3e-2
    )
    list(agent.learn(env, 40_000))
    best = float(expected_return(torch.tensor([-math.inf, 0.0], dtype=torch.float64).expand(24, 2), 1.0))
    returns = agents.evaluate(agent, BatchedEnv(Stairs(), 100), 2000, seed=9).returns
    assert returns.mean() > best - 0.25


@pytest.mark.parametrize(
    "space", [spaces.Box(-1, 3, (2,)), spaces.MultiDiscrete([2, 2]), spaces.MultiBinary([2, 1]), spaces.Discrete(2)]
)
def test_every_action_space_is_learned_on(space, acting):
    env = acting(32, space)
    agent = agents.make("reinforce", env, rollout_steps=8, learning_rate=1e-2)
    before = agents.evaluate(agent, acting(32, space), 400, seed=9, greedy=False).returns.mean()
    reports = list(agent.learn(env, 12_000))
    after = agents.evaluate(agent, acting(32, space), 400, seed=9, greedy=False).returns.mean()
    assert after > before + 0.1
    assert all(report["steps"] == 32 * 8 * (k + 1) for k, report in enumerate(reports))
    assert {"policy_loss", "value_loss", "entropy", "return", "length", "episodes"} <= set(reports[0])


def repeating(num_envs, seed=0):
    """Name the symbol before this one: two symbols, episodes of 8 steps."""
    return make_batched("palaestra/RepeatPrevious-v0", num_envs, seed=seed, symbols=2, delay=1, length=8)


@pytest.mark.parametrize("memory", [None, "gru", "transformer"])
@pytest.mark.parametrize("baseline", ["constant", "state"])
def test_a_resumed_run_equals_the_run_that_was_not_stopped(memory, baseline, uneven):
    check_resume("reinforce", lambda: uneven(5), 5 * 12 * 4, memory=memory, memory_size=8, rollout_steps=12,
                 sequence_length=4, hidden=(8,), baseline=baseline)  # fmt: skip


@pytest.mark.parametrize(("setting", "value"), [("gae_lambda", 0.95), ("credit", "step"), ("baseline", "mean")])
def test_a_wrong_setting_is_refused_by_name(setting, value):
    with pytest.raises(InvalidInput, match=f"REINFORCEConfig: {setting}.*got {value!r}"):
        agents.REINFORCEConfig(**{setting: value})


@pytest.mark.parametrize(("carry", "whole"), [(2, True), (0, False)])
def test_an_episode_across_the_edges_of_rollouts_counts_once_and_whole(carry, whole, uneven, monkeypatch):
    """Episodes last up to 5 steps: in rollouts of 3 most of them cross an edge."""
    monkeypatch.setattr(statistics, "WINDOW", 1)  # each report is of its own episodes
    env = uneven(6)
    agent = agents.make("reinforce", env, rollout_steps=3, carry=carry, hidden=(4,))
    run, counts = agent.run_loss, []
    agent.run_loss = lambda *parts: counts.append(int(parts[3].sum())) or run(*parts)
    reports = list(agent.learn(env, 6 * 3 * 20))
    ended = sum(report["length"] * report["episodes"] for report in reports if report["episodes"])
    assert (sum(counts) == pytest.approx(ended)) is whole
    assert sum(counts) <= ended
