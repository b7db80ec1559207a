"""Road by hand, and the bends against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from palaestra.envs import BatchedEnv, make_task
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/Road-v0"


def test_two_steps_computed_by_hand():
    """At a quarter turn the bend is 0.4 - 0.3; after another radian 0.4 sin(1 + pi/2) + 0.3 sin(3 + 3 pi/2)."""
    task = make_task(ID)
    state = task.reset(torch.tensor([[0.25]]))
    assert task.observe(state).tolist() == [pytest.approx([0, 1, 0], abs=1e-6)]
    assert task.expert(state).tolist() == [[pytest.approx(0.05)]]
    step = task.step(state, torch.tensor([[-0.25]]), torch.tensor([[1.0]]))
    assert step.reward.tolist() == [pytest.approx(-0.6)]
    angle = 1 + np.pi / 2
    assert task.observe(step.state).tolist() == [pytest.approx([0.6, np.sin(angle), np.cos(angle)], abs=1e-6)]
    bend = 0.4 * np.cos(1) - 0.3 * np.cos(3)
    assert task.expert(step.state).tolist() == [[pytest.approx((0.6 + bend) / 2, abs=1e-6)]]
    step = task.step(step.state, torch.tensor([[-1.0]]), torch.tensor([[0.0]]))
    assert step.state.offset.tolist() == [pytest.approx(2.6 + bend, abs=1e-6)]
    assert step.reward.tolist() == [-1]
    assert step.metrics["on_road"].tolist() == [0]
    step = task.step(step.state, torch.tensor([[-1.0]]), torch.tensor([[0.0]]))
    assert step.state.offset.tolist() == [4]
    assert task.expert(step.state).tolist() == [[1]]


def test_the_expert_stays_in_the_middle_and_the_episode_is_truncated():
    env = BatchedEnv(make_task(ID, length=30), 50)
    env.reset()
    for time in range(1, 31):
        step = env.step(env.expert_action())
        assert step.final_observation[:, 0].abs().max() < 1e-6
        assert not step.terminated.any()
        assert step.truncated.all() == (time == 30)


def test_an_error_of_steering_stays_until_it_is_corrected():
    """Whoever steers against the bends alone, and wrongly once, is off by that for ever."""
    task = make_task(ID)
    state = task.reset(torch.rand(20, 1))
    for time in range(10):
        action = task.expert(state) - state.offset[:, None] / 2 + (0.15 if time == 2 else 0.0)
        state = task.step(state, action, torch.rand(20, 1)).state
        expected = torch.full((20,), -0.3 if time >= 2 else 0.0)
        torch.testing.assert_close(state.offset, expected, atol=1e-5, rtol=0)


def test_a_wrong_length_is_refused():
    with pytest.raises(InvalidInput, match="Road: length must be a whole number from 1 to 1000000; got 0"):
        make_task(ID, length=0)
