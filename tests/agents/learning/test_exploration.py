"""Exploring: how often which action is taken."""

import pytest
import torch

from palaestra.agents.learning.exploration import NOISE, ExplorationConfig, explore

VALUES = torch.tensor([0.2, 1.4, -0.3]).expand(40_000, 3)


def frequencies(config, progress):
    noise = torch.rand(len(VALUES), NOISE, generator=torch.Generator().manual_seed(0))
    actions = explore(VALUES, config, torch.tensor(progress), noise)
    return actions.bincount(minlength=3) / len(actions)


def test_epsilon_falls_linearly_and_stays():
    config = ExplorationConfig(epsilon_start=0.9, epsilon_end=0.1, exploration_fraction=0.4)
    assert [float(config.epsilon(torch.tensor(p))) for p in (0.0, 0.1, 0.2, 0.4, 1.0)] == pytest.approx(
        [0.9, 0.7, 0.5, 0.1, 0.1]
    )
    assert ExplorationConfig(exploration_fraction=0, epsilon_end=0.3).epsilon(torch.tensor(0.0)) == torch.tensor(0.3)


def test_epsilon_greedy_takes_the_best_action_but_for_epsilon():
    config = ExplorationConfig(epsilon_start=0.9, epsilon_end=0.1, exploration_fraction=0.4)
    torch.testing.assert_close(
        frequencies(config, 0.2), torch.tensor([0.5 / 3, 0.5 + 0.5 / 3, 0.5 / 3]), atol=0.01, rtol=0
    )
    assert frequencies(ExplorationConfig(epsilon_end=0), 1.0).tolist() == [0, 1, 0]


def test_boltzmann_follows_the_softmax_of_the_values():
    config = ExplorationConfig(exploration="boltzmann", temperature=0.7)
    torch.testing.assert_close(frequencies(config, 0.5), torch.softmax(VALUES[0] / 0.7, 0), atol=0.01, rtol=0)
