"""Arithmetic against Python's own sums."""

from __future__ import annotations

import math

import pytest
import torch

from palaestra.envs import make_task
from palaestra.envs.sequence.arithmetic import BLANK, EQUALS
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/Arithmetic-v0"


def started(task, rows):
    """A state of these sums, given as pairs of strings of digits."""
    digits = [[(int(digit) + 0.5) / 10 for digit in first + second] + [0.999] * len(first) for first, second in rows]
    return task.reset(torch.tensor(digits))


def played(task, state, symbols):
    """The steps that these symbols, one of each row at a time, lead to."""
    steps = []
    for symbol in symbols:
        steps.append(task.step(state, torch.tensor([symbol]), torch.empty(1, 0)))
        state = steps[-1].state
    return steps


@pytest.mark.parametrize("chains", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("digits", [1, 4, 12])
def test_the_total_is_python_s(digits, chains):
    task = make_task(ID, digits=digits, chains=chains)
    state = task.reset(torch.rand(200, task.reset_noise, generator=torch.Generator().manual_seed(0)))
    numbers = [
        [int("".join(map(str, row))) for row in part.tolist()] for part in (state.first, state.second, state.total)
    ]
    assert numbers[2] == [first + second for first, second in zip(*numbers[:2], strict=True)]
    nines = (state.first + state.second == 9).float().mean()
    assert abs(float(nines) - (chains + (1 - chains) / 10)) < 5 * math.sqrt(0.25 / nines.numel() / 200 / digits)


def test_an_answer_without_notes_computed_by_hand():
    """95 + 8 = 103, of which 113 has one digit wrong."""
    task = make_task(ID, digits=2)
    state = started(task, [("95", "08")])
    assert task.observe(state).tolist() == [[9, 5, 0, 8, BLANK, BLANK, BLANK]]
    steps = played(task, state, [1, 1, 3])
    assert [float(step.reward) for step in steps] == pytest.approx([1 / 3, 0, 1 / 3])
    assert [bool(step.terminated) for step in steps] == [False, False, True]
    assert [float(step.metrics["accuracy"]) for step in steps] == [1, 0, 1]
    assert float(steps[-1].metrics["exact"]) == 0
    assert task.observe(steps[-1].state).tolist() == [[9, 5, 0, 8, 1, 1, 3]]
    exact = played(task, state, [1, 0, 3])[-1]
    assert float(exact.metrics["exact"]) == 1


def test_notes_are_kept_cost_nothing_and_end_with_the_sign_or_with_their_room():
    task = make_task(ID, digits=1, scratch=3)
    state = started(task, [("7", "8")])
    steps = played(task, state, [5, EQUALS, 1, EQUALS])
    assert [float(step.reward) for step in steps] == [0, 0, 0.5, 0]
    assert task.observe(steps[1].state).tolist() == [[7, 8, 5, BLANK, BLANK, BLANK, BLANK, 1]]
    assert task.observe(steps[3].state).tolist() == [[7, 8, 5, BLANK, BLANK, 1, EQUALS, 1]]
    assert bool(steps[3].terminated)
    full = played(task, state, [5, 1, 0, 1, 5])
    assert [float(step.reward) for step in full] == [0, 0, 0, 0.5, 0.5]
    assert math.isnan(float(full[2].metrics["accuracy"]))
    assert float(full[4].metrics["exact"]) == 1


@pytest.mark.parametrize(("scratch", "expected"), [(0, "103"), (2, "=103"), (3, "301103"), (5, "301=103")])
def test_the_expert_notes_the_lowest_digit_first_where_there_is_room(scratch, expected):
    task = make_task(ID, digits=2, scratch=scratch)
    state, told = started(task, [("95", "08")]), ""
    for _ in expected:
        action = task.expert(state)
        told += {EQUALS: "="}.get(int(action), str(int(action)))
        step = task.step(state, action, torch.empty(1, 0))
        state = step.state
    assert told == expected
    assert bool(step.terminated)


def test_a_wrong_option_is_refused():
    with pytest.raises(InvalidInput, match="Arithmetic: digits must be a whole number from 1 to 12; got 13"):
        make_task(ID, digits=13)
    with pytest.raises(InvalidInput, match="Arithmetic: chains must be a number from 0 to 1; got 2"):
        make_task(ID, chains=2)
