"""Worked by hand: dropout as many networks, steps as many units, exclusive or, and three memories."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import linprog
from torch import nn

from palaestra.neural_blocks import StepNetwork
from palaestra.neural_blocks.layers.activations import make_activation
from palaestra.neural_blocks.layers.dropout import Dropout
from palaestra.neural_blocks.sequence.fast_weights import FastWeights
from palaestra.neural_blocks.sequence.recurrent import Elman


def test_a_layer_without_dropout_is_the_vote_of_all_networks_with_it():
    """The geometric mean of what all 2^7 thinned networks say, normalised, is what the whole one says.

    Exact for one layer of units below a softmax (Hinton et al., 2012); each unit is there in half of the networks.
    """
    torch.manual_seed(0)
    hidden, output, dropout = nn.Linear(4, 7), nn.Linear(7, 3), Dropout(0.5)
    x = torch.randn(5, 4)
    with torch.no_grad():
        units = torch.tanh(hidden(x))
        masks = torch.tensor(list(itertools.product([0.0, 1.0], repeat=7)))  # (128, 7)
        votes = output(units * masks[:, None] / 0.5).log_softmax(-1)  # (128, 5, 3)
        whole = output(dropout.eval()(units)).softmax(-1)
        torch.testing.assert_close(votes.mean(0).softmax(-1), whole)
        thinned = output(dropout.train()(units.expand(4000, -1, -1))).log_softmax(-1)
    torch.testing.assert_close(thinned.mean(0).softmax(-1), whole, atol=0.03, rtol=0)
    assert votes.std(0).min() > 0.03  # the networks do differ


def test_half_the_error_takes_twice_as_many_units():
    """Steps meet sin(5 x) within 5 / (2 n): to come nearer by a factor the network grows by it, in one dimension."""
    x = torch.linspace(0, 1, 20_001, dtype=torch.float64)
    wave = lambda x: torch.sin(5 * x)  # noqa: E731
    errors = [
        (StepNetwork(wave, pieces, steepness=math.inf)(x) - wave(x)).abs().max().item() for pieces in (25, 50, 100)
    ]
    assert errors == pytest.approx([5 / (2 * pieces) for pieces in (25, 50, 100)], rel=0.05)


def test_exclusive_or_needs_a_hidden_layer_and_two_units_will_do():
    rows = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    labels = torch.tensor([0, 1, 1, 0])
    # sign (w x + b) >= 1 has no solution: a linear programme without a feasible point
    signs = 2.0 * labels - 1
    unit = -signs[:, None] * torch.cat([rows, torch.ones(4, 1)], 1)
    assert linprog([0, 0, 0], unit.numpy(), -torch.ones(4).numpy(), bounds=(None, None)).status == 2
    step = make_activation("threshold")
    either, both = step(rows.sum(1) - 0.5), step(rows.sum(1) - 1.5)
    assert step(either - both - 0.5).tolist() == labels.tolist()
    assert F.one_hot(torch.tensor([3]), 10).tolist() == [[0, 0, 0, 1, 0, 0, 0, 0, 0, 0]]  # the digit three as a target


def test_activity_fades_first_then_synapses_and_connections_stay():
    """Thirty steps after an input its activity is gone, fast weights hold it, and a start wipes both."""
    torch.manual_seed(0)
    elman, fast = Elman(3, 8), FastWeights(3, 8)
    with torch.no_grad():
        elman.memory_gates.weight.mul_(0.5)  # of an orthogonal matrix: halves what is left in each step
    silence, input = torch.zeros(30, 1, 3), torch.randn(2, 1, 3)
    left = []
    for block in (elman, fast):
        seen = block(torch.cat([input, silence]), block.initial_memory(1))[1]
        unseen = block(torch.cat([torch.zeros_like(input), silence]), block.initial_memory(1))[1]
        left.append((seen[0] - unseen[0]).norm().item() / (block.initial_memory(1)[0].numel() ** 0.5))
    assert left[0] < 1e-6
    assert left[1] > 1e-3
    for block in (elman, fast):
        memory = block(input, block.initial_memory(1))[1]
        again, _ = block(input, memory, torch.tensor([[True], [False]]))
        torch.testing.assert_close(again, block(input, block.initial_memory(1))[0])  # what is left is in the weights
