"""Sinusoid by hand, and its returns by integration."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from palaestra.envs import BatchedEnv, make_task
from palaestra.envs.score_table import measure

ID = "palaestra/Sinusoid-v0"
MEAN_SQUARE = (5**3 - 0.1**3) / (3 * 4.9) / 2  # of y: E[amplitude^2] / 2, the phase being uniform


def test_an_episode_computed_by_hand():
    """Amplitude 0.1 + 4.9 / 2 and phase pi / 2, at x = 0, 2.5 and -2.5."""
    task = make_task(ID, points=2, episodes=1)
    state = task.reset(torch.tensor([[0.5, 0.5, 0.5]]))
    first, second = 2.55 * math.sin(-math.pi / 2), 2.55 * math.sin(2.5 - math.pi / 2)
    torch.testing.assert_close(task.observe(state), torch.tensor([[0.0, 0, 0, 0]]))
    assert task.expert(state).tolist() == [[pytest.approx(first / 5)]]
    step = task.step(state, torch.tensor([[-0.4]]), torch.tensor([[0.75]]))
    assert step.reward.tolist() == pytest.approx([-((first + 2) ** 2)])
    assert step.metrics["absolute_error"].tolist() == pytest.approx([0.55])
    assert step.terminated.tolist() == [False]
    torch.testing.assert_close(task.observe(step.state), torch.tensor([[2.5, 0, first, 1]]))
    last = task.step(step.state, torch.tensor([[1.0]]), torch.tensor([[0.25]]))
    assert last.reward.tolist() == pytest.approx([-((5 - second) ** 2)])
    assert last.terminated.tolist() == [True]
    torch.testing.assert_close(task.observe(last.state), torch.tensor([[-2.5, 2.5, second, 1]]))


def test_the_expert_is_right_and_random_guesses_cost_both_variances():
    played = measure(ID, {}, episodes=2048)
    assert played.expert == pytest.approx(0, abs=1e-9)
    assert abs(played.random + 20 * (MEAN_SQUARE + 100 / 12)) < 4 * played.random_error


def test_predicting_zero_costs_the_mean_square():
    env = BatchedEnv(make_task(ID, episodes=1), 20_000, seed=0)
    env.reset()
    reward = env.step(torch.zeros(20_000, 1)).reward.double()
    assert abs(float(reward.mean()) + MEAN_SQUARE) < 4 * float(reward.std()) / 20_000**0.5


def test_amplitude_phase_and_x_are_uniform_and_a_trial_keeps_its_wave():
    env = BatchedEnv(make_task(ID, points=3), 5000, seed=1)
    env.reset()
    wave = env.state.problem.clone()
    for values, low, high in ((wave[:, 0], 0.1, 5), (wave[:, 1], 0, math.pi), (env.state.inner.x, -5, 5)):
        assert stats.kstest(values.double().numpy(), stats.uniform(low, high - low).cdf).pvalue > 0.01
    for count in range(6):
        assert torch.equal(env.state.inner.wave, wave)
        assert env.observation["observation"][:, 3].unique().tolist() == [float(count % 3 > 0)]
        before, step = env.state.inner, env.step(env.expert_action())
        if count % 3 < 2:
            y = before.wave[:, 0] * torch.sin(before.x - before.wave[:, 1])
            assert torch.equal(step.observation["observation"][:, 1:3], torch.stack([before.x, y], 1))
