"""Evaluation against single environments played one after the other."""

import math

import gymnasium.spaces as spaces
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from palaestra import agents
from palaestra.agents.core.agent import Agent
from palaestra.agents.core.evaluation import Sums
from palaestra.envs import GymnasiumBridge, make_batched
from palaestra.tests.agents.core.test_every_agent import claims, make_env, settings
from palaestra.tests.envs.core.tape import Tape


@pytest.mark.parametrize("memory", [None, "lstm"])
def test_an_evaluation_is_that_of_single_environments_played_one_by_one(memory, uneven):
    num_envs, each = 4, 6
    agent = agents.make("ppo", uneven(1), memory=memory, hidden=(8,), seed=2)
    with torch.no_grad():
        agent.network.actor.layers[-1].weight.mul_(100)
    result = agents.evaluate(agent, uneven(num_envs), num_envs * each - 1, seed=30)  # rounded up to whole rounds
    returns, lengths, late = [], [], []
    for row in range(num_envs):
        env = uneven(1)
        observation = env.reset(30 + row)
        for _ in range(each):
            state, returned, length, done = agent.initial_memory(1), 0.0, 0, False
            while not done:
                action, state = agent.act(observation, state, greedy=True)
                step = env.step(action)
                observation, done = step.observation, bool(step.done[0])
                returned, length = returned + float(step.reward[0]), length + 1
                late += step.metrics["late"][~step.metrics["late"].isnan()].tolist()
            returns.append(returned)
            lengths.append(length)
    assert result.returns.tolist() == pytest.approx(returns, abs=1e-6)
    assert result.lengths.tolist() == lengths
    assert result.metrics == pytest.approx({"late": sum(late) / len(late)}, rel=1e-6)


def test_every_environment_plays_the_same_number_of_episodes(clock, uneven):
    agent = agents.make("random", clock(3, 2, 9))
    result = agents.evaluate(agent, clock(3, 2, 9), 7)
    assert result.returns.tolist() == [2.0] * 9
    assert result.metrics == {}
    assert agents.evaluate(agents.make("random", uneven(2)), uneven(2), 1).lengths.shape == (2,)


@pytest.mark.parametrize("name", [name for name in agents.names() if agents.agent_class(name).on_device])
def test_a_captured_evaluation_is_the_eager_one_from_one_graph(name, monkeypatch):
    """Which numbers a graph would bake in, or what its warm-up leaves behind, would show in sampled actions."""
    monkeypatch.setattr(Agent, "recorder", Tape)
    seen, acted = next(iter(claims(name)))
    results, made = [], Tape.made
    for execution in ("eager", "captured"):
        env = make_env(name, seen, acted)
        agent = agents.make(name, env, seed=3, **settings(name, seen, acted))
        agent.execution = execution
        results.append(agents.evaluate(agent, env, 16, seed=5, greedy=False))
    eager, captured = results
    assert Tape.made == made + 1
    assert torch.equal(captured.lengths, eager.lengths)
    torch.testing.assert_close(captured.returns, eager.returns)
    assert captured.metrics == pytest.approx(eager.metrics)


def test_an_evaluation_is_captured_in_environments_of_this_suite_alone(uneven, monkeypatch):
    monkeypatch.setattr(Agent, "recorder", lambda: pytest.fail("captured"))
    env = GymnasiumBridge("CartPole-v1", 2)
    agent = agents.make("ppo", env, hidden=(4,))
    agent.execution = "captured"
    assert len(agents.evaluate(agent, env, 2, seed=1).returns) == 2


@pytest.mark.parametrize("id", ["palaestra/DigitBandit-v0", "palaestra/RepeatPrevious-v0"])
def test_the_expert_reaches_the_score_its_task_states(id):
    env = make_batched(id, 16)
    result = agents.evaluate(agents.make("expert", env), env, 32, seed=1)
    assert result.returns.tolist() == pytest.approx([1.0] * 32)
    assert result.metrics == {"accuracy": 1.0}


def test_random_guesses_earn_what_chance_gives():
    env = make_batched("palaestra/DigitBandit-v0", 100)
    result = agents.evaluate(agents.make("random", env), env, 2000, seed=1)
    assert result.returns.mean().item() == pytest.approx(0.1, abs=4 * (0.09 / 2000) ** 0.5)


@pytest.mark.parametrize(("greedy", "expected"), [(True, 1.0), (False, 0.8)])
def test_a_greedy_agent_takes_its_most_probable_action_and_another_samples(greedy, expected, acting):
    env = acting(100, spaces.Discrete(2))
    agent = agents.make("ppo", env)
    last = agent.network.actor.layers[-1]
    with torch.no_grad():  # right with probability 0.8 on both signs
        last.weight.zero_()
        last.bias.copy_(torch.tensor([0.8, 0.2]).log())
    agent.network.actor.forward = lambda x: torch.stack([1 - x[..., 0], x[..., 0]], -1) * torch.log(torch.tensor(4.0))
    result = agents.evaluate(agent, env, 2000, seed=3, greedy=greedy)
    assert result.returns.mean().item() == pytest.approx(expected, abs=0 if greedy else 4 * (0.16 / 2000) ** 0.5)


def test_an_evaluation_leaves_the_agents_own_random_choices_alone(uneven):
    agent = agents.make("ppo", uneven(4), hidden=(8,), rollout_steps=5)
    other = agents.make("ppo", uneven(4), hidden=(8,), rollout_steps=5)
    env = uneven(4)
    reports = []
    for report in agent.learn(env, 60):
        agents.evaluate(agent, uneven(3), 3, seed=1, greedy=False)
        reports.append(report)
    assert reports == list(other.learn(uneven(4), 60))


def test_an_evaluation_with_a_seed_can_be_repeated(uneven):
    agent = agents.make("random", uneven(4))
    first = agents.evaluate(agent, uneven(4), 40, seed=5, greedy=False)
    agents.evaluate(agent, uneven(4), 40, seed=6)
    again = agents.evaluate(agent, uneven(4), 40, seed=5, greedy=False)
    assert torch.equal(first.returns, again.returns)
    assert not torch.equal(first.returns, agents.evaluate(agent, uneven(4), 40, seed=6).returns)


class NoDoubles(TorchDispatchMode):
    """Stands for a device without float64: nothing computed in it may be of that type."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        kinds = {part.dtype for part in tree_leaves(result) if isinstance(part, torch.Tensor)}
        assert torch.float64 not in kinds, f"{function} gives float64"
        return result


def test_nothing_is_computed_in_float64_on_the_device(monkeypatch):
    monkeypatch.setattr(Sums, "value", lambda self: self.total)  # which is taken on the CPU
    env = make_batched("palaestra/NextSymbol-v0", 4, seed=0, length=5)
    agent = agents.make("random", env)
    with NoDoubles():
        result = agents.evaluate(agent, env, 8, seed=1)
    assert result.lengths.tolist() == [5] * 8


def test_float32_sums_lose_nothing_to_rounding():
    values = torch.rand(3000, 2, generator=torch.Generator().manual_seed(0)) * 1000 - 300
    sums, picked = Sums.zeros((2,), values.device), Sums.zeros((2, 3), values.device)
    rows, column = torch.arange(2), torch.tensor([0, 2])
    for value in values:
        sums.add(value)
        picked.add(value, (rows, column))
    exact = [math.fsum(values[:, k].tolist()) for k in range(2)]
    assert sums.value().tolist() == pytest.approx(exact, rel=1e-9)
    assert picked.value()[rows, column].tolist() == pytest.approx(exact, rel=1e-9)
    assert float(values.cumsum(0)[-1, 0]) != pytest.approx(exact[0], rel=1e-9)  # as plain ones do
