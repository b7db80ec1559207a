"""Adding by hand, and its draws against SciPy."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from palaestra.envs import make_task
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/Adding-v0"


def test_an_episode_computed_by_hand():
    """Of -0.5, 0.5, 0, 0.75 the second and the third are marked: half their sum is 0.25."""
    task = make_task(ID, length=4)
    state = task.reset(torch.tensor([[0.25, 0.75, 0.5, 0.875, 0.5, 0.49]]))
    seen = [[-0.5, 0], [0.5, 1], [0, 1], [0.75, 0], [0, -1]]
    best = [0, 0.25, 0.25, 0.25, 0.25]
    for t in range(5):
        assert task.observe(state).tolist() == [seen[t]]
        assert task.expert(state).tolist() == [[best[t]]]
        step = task.step(state, torch.tensor([[0.5]]), torch.empty(1, 0))
        assert step.terminated.tolist() == [t == 4]
        assert step.reward.tolist() == [pytest.approx(1 - 6 * 0.25**2) if t == 4 else 0]
        assert math.isnan(float(step.metrics["error"])) == (t < 4)
        state = step.state
    assert float(step.metrics["error"]) == 0.25
    assert float(step.metrics["correct"]) == 0
    assert state.answer.tolist() == [0.5]
    assert task.observe(state).tolist() == [[0, -1]]


@pytest.mark.parametrize("length", [2, 3, 20])
def test_numbers_are_uniform_and_a_mark_falls_anywhere_in_each_half(length):
    task, count = make_task(ID, length=length), 4000
    state = task.reset(torch.rand(count, task.reset_noise))
    assert stats.kstest(state.values.flatten(), stats.uniform(-1, 2).cdf).pvalue > 0.01
    half = length // 2
    early, late = state.marks.unbind(1)
    assert (early < half).all()
    assert ((late >= half) & (late < length)).all()
    for places, size in ((early, half), (late - half, length - half)):
        assert size == 1 or stats.chisquare(torch.bincount(places, minlength=size)).pvalue > 0.01


def test_the_reward_of_the_mean_is_zero_and_of_a_random_answer_minus_two():
    """Half the sum of two uniform numbers has variance 1/6, a uniform answer 1/3: 1 - 6 / 6 and 1 - 6 (1/6 + 1/3)."""
    task, count = make_task(ID, length=2), 100_000
    state = task.reset(torch.rand(count, 4))
    for _ in range(2):
        state = task.step(state, torch.zeros(count, 1), torch.empty(count, 0)).state
    for action, expected in ((torch.zeros(count, 1), 0.0), (2 * torch.rand(count, 1) - 1, -2.0)):
        reward = task.step(state, action, torch.empty(count, 0)).reward
        assert abs(float(reward.mean()) - expected) < 4 * float(reward.std()) / math.sqrt(count)


def test_an_answer_within_the_papers_tolerance_counts_as_right():
    task = make_task(ID, length=2)
    state = task.reset(torch.tensor([[0.5, 0.5, 0.0, 0.0]]).repeat(2, 1))  # zeros
    for _ in range(2):
        state = task.step(state, torch.zeros(2, 1), torch.empty(2, 0)).state
    step = task.step(state, torch.tensor([[0.079], [-0.081]]), torch.empty(2, 0))
    assert step.metrics["correct"].tolist() == [1, 0]


@pytest.mark.parametrize("length", [1, 10_001])
def test_a_length_out_of_range_is_refused(length):
    with pytest.raises(InvalidInput, match=f"Adding: length must be a whole number from 2 to 10000; got {length}"):
        make_task(ID, length=length)
