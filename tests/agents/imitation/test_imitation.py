"""Behaviour cloning and DAgger: the loss by hand, the mixing, the data set, and learning from every kind of expert."""

import collections
import math

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch

from palaestra import agents
from palaestra.agents.core.randomness import Randomness
from palaestra.agents.imitation.demonstrations import Aggregate, Sequences
from palaestra.agents.networks.heads import distribution
from palaestra.envs import make_batched
from palaestra.envs.core.actions import random_action
from palaestra.envs.core.task import NoExpert
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.tests.agents.conftest import value_of
from palaestra.tests.agents.core.test_resume import check_resume
from palaestra.tests.agents.policy_gradient.test_loss import differences, perceptron

SPACES = [spaces.Discrete(3, start=2), spaces.MultiDiscrete([[2, 3]], start=[[1, 0]]), spaces.MultiBinary([2, 1])]
BOXES = [spaces.Box(-1, 3, (2, 2)), spaces.Box(-np.inf, np.inf, (2,))]
NAMES = ["behaviour_cloning", "dagger"]


def repeating(num_envs, seed=0):
    """Name the symbol before this one: two symbols, episodes of 8 steps."""
    return make_batched("palaestra/RepeatPrevious-v0", num_envs, seed=seed, symbols=2, delay=1, length=8)


def by_sign(env):
    """An expert for any action space."""
    return value_of(env.action_space, env.observation[:, 0])


@pytest.mark.parametrize("space", SPACES + BOXES)
def test_a_raw_action_comes_back_from_the_space_s_own(space):
    action = random_action(space, 50, torch.Generator().manual_seed(0))
    policy = distribution(space)
    raw = policy.from_env(action)
    assert raw.shape == policy.sample(torch.zeros(50, policy.size), torch.rand(50, policy.noise)).shape
    torch.testing.assert_close(policy.to_env(raw), action)
    assert policy.log_prob(torch.zeros(50, policy.size), raw).shape == (50,)


def test_the_loss_and_its_gradient_are_the_mean_surprise_at_the_labels():
    observation_space, T, B = spaces.Box(-3, 3, (3,), np.float32), 4, 3
    config = agents.DAggerConfig(hidden=(4,), activation="tanh")
    agent = agents.DAgger(observation_space, spaces.Discrete(3), config)
    agent.network.double().encoder = torch.nn.Identity()  # the encoders make float32
    generator = torch.Generator().manual_seed(7)
    for parameter in agent.parameters:
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    observation = torch.randn(T, B, 3, generator=generator, dtype=torch.float64)
    label = torch.randint(3, (T, B), generator=generator)

    def reference():
        lists = [parameter.tolist() for parameter in agent.parameters]
        layers = list(zip(lists[::2], lists[1::2], strict=True))
        loss = entropy = 0.0
        for t in range(T):
            for b in range(B):
                logits = perceptron(observation[t, b].tolist(), layers)
                total = sum(math.exp(logit) for logit in logits)
                probabilities = [math.exp(logit) / total for logit in logits]
                loss -= math.log(probabilities[label[t, b]]) / (T * B)
                entropy -= sum(p * math.log(p) for p in probabilities) / (T * B)
        return loss, entropy

    loss, numbers = agent.loss(observation, torch.zeros(T, B, dtype=torch.bool), label, ())
    assert numbers.tolist() == pytest.approx(reference(), rel=1e-10)
    found = torch.autograd.grad(loss, agent.parameters)
    wanted = differences(lambda: reference()[0], agent.parameters)
    for mine, plain in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, plain, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("space", SPACES + BOXES)
@pytest.mark.parametrize("name", NAMES)
def test_every_action_space_is_learned_on_from_any_callable(name, space, acting):
    env = acting(32, space)
    agent = agents.make(name, env, rollout_steps=8, learning_rate=1e-2)
    agent.expert = by_sign
    reports = list(agent.learn(env, 6_000))
    observation = env.observation
    learned = agent.act(observation, greedy=True)[0].float()
    torch.testing.assert_close(learned, by_sign(env).float(), atol=0.3, rtol=0)
    assert reports[-1]["policy_loss"] < reports[0]["policy_loss"] - 0.3
    assert {"return", "length", "episodes", "policy_loss", "entropy"} <= set(reports[0])
    assert all(report["steps"] == report["expert_queries"] == 256 * (k + 1) for k, report in enumerate(reports))


def sent(env):
    """The actions that the environments are sent from now on, one entry a step."""
    actions, original = [], env.step
    env.step = lambda action: actions.append(action) or original(action)
    return actions


@pytest.mark.parametrize(("beta", "shares"), [(0.0, [1, 0, 0]), (0.5, [1, 0.5, 0.25]), (1.0, [1, 1, 1])])
def test_the_expert_acts_with_probability_beta_to_the_power_of_the_rollout(beta, shares, acting):
    env = acting(100, spaces.Discrete(1000))
    agent = agents.make("dagger", env, beta=beta, hidden=(4,), rollout_steps=8, updates=1, learning_rate=1e-9)
    asked = []
    agent.expert = lambda env: asked.append(len(env.observation)) or torch.full((env.num_envs,), 7)
    actions = sent(env)
    list(agent.learn(env, 3 * 8 * 100))
    found = (torch.stack(actions) == 7).float().view(3, -1).mean(1)
    assert found.tolist() == pytest.approx(shares, abs=0.07)
    assert agent.queries == sum(asked) == 3 * 8 * 100


def test_in_behaviour_cloning_the_expert_alone_acts(acting):
    env = acting(50, spaces.Discrete(1000))
    agent = agents.make("behaviour_cloning", env, hidden=(4,), rollout_steps=8, updates=1)
    agent.expert = lambda env: torch.full((env.num_envs,), 7)
    actions = sent(env)
    list(agent.learn(env, 1200))
    assert (torch.stack(actions) == 7).all()


@pytest.mark.parametrize("memory", ["gru", "lstm", "transformer"])
def test_the_sequences_kept_begin_with_the_memory_the_learner_had_there(memory):
    env, twin = repeating(5), repeating(5)
    agent = agents.make("behaviour_cloning", env, memory=memory, memory_size=8, memory_layers=2, hidden=(8,),
                        rollout_steps=12, sequence_length=6, learning_rate=1e-30, updates=1)  # fmt: skip
    list(agent.learn(env, 5 * 24))
    kept = agent.aggregate.kept
    observation, start = kept.observation[:20].transpose(0, 1), kept.start[:20].transpose(0, 1)
    logits, _ = agent.network(observation, tuple(part[:20] for part in kept.memory), start)  # (6, 4 * 5, 2)
    twin.reset()
    state = agent.initial_memory(5)
    for t in range(24):
        expected, state = agent.network.act(twin.observation, state, twin.episode_start)
        rows = slice(t // 6 * 5, t // 6 * 5 + 5)
        torch.testing.assert_close(logits[t % 6, rows], expected, atol=1e-5, rtol=1e-4)
        assert torch.equal(kept.label[rows, t % 6], twin.expert_action())
        twin.step(twin.expert_action())


def test_the_aggregate_keeps_the_newest_as_a_deque_does():
    aggregate, plain = Aggregate(7), collections.deque(maxlen=7)
    randomness, value = Randomness(0), 0
    for count in (3, 2, 4, 1, 16, 7, 5):
        values = torch.arange(value, value + count)
        value += count
        observation = {"x": values.view(-1, 1, 1).expand(-1, 2, 3), "y": values.view(-1, 1).expand(-1, 2)}
        steps = values.view(-1, 1).expand(-1, 2)
        aggregate.add(Sequences(observation, steps > 0, steps, (values.float().view(-1, 1),)))
        plain.extend(values.tolist())
        assert len(aggregate) == len(plain)
        drawn = aggregate.sample(400, randomness)
        assert set(drawn.label[:, 0].tolist()) == set(plain)
        assert torch.equal(drawn.observation["x"][:, 1, 2], drawn.label[:, 1])
        assert torch.equal(drawn.memory[0][:, 0].long(), drawn.label[:, 0])
        again = Aggregate(7)
        again.load_state_dict(aggregate.state_dict())
        twin = randomness.copy()
        ours = aggregate.sample(20, randomness)
        assert torch.equal(again.sample(20, twin).label, ours.label)


@pytest.mark.parametrize("memory", [None, "gru", "transformer"])
@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_run_equals_the_run_that_was_not_stopped(name, memory):
    extra = {"beta": 0.7} if name == "dagger" else {}
    check_resume(name, lambda: repeating(5), 5 * 12 * 4, memory=memory, memory_size=8, rollout_steps=12,
                 sequence_length=4, hidden=(8,), updates=2, minibatch_size=20, capacity=100, **extra)  # fmt: skip


def test_dagger_names_the_irises_that_it_never_saw():
    env = make_batched("palaestra/TabularBandit-v0", 64)
    agent = agents.make("dagger", env, learning_rate=3e-3)
    list(agent.learn(env, 60_000))
    test = make_batched("palaestra/TabularBandit-v0", 50, split="test")
    assert agents.evaluate(agent, test, 500, seed=9).returns.mean() > 0.9


def teacher():
    """An agent with a memory that repeats the previous symbol."""
    env = repeating(64)
    agent = agents.make("dagger", env, memory="gru", memory_size=16, hidden=(16,), rollout_steps=16, updates=4,
                        learning_rate=5e-3)  # fmt: skip
    list(agent.learn(env, 20_000))
    return agent


def test_dagger_with_a_memory_repeats_the_previous_symbol_and_can_then_teach_it():
    expert = teacher()
    assert agents.evaluate(expert, repeating(50), 200, seed=9).returns.mean() > 0.95
    env = repeating(64, seed=1000)
    agent = agents.make("dagger", env, memory="lstm", memory_size=16, hidden=(16,), rollout_steps=16, updates=4,
                        learning_rate=5e-3, seed=1)  # fmt: skip
    agent.expert = expert
    list(agent.learn(env, 20_000))
    assert agents.evaluate(agent, repeating(50), 200, seed=9).returns.mean() > 0.95


def recording(T, B):
    """What the expert saw and did in T steps of B environments."""
    env, steps = repeating(B), []
    env.reset()
    for _ in range(T):
        action = env.expert_action()
        steps.append((env.observation, env.episode_start, action))
        env.step(action)
    return agents.Demonstration(*(torch.stack(parts) for parts in zip(*steps, strict=True)))


def test_a_recording_is_learned_from_without_an_expert():
    env = repeating(50)
    agent = agents.make("behaviour_cloning", env, memory="gru", memory_size=16, hidden=(16,), rollout_steps=16,
                        learning_rate=1e-2, minibatch_size=512)  # fmt: skip
    reports = list(agent.fit(recording(100, 16), 20))
    assert len(reports) == 20
    assert agent.steps == agent.queries == 0
    assert agents.evaluate(agent, env, 200, seed=9).returns.mean() > 0.95


@pytest.mark.parametrize(("memory", "T", "lengths"), [(None, 7, [1]), ("gru", 22, [8, 6]), ("gru", 5, [5])])
def test_a_pass_uses_every_label_once_with_the_memory_of_its_place(memory, T, lengths, monkeypatch):
    agent = agents.make("behaviour_cloning", repeating(3), memory=memory, memory_size=8, hidden=(8,),
                        rollout_steps=8, minibatch_size=16)  # fmt: skip
    demonstration = recording(T, 3)
    places = torch.arange(T * 3).view(T, 3)  # labels that tell where they stand
    used = []
    monkeypatch.setattr(agent, "update", lambda batch: used.append(batch) or torch.zeros(3))
    list(agent.fit(agents.Demonstration(demonstration.observation, demonstration.start, places), 1))
    assert sorted(torch.cat([batch.label.flatten() for batch in used]).tolist()) == places.flatten().tolist()
    assert sorted({batch.start.shape[1] for batch in used}, reverse=True) == lengths
    state, expected = agent.initial_memory(3), []
    for t in range(T):
        logits, state = agent.network.act(demonstration.observation[t], state, demonstration.start[t])
        expected.append(logits)
    for batch in used:
        swapped = [part.transpose(0, 1) for part in (batch.observation, batch.start)]
        logits, _ = agent.network(swapped[0], batch.memory, swapped[1])
        wanted = torch.stack(expected).flatten(0, 1)[batch.label.transpose(0, 1)]
        torch.testing.assert_close(logits, wanted, atol=1e-5, rtol=1e-4)


def test_a_task_without_an_expert_says_so(uneven):
    env = uneven(4)
    with pytest.raises(NoExpert):
        next(agents.make("dagger", env).learn(env, 100))


@pytest.mark.parametrize(("setting", "value"), [("beta", 1.5), ("updates", 0), ("capacity", 0), ("memory_layers", 0)])
def test_a_wrong_setting_is_refused_by_name(setting, value):
    with pytest.raises(InvalidInput, match=f"DAggerConfig: {setting} .*got {value}"):
        agents.DAggerConfig(**{setting: value})
