"""Policy evaluation from the command line's agent: against the Bellman equations, and returns counted one by one."""

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch

from palaestra import agents
from palaestra.agents import ValueTable, ValueTableConfig
from palaestra.envs import GymnasiumBridge, make_batched
from palaestra.envs.core.protocol import TimeStep
from palaestra.envs.core.task import NoExpert
from palaestra.tests.agents.value.test_q_table import model


@pytest.mark.parametrize("method", ["td", "monte_carlo"])
def test_values_are_those_of_the_bellman_equations(method):
    transitions, rewards = model()
    expected = np.linalg.solve(np.eye(16) - 0.9 * transitions.mean(1), rewards.mean(1))
    env = GymnasiumBridge("FrozenLake-v1", 32, seed=0)
    agent = agents.make("value_table", env, method=method, gamma=0.9, decay=0.8)
    reports = list(agent.learn(env, 48_000))
    np.testing.assert_allclose(agent.values, expected, atol=0.04)
    assert expected[14] > 0.3
    assert {"value", "value_error", "return"} <= set(reports[0])
    assert agent.think(torch.tensor([14])).value.item() == agent.values[14].item()


def test_monte_carlo_is_the_mean_of_the_returns_of_every_visit():
    agent = ValueTable(
        spaces.Discrete(4, start=1), spaces.Discrete(2), ValueTableConfig(method="monte_carlo", gamma=0.5)
    )
    agent.episodes = tuple(torch.zeros(3, 2, 4))
    generator = torch.Generator().manual_seed(0)
    path = [[], []]
    returns = {state: [] for state in range(4)}
    for _ in range(40):
        place = torch.randint(4, (2,), generator=generator)
        reward = torch.randn(2, generator=generator)
        ends, cut = torch.rand(2, 2, generator=generator) < 0.15
        agent._by_return(place, TimeStep(place, reward, ends, cut & ~ends, place))
        for row in range(2):
            path[row].append((int(place[row]), float(reward[row])))
            if ends[row] or cut[row]:
                for k, (state, _) in enumerate(path[row]):
                    returns[state].append(sum(0.5**i * later for i, (_, later) in enumerate(path[row][k:])))
                path[row] = []
    assert min(map(len, returns.values())) > 3
    assert agent.values.tolist() == pytest.approx([np.mean(returns[state]) for state in range(4)], abs=1e-5)
    assert agent.visits.tolist() == [len(returns[state]) for state in range(4)]


def test_an_expert_is_valued_where_there_is_one():
    env = make_batched("palaestra/RepeatPrevious-v0", 8, seed=1, length=8, delay=2)
    agent = agents.make("value_table", env, policy="expert", method="monte_carlo", gamma=1.0, rollout_steps=16)
    reports = list(agent.learn(env, 256))
    assert reports[-1]["return"] == pytest.approx(1)  # all that can be known is named
    lake = GymnasiumBridge("FrozenLake-v1", 2)
    with pytest.raises(NoExpert):
        next(agents.make("value_table", lake, policy="expert").learn(lake, 100))
