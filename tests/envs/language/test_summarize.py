"""Summarize by hand, and its expert against all sets of sentences and the greedy bound."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch

from palaestra.envs import make_task
from palaestra.envs.core.splits import SPLITS
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/Summarize-v0"
# who, whom, verb: the first of the cast is told of in three sentences, the verb 0 too
DOCUMENT = [(0, 1, 0), (0, 2, 0), (0, 1, 1), (3, 4, 0)]


def coverage(document, chosen):
    """The share of all mentions whose fact some chosen sentence tells of."""
    facts = [[f"cast {who}", f"cast {whom}", f"verb {verb}"] for who, whom, verb in document]
    told = {fact for k in chosen for fact in facts[k]}
    return sum(fact in told for sentence in facts for fact in sentence) / (3 * len(document))


def test_a_document_computed_by_hand():
    """Of 12 mentions the first sentence covers 3 + 2 + 3, the second one adds the mention of cast 2."""
    task = make_task(ID, sentences=4, choose=3)
    state = task.begin(torch.tensor([[0, 5, 10, 15, 20, 23]]), torch.tensor([DOCUMENT]))
    # actors 0 and 5: adjective 0 and noun 0; adjective 1 and noun 1
    assert task.observe(state)[0, :6].tolist() == [0, 0, 0, 1, 1, 0]
    assert coverage(DOCUMENT, [0]) == pytest.approx(8 / 12)
    rewards = []
    for action in (0, 1, 1):
        step = task.step(state, torch.tensor([action]), torch.empty(1, 0))
        state = step.state
        rewards.append(float(step.reward))
    assert rewards == pytest.approx([8 / 12, 1 / 12, 0])
    assert float(step.metrics["coverage"]) == pytest.approx(9 / 12)
    assert bool(step.terminated)
    assert task.observe(state)[0, 5::6].tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize("wasted", [0, 1])
def test_the_expert_is_the_best_of_all_sets(wasted):
    task, count = make_task(ID), 40
    state = task.reset(torch.rand(count, task.reset_noise, generator=torch.Generator().manual_seed(2)))
    documents, total = state.sentences.tolist(), torch.zeros(count)
    for time in range(3):
        action = torch.zeros(count, dtype=torch.int64) if time <= wasted and wasted else task.expert(state)
        step = task.step(state, action, torch.empty(count, 0))
        state, total = step.state, total + step.reward
    for document, reached in zip(documents, total.tolist(), strict=True):
        sets = [(0, k) for k in range(8)] if wasted else combinations(range(8), 3)
        assert reached == pytest.approx(max(coverage(document, chosen) for chosen in sets), abs=1e-6)


def test_greedy_choices_keep_their_bound_and_the_expert_s_are_better():
    """Nemhauser, Wolsey and Fisher (1978): greedy reaches 1 - (1 - 1/3)^3 of the best at least."""
    task, count = make_task(ID), 300
    start = task.reset(torch.rand(count, task.reset_noise, generator=torch.Generator().manual_seed(3)))
    state, best = start, torch.zeros(count)
    for _ in range(3):
        step = task.step(state, task.expert(state), torch.empty(count, 0))
        state, best = step.state, best + step.reward
    greedy = []
    for document in start.sentences.tolist():
        chosen = []
        for _ in range(3):
            chosen.append(max(range(8), key=lambda k, chosen=chosen: coverage(document, [*chosen, k])))
        greedy.append(coverage(document, chosen))
    reached = torch.tensor(greedy)
    assert (reached <= best + 1e-6).all()
    assert (reached >= (1 - (2 / 3) ** 3) * best - 1e-6).all()
    assert float((best - reached).mean()) > 0.002


def test_the_cast_is_six_different_ones_told_of_unequally_often():
    task, count = make_task(ID), 4000
    state = task.reset(torch.rand(count, task.reset_noise, generator=torch.Generator().manual_seed(4)))
    assert (state.cast.sort(1).values.diff(dim=1) > 0).all()
    who, whom, verb = state.sentences.unbind(2)
    assert (who != whom).all()
    weights = torch.tensor([1 / k for k in range(1, 7)])
    shares = torch.bincount(who.flatten(), minlength=6) / who.numel()
    torch.testing.assert_close(shares, weights / weights.sum(), atol=0.015, rtol=0)
    assert torch.bincount(verb.flatten(), minlength=4).min() > 0.23 * verb.numel()


def test_no_two_splits_share_their_main_characters():
    made = [{tuple(row) for row in make_task(ID, split=split).leads.tolist()} for split in SPLITS]
    assert [len(pairs) for pairs in made] == [387, 55, 110]
    assert len(set.union(*made)) == 24 * 23


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"sentences": 11}, "Summarize: sentences must be a whole number from 2 to 10; got 11"),
        ({"sentences": 3, "choose": 3}, "Summarize: choose must be a whole number from 1 to 2; got 3"),
        ({"split": "tset"}, "Summarize: split must be one of 'train', 'validation', 'test'; got 'tset'"),
    ],
)
def test_a_wrong_option_is_refused(options, told):
    with pytest.raises(InvalidInput, match=told):
        make_task(ID, **options)
