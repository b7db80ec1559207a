"""NaN and infinity never outlive an episode start, in any memory, in its step form or its sequence form."""

import math

import pytest
import torch
from torch import nn

from palaestra.neural_blocks.named_blocks import MEMORIES
from palaestra.neural_blocks.neurons.spiking import LIF, SynapseFilter
from palaestra.neural_blocks.sequence.recurrent import Bidirectional, Deep, memory

T, B, D, H = 7, 3, 5, 8
BLOCKS = {
    **{name: lambda name=name: memory(name, D, H) for name in MEMORIES.names()},
    **{f"deep {name}": lambda name=name: Deep(name, D, H) for name in MEMORIES.names()},
    "lif": lambda: LIF(D),
    "synapse": lambda: SynapseFilter(D, order=2),
}
BAD = pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])


def made(make):
    torch.manual_seed(0)
    block = make()
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.4)
    return block


def inputs():
    """A sequence in which row 1 starts anew at time 3, and row 2 at once."""
    start = torch.zeros(T, B, dtype=torch.bool)
    start[3, 1] = start[0, 2] = True
    return torch.randn(T, B, D, generator=torch.Generator().manual_seed(1)), start


def spoilt(state, row, bad):
    """The memory with `bad` in all of a row; what says what is known cannot be spoilt."""
    index = torch.tensor([row])
    return tuple(part.index_fill(0, index, bad) if part.is_floating_point() else part for part in state)


@BAD
@pytest.mark.parametrize("name", BLOCKS)
def test_a_spoilt_memory_ends_at_an_episode_start(name, bad):
    block, (x, start) = made(BLOCKS[name]), inputs()
    _, state = block(x, block.initial_memory(B))
    wanted, wanted_after = block(x, state, start)
    output, after = block(x, spoilt(state, 2, bad), start)
    torch.testing.assert_close(output, wanted)
    torch.testing.assert_close(after, wanted_after)
    own, stepped = block.step(x[0], spoilt(state, 2, bad), start[0])
    torch.testing.assert_close(own, wanted[0], atol=1e-5, rtol=1e-5)
    assert all(part.isfinite().all() for part in stepped)


@BAD
@pytest.mark.parametrize("name", BLOCKS)
def test_a_spoilt_input_ends_at_an_episode_start_and_stays_in_its_row(name, bad):
    block, (x, start) = made(BLOCKS[name]), inputs()
    state = block.initial_memory(B)
    wanted, wanted_after = block(x, state, start)
    x[1, 1] = bad
    output, after = block(x, state, start)
    clean = torch.ones(T, B, dtype=torch.bool)
    clean[1:3, 1] = False
    torch.testing.assert_close(output[clean], wanted[clean])
    torch.testing.assert_close(after, wanted_after)


@pytest.mark.parametrize("name", MEMORIES.names())
def test_within_its_episode_a_nan_is_not_hidden(name):
    block, (x, start) = made(BLOCKS[name]), inputs()
    x[1, 0] = math.nan
    output, after = block(x, block.initial_memory(B), start)
    assert output[1:, 0].isnan().all()
    assert after[0][0].isnan().any()
    assert output[:, 1:].isfinite().all()


@pytest.mark.parametrize("name", BLOCKS)
def test_gradients_stay_finite_when_a_wiped_memory_was_not(name):
    block, (x, start) = made(BLOCKS[name]), inputs()
    state = spoilt(block.initial_memory(B), 2, math.nan)
    x.requires_grad_()
    output, _ = block(x, state, start)
    gradients = torch.autograd.grad(output.sum(), [x, *block.parameters()], allow_unused=True)
    assert all(gradient.isfinite().all() for gradient in gradients if gradient is not None)


@BAD
@pytest.mark.parametrize("name", MEMORIES.names())
def test_a_bidirectional_network_keeps_a_spoilt_episode_to_itself(name, bad):
    block, (x, start) = made(lambda: Bidirectional(name, D, H)), inputs()
    wanted = block(x, start)
    x[1, 1] = bad
    output = block(x, start)
    torch.testing.assert_close(output[3:, 1], wanted[3:, 1])
    torch.testing.assert_close(output[:, [0, 2]], wanted[:, [0, 2]])
