"""Copy by hand."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from palaestra.envs import BatchedEnv, make_task
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/Copy-v0"


def test_an_episode_computed_by_hand():
    """Symbols 2 0 3 of four, one step's pause, then 2 1 3 is written: the second place is wrong."""
    task = make_task(ID, symbols=4, length=3, delay=1)
    state = task.reset(torch.tensor([[2 / 4, 0.1 / 4, 3.9 / 4]]))
    nothing, write = 4, 5
    shown = [2, 0, 3, nothing, write, write, write]
    actions = [3, 3, 3, 3, 2, 1, 3]
    rewards = [0, 0, 0, 0, 1 / 3, -1 / 3, 1 / 3]
    for t in range(7):
        assert task.observe(state).tolist() == [shown[t]]
        if t >= 4:
            assert task.expert(state).tolist() == [[2, 0, 3][t - 4]]
        step = task.step(state, torch.tensor([actions[t]]), torch.empty(1, 0))
        assert step.reward.tolist() == pytest.approx([rewards[t]])
        assert step.terminated.tolist() == [t == 6]
        accuracy = float(step.metrics["accuracy"])
        assert math.isnan(accuracy) if t < 4 else accuracy == (rewards[t] > 0)  # NaN before writing
        state = step.state
    assert state.written.tolist() == [[2, 1, 3]]


@pytest.mark.parametrize(("symbols", "length", "delay"), [(2, 1, 0), (4, 5, 3), (26, 64, 1)])
def test_the_expert_earns_one_and_random_writing_two_over_symbols_less_one(symbols, length, delay):
    from palaestra.envs.score_table import measure

    played = measure(ID, {"symbols": symbols, "length": length, "delay": delay}, episodes=512)
    assert played.expert == pytest.approx(1, abs=1e-5)
    assert abs(played.random - (2 / symbols - 1)) < 4 * played.random_error


def test_writing_in_another_order_is_right_by_chance_only():
    """Backwards, or shifted by one place."""
    env = BatchedEnv(make_task(ID, length=8), 4096, seed=0)
    env.reset()
    sequence, total = env.state.symbols, torch.zeros(2)
    for t in range(16):
        place = max(0, t - 8)
        backwards, shifted = sequence[:, 7 - place], sequence[:, (place + 1) % 8]
        target = sequence[:, place]
        if t >= 8:
            total += torch.stack([(answer == target).float().mean() for answer in (backwards, shifted)])
        step = env.step(backwards)
    assert bool(step.terminated.all())
    assert total.tolist() == pytest.approx([8 / 4] * 2, abs=0.1)


def test_symbols_are_uniform_and_independent_of_their_neighbours():
    symbols = make_task(ID, length=64).reset(torch.rand(512, 64, generator=torch.Generator().manual_seed(0))).symbols
    assert stats.chisquare(torch.bincount(symbols.flatten(), minlength=4)).pvalue > 0.01
    pairs = torch.bincount((symbols[:, :-1] * 4 + symbols[:, 1:]).flatten(), minlength=16)
    assert stats.chisquare(pairs).pvalue > 0.01


@pytest.mark.parametrize(("option", "value"), [("symbols", 1), ("symbols", 27), ("length", 0), ("delay", -1)])
def test_a_number_out_of_range_is_refused(option, value):
    with pytest.raises(InvalidInput, match=f"Copy: {option} must be a whole number .*; got {value}"):
        make_task(ID, **{option: value})
