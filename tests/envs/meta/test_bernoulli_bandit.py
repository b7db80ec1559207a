"""BernoulliBandit: what arms pay."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from palaestra.envs import BatchedEnv, make_task
from palaestra.envs.meta.bernoulli_bandit import BernoulliBanditState
from palaestra.envs.score_table import measure

ID = "palaestra/BernoulliBandit-v0"


@pytest.mark.parametrize("arms", [2, 5, 10])
def test_the_expert_earns_arms_over_arms_plus_one_and_a_random_arm_a_half(arms):
    """The mean of the largest of K uniforms is K / (K + 1)."""
    played = measure(ID, {"arms": arms, "episodes": 1}, episodes=2048)
    assert abs(played.expert - arms / (arms + 1)) < 4 * played.expert_error
    assert abs(played.random - 0.5) < 4 * played.random_error


def test_odds_are_uniform_and_independent():
    env = BatchedEnv(make_task(ID, episodes=1), 20_000, seed=0)
    env.reset()
    odds = env.state.odds.double().numpy()
    assert odds.shape == (20_000, 5)
    assert stats.kstest(odds.ravel(), "uniform").pvalue > 0.01
    assert np.abs(np.corrcoef(odds.T) - np.eye(5)).max() < 4 / 20_000**0.5


def test_an_arm_pays_as_often_as_its_odds_say():
    task, pulls = make_task(ID, arms=3, episodes=1), 20_000
    odds = torch.tensor([0.1, 0.5, 0.9])
    state = BernoulliBanditState(odds.expand(pulls, 3), torch.full((pulls,), -1), torch.zeros(pulls))
    noise = torch.rand(pulls, 1, generator=torch.Generator().manual_seed(0))
    for arm, chance in enumerate(odds.tolist()):
        step = task.step(state, torch.full((pulls,), arm), noise)
        assert stats.binomtest(int(step.reward.sum()), pulls, chance).pvalue > 0.001
        assert set(step.reward.tolist()) == {0, 1}
        assert step.metrics["best_arm"].unique().tolist() == [float(arm == 2)]


def test_an_arm_that_always_pays_and_one_that_never_does():
    task = make_task(ID, arms=2, episodes=1)
    state = task.begin(torch.tensor([[0.0, 1.0]] * 4), torch.empty(4, 0))
    noise = torch.tensor([[0.0], [0.3], [0.7], [1 - 2.0**-24]])
    assert task.step(state, torch.tensor([0] * 4), noise).reward.tolist() == [0] * 4
    assert task.step(state, torch.tensor([1] * 4), noise).reward.tolist() == [1] * 4
    assert task.expert(state).tolist() == [1] * 4


def test_a_trial_of_ten_pulls_has_ten_times_the_pull_s_scores():
    played = measure(ID, {}, episodes=4096)
    assert abs(played.expert - 10 * 5 / 6) < 4 * played.expert_error
    assert abs(played.random - 5) < 4 * played.random_error
