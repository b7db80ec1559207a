"""Agents learn: small tasks are solved, and every action space is served."""

import gymnasium.spaces as spaces
import pytest

from palaestra import agents


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
