"""Recall by hand."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from palaestra.envs import make_task
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/Recall-v0"


def test_an_episode_computed_by_hand():
    """Of keys A B C the smallest two uniforms are C's and A's: C 1, A 0 of three values; asked are A, C, A."""
    task = make_task(ID, keys=3, values=3, pairs=2, queries=3)
    state = task.reset(torch.tensor([[0.5, 0.9, 0.2, 0.4, 0.1, 0.7, 0.3, 0.6]]))
    seen = [[2, 1], [0, 0], [0, 3], [2, 3], [0, 3], [3, 3]]
    actions, targets = [2, 2, 0, 0, 2], [1, 0, 0, 1, 0]
    rewards = [0, 0, 1 / 3, -1 / 3, -1 / 3]
    for t in range(5):
        assert task.observe(state).tolist() == [seen[t]]
        assert task.expert(state).tolist() == [targets[t]]
        step = task.step(state, torch.tensor([actions[t]]), torch.empty(1, 0))
        assert step.reward.tolist() == pytest.approx([rewards[t]])
        assert step.terminated.tolist() == [t == 4]
        accuracy = float(step.metrics["accuracy"])
        assert math.isnan(accuracy) if t < 2 else accuracy == (rewards[t] > 0)  # NaN while nothing is asked
        state = step.state
        assert state.answer.tolist() == [-1 if t < 2 else actions[t]]
    assert task.observe(state).tolist() == [seen[5]]


@pytest.mark.parametrize(("keys", "values", "pairs", "queries"), [(1, 2, 1, 1), (6, 4, 6, 2), (26, 10, 9, 40)])
def test_the_expert_earns_one_and_random_answers_two_over_values_less_one(keys, values, pairs, queries):
    from palaestra.envs.score_table import measure

    options = {"keys": keys, "values": values, "pairs": pairs, "queries": queries}
    played = measure(ID, options, episodes=512)
    assert played.expert == pytest.approx(1, abs=1e-5)
    assert abs(played.random - (2 / values - 1)) < 4 * played.random_error


def test_what_is_asked_is_what_was_shown_and_every_draw_is_uniform():
    task = make_task(ID, keys=5, values=3, pairs=3, queries=4)
    state = task.reset(torch.rand(4000, task.reset_noise, generator=torch.Generator().manual_seed(1)))
    shown, asked = state.key[:, :3].tolist(), state.key[:, 3:].tolist()
    for row in range(4000):
        told = dict(zip(shown[row], state.value[row, :3].tolist(), strict=True))
        assert len(told) == 3  # distinct keys
        assert [told[key] for key in asked[row]] == state.value[row, 3:].tolist()
    orders = torch.tensor(shown) @ torch.tensor([25, 5, 1])
    counts = torch.bincount(orders, minlength=125)
    assert (counts > 0).sum() == 5 * 4 * 3
    assert stats.chisquare(counts[counts > 0]).pvalue > 0.01
    values = state.value[:, :3] @ torch.tensor([9, 3, 1])
    assert stats.chisquare(torch.bincount(values, minlength=27)).pvalue > 0.01
    places = torch.tensor([[shown[row].index(key) for key in asked[row]] for row in range(4000)])
    assert stats.chisquare(torch.bincount(places @ torch.tensor([27, 9, 3, 1]), minlength=81)).pvalue > 0.01


def test_more_pairs_than_keys_are_refused():
    with pytest.raises(InvalidInput, match="Recall: pairs must be a whole number from 1 to 3; got 4"):
        make_task(ID, keys=3, pairs=4)


@pytest.mark.parametrize(
    ("option", "value"), [("keys", 0), ("keys", 27), ("values", 1), ("values", 11), ("queries", 0)]
)
def test_a_number_out_of_range_is_refused(option, value):
    with pytest.raises(InvalidInput, match=f"Recall: {option} must be a whole number .*; got {value}"):
        make_task(ID, **{option: value})
