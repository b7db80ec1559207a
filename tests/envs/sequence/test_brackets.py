"""Brackets by hand, and every text against a pushdown automaton in plain Python."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from palaestra.envs import BatchedEnv, make_task
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/Brackets-v0"


def test_an_episode_computed_by_hand():
    """( [ ] ) of length 4: once depth 2 is reached both must close, whatever the noise says."""
    task = make_task(ID, kinds=2, depth=2, length=4)
    state = task.reset(torch.tensor([[0.9, 0.1]]))
    noise = [[0.5, 0.7], [0.9, 0.0], [0.9, 0.0], [0.0, 0.0]]
    seen, best, actions = [0, 1, 2, 2, 3], [0, 1, 1, 0], [1, 0, 1, 1]
    rewards, accuracy = [0, 0, 0.5, -0.5], [math.nan, math.nan, 1, 0]
    for t in range(4):
        assert task.observe(state).tolist() == [seen[t]]
        assert task.expert(state).tolist() == [best[t]]
        step = task.step(state, torch.tensor([actions[t]]), torch.tensor([noise[t]]))
        assert step.reward.tolist() == [rewards[t]]
        assert step.terminated.tolist() == [t == 3]
        assert step.metrics["accuracy"].tolist() == pytest.approx([accuracy[t]], nan_ok=True)
        state = step.state
    assert state.text.tolist() == [[0, 1, 3, 2]]
    assert task.observe(state).tolist() == [3]


@pytest.mark.parametrize(("kinds", "depth", "length"), [(2, 1, 6), (3, 4, 40), (6, 9, 30)])
def test_every_text_is_a_balanced_word_of_bounded_depth(kinds, depth, length):
    task = make_task(ID, kinds=kinds, depth=depth, length=length)
    env = BatchedEnv(task, 200, autoreset="Disabled")
    env.reset()
    for _ in range(length):
        env.step(torch.zeros(200, dtype=torch.int64))
    deepest = 0
    for text in env.state.text.tolist():
        stack = []
        for code in text:
            if code < kinds:
                stack.append(code)
                deepest = max(deepest, len(stack))
            else:
                assert stack.pop() == code - kinds
        assert stack == []
    assert deepest <= depth
    assert deepest == depth or depth > 5


def test_kinds_are_uniform_and_a_free_choice_closes_half_of_the_time():
    task = make_task(ID, kinds=3, depth=4, length=40)
    state = task.reset(torch.rand(6000, 2))
    assert stats.chisquare(torch.bincount(state.text[:, 0], minlength=3)).pvalue > 0.01
    state = task.step(state, torch.zeros(6000, dtype=torch.int64), torch.rand(6000, 2)).state
    assert stats.binomtest(int(state.closing.sum()), 6000).pvalue > 0.01


def test_a_deep_answer_is_one_about_a_bracket_opened_more_than_ten_steps_before():
    """( then five pairs inside: the outer one closes 11 steps after it was opened."""
    task = make_task(ID, kinds=2, depth=2, length=12)
    state = task.reset(torch.zeros(1, 2))
    deep = []
    for _ in range(12):
        step = task.step(state, task.expert(state), torch.tensor([[0.9, 0.9]]))
        deep.append(float(step.metrics["deep"]))
        state = step.state
    assert state.text.tolist() == [[0, *[1, 3] * 5, 2]]
    assert [math.isnan(value) for value in deep] == [True] * 11 + [False]
    assert deep[-1] == 1


def test_an_odd_length_is_refused():
    with pytest.raises(InvalidInput, match="Brackets: length must be even, as every bracket is closed; got 7"):
        make_task(ID, length=7)


@pytest.mark.parametrize(("option", "value"), [("kinds", 1), ("kinds", 7), ("depth", 0), ("length", 0)])
def test_a_number_out_of_range_is_refused(option, value):
    with pytest.raises(InvalidInput, match=f"Brackets: {option} must be a whole number .*; got {value}"):
        make_task(ID, **{option: value})
