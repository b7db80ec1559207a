"""Agents learn: small tasks are solved, and every action space is served."""

import gymnasium.spaces as spaces
import pytest

from palaestra import agents
from palaestra.envs import GymnasiumBridge, make_batched


@pytest.mark.parametrize(
    ("name", "config", "steps"),
    [
        ("ppo", {"rollout_steps": 16, "minibatches": 4, "learning_rate": 3e-3}, 12_000),
        ("a2c", {"learning_rate": 7e-3}, 20_000),
    ],
)
def test_a_contextual_bandit_is_solved(name, config, steps, acting):
    env = acting(32, spaces.Discrete(2))
    agent = agents.make(name, env, **config)
    reports = list(agent.learn(env, steps))
    assert 0.4 < reports[0]["return"] < 0.6
    assert agents.evaluate(agent, acting(50, spaces.Discrete(2)), 200, seed=9).returns.mean() == 1.0


def test_ppo_tells_irises_apart_that_it_never_saw():
    env = make_batched("palaestra/TabularBandit-v0", 64)
    agent = agents.make("ppo", env, learning_rate=3e-3, rollout_steps=16)
    list(agent.learn(env, 60_000))
    test = make_batched("palaestra/TabularBandit-v0", 50, split="test")
    assert agents.evaluate(agent, test, 500, seed=9).returns.mean() > 0.9


@pytest.mark.parametrize("memory", ["gru", "lstm"])
def test_ppo_with_a_memory_repeats_the_previous_symbol(memory):
    make = lambda num_envs: make_batched("palaestra/RepeatPrevious-v0", num_envs, symbols=2, delay=1, length=8)  # noqa: E731
    env = make(64)
    agent = agents.make("ppo", env, memory=memory, memory_size=16, hidden=(32,), rollout_steps=16, learning_rate=1e-2)
    list(agent.learn(env, 40_000))
    assert agents.evaluate(agent, make(50), 200, seed=9).returns.mean() > 0.95


def test_without_a_memory_the_previous_symbol_stays_a_guess():
    make = lambda num_envs: make_batched("palaestra/RepeatPrevious-v0", num_envs, symbols=2, delay=1, length=8)  # noqa: E731
    env = make(64)
    agent = agents.make("ppo", env, hidden=(32,), rollout_steps=16, learning_rate=1e-2)
    list(agent.learn(env, 40_000))
    assert agents.evaluate(agent, make(50), 200, seed=9).returns.mean() < 0.2


@pytest.mark.parametrize("name", ["ppo", "a2c"])
@pytest.mark.parametrize(
    "space", [spaces.Box(-1, 3, (2,)), spaces.MultiDiscrete([2, 2]), spaces.MultiBinary([2, 1]), spaces.Discrete(2)]
)
def test_every_action_space_is_learned_on(name, space, acting):
    env = acting(32, space)
    agent = agents.make(name, env, rollout_steps=8, learning_rate=5e-3)
    before = agents.evaluate(agent, acting(32, space), 400, seed=9, greedy=False).returns.mean()
    reports = list(agent.learn(env, 12_000))
    after = agents.evaluate(agent, acting(32, space), 400, seed=9, greedy=False).returns.mean()
    assert after > before + 0.1
    assert all(report["steps"] == 32 * 8 * (k + 1) for k, report in enumerate(reports))
    assert {"policy_loss", "value_loss", "entropy", "return", "length", "episodes"} <= set(reports[0])


def test_ppo_learns_to_learn_in_trials_of_a_bandit():
    env = make_batched("palaestra/BernoulliBandit-v0", 64, arms=2, episodes=10)
    agent = agents.make("ppo", env, memory="gru", memory_size=32, hidden=(32,), rollout_steps=20, learning_rate=1e-2)
    list(agent.learn(env, 60_000))
    test = make_batched("palaestra/BernoulliBandit-v0", 100, arms=2, episodes=10)
    assert agents.evaluate(agent, test, 1000, seed=9).returns.mean() > 5.5  # guessing earns 5, knowing the odds 6.67


def test_ppo_learns_in_gymnasiums_cartpole():
    env = GymnasiumBridge("CartPole-v1", 4, seed=0)
    agent = agents.make("ppo", env, rollout_steps=64, minibatches=8, learning_rate=3e-3)
    list(agent.learn(env, 8_000))
    assert agents.evaluate(agent, env, 12, seed=9).returns.mean() > 80  # random actions earn 22
