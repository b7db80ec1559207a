"""Tabular Q-learning and TD(0) against value iteration and a linear system."""

import gymnasium
import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch

from palaestra import agents
from palaestra.agents import QTable, QTableConfig, td_evaluation
from palaestra.agents.learning.exploration import ExplorationConfig, chances, explore
from palaestra.agents.value.q_table import move
from palaestra.envs import GymnasiumBridge
from palaestra.envs.core.protocol import TimeStep
from palaestra.neural_blocks.errors import InvalidInput


def model(**options):
    """FrozenLake's transition probabilities (S, A, S), not counting ends, and mean rewards (S, A)."""
    table = gymnasium.make("FrozenLake-v1", **options).unwrapped.P
    transitions, rewards = np.zeros((16, 4, 16)), np.zeros((16, 4))
    for state, actions in table.items():
        for action, outcomes in actions.items():
            for probability, following, reward, ended in outcomes:
                transitions[state, action, following] += 0.0 if ended else probability
                rewards[state, action] += probability * reward
    return transitions, rewards


def test_q_learning_finds_the_values_of_value_iteration():
    transitions, rewards = model(is_slippery=False)
    values = np.zeros((16, 4))
    for _ in range(200):
        values = rewards + 0.9 * transitions @ values.max(1)
    env = GymnasiumBridge("FrozenLake-v1", 16, seed=0, is_slippery=False)
    agent = agents.make("q_table", env, gamma=0.9, decay=0.0, epsilon_end=1.0)
    reports = list(agent.learn(env, 32_000))
    seen = agent.visits.numpy() > 0
    assert seen.sum() == 4 * 11  # every action in every state that is neither hole nor goal
    np.testing.assert_allclose(agent.values.numpy()[seen], values[seen], atol=1e-5)
    assert agents.evaluate(agent, env, 16, seed=3).returns.tolist() == [1.0] * 16
    assert {"steps", "episodes", "return", "length", "td_error"} == set(reports[0])


def test_td_evaluation_solves_the_bellman_equations_of_a_policy():
    transitions, rewards = model()
    expected = np.linalg.solve(np.eye(16) - 0.9 * transitions.mean(1), rewards.mean(1))
    env = GymnasiumBridge("FrozenLake-v1", 32, seed=0)
    generator = torch.Generator().manual_seed(0)
    anything = lambda state: torch.randint(4, state.shape, generator=generator)  # noqa: E731
    values = td_evaluation(env, anything, 50_000, gamma=0.9, decay=0.8)
    np.testing.assert_allclose(values, expected, atol=0.03)
    assert expected[14] > 0.3


def test_td_evaluation_refuses_what_it_cannot_count(uneven):
    with pytest.raises(InvalidInput, match="observation space must be Discrete; got Box"):
        td_evaluation(uneven(2), lambda state: state, 10)


def test_a_truncated_step_bootstraps_and_a_terminated_one_does_not():
    agent = QTable(spaces.Discrete(4, start=1), spaces.Discrete(2, start=5), QTableConfig(gamma=0.5, decay=0.0))
    agent.values[3] = torch.tensor([2.0, 6.0])  # of state 4
    state, action = torch.tensor([1, 2, 3]), torch.tensor([5, 6, 5])
    yes, no = torch.tensor([False, True, False]), torch.tensor([False, False, True])
    fresh, reward = torch.tensor([4, 1, 1]), torch.tensor([1.0, 1.0, 1.0])
    outcome = TimeStep(fresh, reward, terminated=yes, truncated=no, final_observation=torch.tensor([4, 4, 4]))
    assert agent.update(state, action, outcome).item() == pytest.approx((4 + 1 + 4) / 3)
    assert agent.values.tolist() == [[4.0, 0.0], [0.0, 1.0], [4.0, 0.0], [2.0, 6.0]]
    assert agent.act(torch.tensor([4, 1, 2]), greedy=True)[0].tolist() == [6, 5, 6]


def test_expected_sarsa_takes_the_mean_over_the_policy_that_explores():
    config = QTableConfig(gamma=0.5, decay=0.0, q_evaluation=True, epsilon_start=0.4, epsilon_end=0.4)
    agent = QTable(spaces.Discrete(2), spaces.Discrete(4), config)
    agent.values[1] = torch.tensor([2.0, 6.0, 0.0, 4.0])
    now, no = torch.tensor([0]), torch.tensor([False])
    agent.update(now, now, TimeStep(now, torch.tensor([1.0]), no, no, torch.tensor([1])))
    assert agent.values[0, 0].item() == pytest.approx(1 + 0.5 * (0.6 * 6 + 0.1 * (2 + 6 + 0 + 4)))


@pytest.mark.parametrize("kind", ["epsilon_greedy", "boltzmann"])
def test_chances_are_how_often_actions_are_taken(kind):
    values = torch.tensor([[0.3, 1.0, -0.5]])
    config = ExplorationConfig(exploration=kind, epsilon_start=0.3, epsilon_end=0.3, temperature=0.7)
    noise = torch.rand(30_000, 2, generator=torch.Generator().manual_seed(0))
    taken = explore(values.expand(30_000, -1), config, torch.zeros(()), noise).bincount(minlength=3) / 30_000
    expected = chances(values, config, torch.zeros(()))
    assert expected.sum().item() == pytest.approx(1)
    assert taken.tolist() == pytest.approx(expected[0].tolist(), abs=0.01)


def test_rows_that_visit_the_same_pair_move_it_as_far_as_one_after_the_other_would():
    values, visits = torch.tensor([1.0, 5.0, 7.0]), torch.tensor([0.0, 3.0, 2.0])
    index, target = torch.tensor([0, 1, 0, 0]), torch.tensor([3.0, 9.0, 3.0, 3.0])
    move(values, visits, index, target - values[index], 0.5, 0.0)
    one_by_one = 1.0
    for _ in range(3):
        one_by_one += 0.5 * (3.0 - one_by_one)
    assert values.tolist() == [one_by_one, 7.0, 7.0]
    assert visits.tolist() == [3.0, 4.0, 2.0]


def test_a_rate_that_falls_as_one_over_the_visits_gives_the_average():
    values, visits = torch.zeros(1), torch.zeros(1)
    for target in (4.0, 8.0, 3.0):
        move(values, visits, torch.tensor([0]), target - values, 1.0, 1.0)
    assert values.item() == pytest.approx(5.0)
