"""PatternCompletion by hand, against SciPy's Hadamard matrices and against recall unit by unit in NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.linalg import hadamard

from palaestra.envs import make_task
from palaestra.envs.sequence.letters import ROWS, letters
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.neurons.energy import mean_product_field as field
from palaestra.neural_blocks.neurons.energy import mean_product_recall as recall

ID = "palaestra/PatternCompletion-v0"
NONE = torch.empty(1, 0)


def test_an_orthogonal_pattern_is_an_eigenvector_of_the_mean_product_rule():
    """M = 4, N = 16: W x = (N / M) x = 4 x, and 3 x = (N / M - 1) x without the diagonal's ones."""
    patterns = torch.tensor(hadamard(16)[[1, 5, 6, 11]], dtype=torch.float32)[None]
    weights = patterns[0].T @ patterns[0] / 4
    assert torch.equal(weights.diagonal(), torch.ones(16))
    for k in range(4):
        x = patterns[:, k]
        assert torch.equal(field(patterns, x, self_connections=True), 4 * x)
        assert torch.equal(field(patterns, x), 3 * x)
        torch.testing.assert_close(field(patterns, x)[0], (weights - torch.eye(16)) @ x[0])
    other = torch.tensor(hadamard(16)[[2]], dtype=torch.float32)  # orthogonal to all that is stored
    assert torch.equal(field(patterns, other, self_connections=True), torch.zeros(1, 16))


def test_recall_is_that_of_numpy_with_an_explicit_weight_matrix():
    generator = np.random.default_rng(0)
    for _ in range(20):
        patterns, cue = generator.choice([-1, 1], (3, 25)), generator.choice([-1, 0, 1], 25)
        weights = patterns.T @ patterns
        np.fill_diagonal(weights, 0)
        state = cue
        for _ in range(10):
            force = weights @ state
            state = np.where(force == 0, state, np.sign(force))
        tensors = (torch.tensor(part, dtype=torch.float32)[None] for part in (patterns, cue))
        assert recall(*tensors)[0].tolist() == state.tolist()


def test_an_episode_computed_by_hand():
    """Patterns ++-- and +-+- on a 2 x 2 grid; the cue is the second with its first bit flipped, (-, -, +, -)."""
    task = make_task(ID, side=2, stored=2, noise=0.25)
    uniforms = [0.9, 0.9, 0.1, 0.1, 0.9, 0.1, 0.9, 0.1, 0.5, 0.3, 0.4, 0.1, 0.2, 0.8, 0.9]
    state = task.reset(torch.tensor([uniforms]))
    assert task.observe(state).tolist() == [[1, 1, -1, -1, 0]]
    assert task.expert(state).tolist() == [[1, 1, 0, 0]]
    action = torch.tensor([[1, 1, 1, 1]], dtype=torch.int8)
    step = task.step(state, action, NONE)
    assert step.reward.tolist() == [0]
    assert task.observe(step.state).tolist() == [[1, -1, 1, -1, 0]]
    step = task.step(step.state, action, NONE)
    assert step.terminated.tolist() == [False]
    assert math.isnan(float(step.metrics["complete"]))
    asked = step.state
    assert task.observe(asked).tolist() == [[-1, -1, 1, -1, 1]]
    step = task.step(asked, action, NONE)  # two bits are wrong now, one was: (1 - 2) / 1
    assert step.reward.tolist() == [-1]
    assert step.terminated.tolist() == [True]
    assert [float(step.metrics[name]) for name in ("complete", "overlap")] == [0, 0]
    step = task.step(asked, torch.tensor([[1, 0, 1, 0]], dtype=torch.int8), NONE)
    assert step.reward.tolist() == [1]
    assert [float(step.metrics[name]) for name in ("complete", "overlap")] == [1, 1]


def test_bits_are_turned_one_by_one_until_it_is_done():
    """One pattern ++++ whose first row is blank: a blank bit becomes 1, and counts half; turning a right one costs."""
    task = make_task(ID, side=2, stored=1, noise=0.0, blanked=1, mode="flip")
    state = task.reset(torch.tensor([[0.9, 0.9, 0.9, 0.9, 0.0, 0.1, 0.2, 0.1, 0.2, 0.3, 0.4]]))
    state = task.step(state, torch.tensor([3]), NONE).state
    assert task.observe(state).tolist() == [[0, 0, 1, 1, 1]]
    rewards = {0: 0.5, 1: 0.5, 2: -1.0, 4: 0.0}
    for action, reward in rewards.items():
        assert int(task.expert(state)) == {0: 0, 1: 1, 2: 4, 4: 2}[action]
        step = task.step(state, torch.tensor([action]), NONE)
        assert step.reward.tolist() == [reward]
        assert step.terminated.tolist() == [action == 4]
        state = step.state
    assert task.horizon == 1 + 4
    assert task.observe(state).tolist() == [[1, 1, -1, 1, 1]]
    assert float(step.metrics["overlap"]) == 0.5


@pytest.mark.parametrize(
    ("options", "blank", "wrong"),
    [({}, 0, 5), ({"patterns": "letters", "blanked": 2, "noise": 0.0}, 10, 0), ({"blanked": 1, "noise": 0.1}, 5, 2)],
)
def test_a_cue_has_so_many_blank_and_wrong_bits(options, blank, wrong):
    task = make_task(ID, **options)
    state = task.reset(torch.rand(500, task.reset_noise))
    assert ((state.cue == 0).sum(1) == blank).all()
    assert ((state.cue == -state.target).sum(1) == wrong).all()
    rows = (state.cue == 0).view(500, 5, 5)
    assert (rows.any(2) == rows.all(2)).all()
    wronged = (state.cue == -state.target).float().mean(0)  # every cell is as likely as the others
    assert (wronged - wrong / 25).abs().max() < 4 * math.sqrt(0.25 / 500)
    assert torch.bincount(state.index).tolist() == pytest.approx([500 / 3] * 3, abs=45)


def test_orthogonal_patterns_are_orthogonal_and_letters_are_letters_and_none_is_shown_twice():
    task = make_task(ID, patterns="orthogonal", side=4, stored=16)
    patterns = task.reset(torch.rand(50, task.reset_noise)).patterns
    assert torch.equal(patterns @ patterns.mT, 16 * torch.eye(16).expand(50, 16, 16))
    task = make_task(ID, patterns="letters", stored=26)
    shown = task.reset(torch.rand(20, task.reset_noise)).patterns
    assert len({tuple(row) for row in letters().tolist()}) == len(ROWS) == 26
    for row in shown.tolist():
        assert {tuple(pattern) for pattern in row} == {tuple(pattern) for pattern in letters().tolist()}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patterns": "letter"}, "PatternCompletion: patterns must be one of .*got 'letter'"),
        ({"mode": "turn"}, "PatternCompletion: mode must be one of .*got 'turn'"),
        ({"patterns": "letters", "side": 4}, "PatternCompletion: side must be 5 with patterns='letters'; got 4"),
        ({"patterns": "letters", "stored": 27}, "PatternCompletion: stored must be a whole number from 1 to 26"),
        ({"patterns": "orthogonal"}, "PatternCompletion: side must be 2 or 4 or 8 or 16 with"),
        ({"noise": 0.0}, "PatternCompletion: noise must flip a bit where no row is blanked; got 0.0"),
        ({"noise": 0.6}, r"PatternCompletion: noise must be a number from 0 to 0\.5; got 0\.6"),
        ({"blanked": 6}, "PatternCompletion: blanked must be a whole number from 0 to 5; got 6"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(InvalidInput, match=message):
        make_task(ID, **options)
