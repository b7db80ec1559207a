"""Memories of the last steps, and the linear recurrence, against plain loops and PyTorch's own layers."""

import math

import pytest
import torch
from torch import nn

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.neurons.spiking_memory import SpikingMemory
from palaestra.neural_blocks.sequence.context_set import ContextSet
from palaestra.neural_blocks.sequence.linear_recurrence import LinearRecurrence
from palaestra.neural_blocks.sequence.recurrent import memory
from palaestra.neural_blocks.sequence.window import (
    ModernHopfield,
    RotaryAttention,
    TemporalConvolution,
    WindowAttention,
    steps_before,
)

T, B, D, H, W = 11, 3, 5, 8, 4


def inputs():
    """A sequence in which row 1 starts anew at time 3 and at time 8."""
    start = torch.zeros(T, B, dtype=torch.bool)
    start[3, 1] = start[8, 1] = True
    return torch.randn(T, B, D, generator=torch.Generator().manual_seed(1)), start


def episode_begins(start):
    """(T, B) when the episode of each step began, counted one by one."""
    begins = torch.zeros(T, B, dtype=torch.int64)
    for row in range(B):
        for time in range(1, T):
            begins[time, row] = time if start[time, row] else begins[time - 1, row]
    return begins


def test_steps_before_are_counted_from_the_last_start():
    _, start = inputs()
    seen = torch.tensor([5, 6, 0])
    before = steps_before(start, seen, T)
    assert before[:, 0].tolist() == list(range(5, 5 + T))
    assert before[:, 1].tolist() == [6, 7, 8, 0, 1, 2, 3, 4, 0, 1, 2]
    assert torch.equal(steps_before(None, seen, 2), torch.tensor([[5, 6, 0], [6, 7, 1]]))


def test_attention_is_torchs_over_the_last_steps_of_the_episode():
    torch.manual_seed(0)
    block, (x, start) = WindowAttention(D, H, W, n_head=2), inputs()
    nn.init.normal_(block.bias)
    begins = episode_begins(start)
    output, _ = block(x, block.initial_memory(B), start)
    for time in range(T):
        for row in range(B):
            first = max(int(begins[time, row]), time - W + 1)
            seen = x[first : time + 1, row]  # (t, D)
            query, key, value = (
                part.unflatten(-1, (2, 4)).transpose(0, 1)
                for part in (block.query(x[time : time + 1, row]), block.key(seen), block.value(seen))
            )
            bias = block.bias[:, : len(seen)].flip(1).unsqueeze(1)  # (h, 1, t), the nearest last
            found = nn.functional.scaled_dot_product_attention(query, key, value, bias)
            torch.testing.assert_close(output[time, row], block.output(found.flatten()), atol=1e-5, rtol=1e-5)


def test_a_sharp_hopfield_network_completes_the_pattern_that_a_broken_cue_is_nearest_to():
    """One update from a cue with a quarter of its signs flipped finds the stored pattern (Ramsauer et al., 2021)."""
    size, count = 32, 10
    block = ModernHopfield(size, size, window=count + 1, n_head=1, updates=1)
    for linear in (block.query, block.key, block.value, block.output):
        nn.init.eye_(linear.weight)
        nn.init.zeros_(linear.bias)
    nn.init.constant_(block.log_beta, math.log(64.0))
    patterns = torch.randn(count, size, generator=torch.Generator().manual_seed(0)).sign()
    keys = patterns.view(1, 1, count, size)
    for number in range(count):
        cue = patterns[number].clone()
        cue[:8] *= -1
        everywhere = torch.ones(1, 1, 1, count, dtype=torch.bool)
        found = block.find(cue.view(1, 1, 1, size), keys, keys, everywhere, torch.zeros(1, count).long())
        torch.testing.assert_close(found.flatten(), patterns[number], atol=1e-3, rtol=0)


def test_likeness_alone_counts_in_a_hopfield_network():
    torch.manual_seed(0)
    block = ModernHopfield(D, H, window=T)
    x = torch.randn(T, 1, D)
    turned = torch.cat([x[:-1].flip(0), x[-1:]])
    one, other = (block(given, block.initial_memory(1))[0][-1] for given in (x, turned))
    torch.testing.assert_close(one, other)


def test_convolutions_are_torchs_dilated_ones_within_an_episode():
    torch.manual_seed(0)
    block, (x, start) = TemporalConvolution(D, H, window=8), inputs()
    output, _ = block(x, block.initial_memory(B), start)
    begins = episode_begins(start)
    for row in range(B):
        for first in begins[:, row].unique().tolist():
            own = (begins[:, row] == first).nonzero().squeeze(1)
            h = block.input(x[own, row]).T.unsqueeze(0)  # (1, H, t)
            for now, then, reach in zip(block.now, block.then, [1, 2, 4], strict=True):
                weight = torch.stack([then.weight, now.weight], -1)  # (2 H, H, 2), the older tap first
                padded = nn.functional.pad(h, (reach, 0))
                change, gate = nn.functional.conv1d(padded, weight, now.bias, dilation=reach).chunk(2, 1)
                h = h + torch.tanh(change) * torch.sigmoid(gate)
            torch.testing.assert_close(output[own, row], h[0].T, atol=1e-5, rtol=1e-5)


def test_a_convolution_sees_its_window_and_no_more():
    torch.manual_seed(0)
    block = TemporalConvolution(D, H, window=8)
    x = torch.randn(12, 1, D)
    for back in range(12):
        changed = x.clone()
        changed[11 - back] += 1
        one, other = (block(given, block.initial_memory(1))[0][-1] for given in (x, changed))
        assert torch.equal(one, other) == (back >= 8)


WINDOWED = ["attention", "rotary_attention", "attentive_gru", "temporal_convolution", "snail", "hopfield"]


@pytest.mark.parametrize("name", WINDOWED)
def test_the_span_of_a_memory_of_the_last_steps_is_its_window(name):
    for layers in (1, 2):
        block = memory(name, D, H, layers, span=16)
        shapes = [shape for shape in block.shapes if len(shape) > 1]
        assert max(shape[-2] for shape in shapes) == (8 if name == "temporal_convolution" else 15)


def test_the_linear_recurrence_is_a_loop_of_complex_numbers():
    torch.manual_seed(0)
    block, (x, start) = LinearRecurrence(D, H), inputs()
    state = (torch.randn(B, H), torch.randn(B, H))
    output, after = block(x, state, start)
    decay = torch.exp(-block.log_decay.exp() + 1j * block.log_turn.exp())
    h = torch.complex(*state)
    for time in range(T):
        h = torch.where(start[time].unsqueeze(1), 0, h)
        real, imaginary = block.input(x[time]).chunk(2, -1)
        h = decay * h + (1 - decay.abs() ** 2).sqrt() * torch.complex(real, imaginary)
        value, gate = block.output(torch.cat([x[time], h.real, h.imag], -1)).chunk(2, -1)
        torch.testing.assert_close(output[time], value * gate.sigmoid(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(torch.complex(*after), h, atol=1e-5, rtol=1e-5)


def test_the_linear_recurrence_keeps_the_size_of_its_input_and_fades_within_its_span():
    block = LinearRecurrence(1, 64)
    block.span(50)
    modulus = (-block.log_decay.exp()).exp()
    times = -1 / modulus.log()  # steps to 1 / e
    assert times[0].item() == pytest.approx(2, rel=1e-4)
    assert times[-1].item() == pytest.approx(50, rel=1e-4)
    x = torch.randn(2000, 1, 1, generator=torch.Generator().manual_seed(0))
    block.input.weight.data.fill_(1.0)
    after = [block(x[:t], block.initial_memory(1))[1] for t in range(400, 2000, 40)]
    sizes = torch.stack([real**2 + imaginary**2 for real, imaginary in after]).mean(0)
    assert sizes.mean().item() == pytest.approx(2.0, rel=0.4)  # a real and an imaginary part of variance 1


def test_rotary_attention_multiplies_by_complex_numbers():
    """A query a steps after a key meets it turned by a times each pair's angle."""
    torch.manual_seed(0)
    block, (x, start) = RotaryAttention(D, H, W, n_head=2), inputs()
    begins = episode_begins(start)
    turn = torch.polar(torch.ones(2), 10_000.0 ** -torch.tensor([0.0, 0.5]))  # of the two pairs of a head
    output, _ = block(x, block.initial_memory(B), start)
    for time in range(T):
        for row in range(B):
            first = max(int(begins[time, row]), time - W + 1)
            seen = x[first : time + 1, row]
            query, key, value = (
                layer(part).unflatten(-1, (2, 4))
                for layer, part in [(block.query, x[time, row]), (block.key, seen), (block.value, seen)]
            )
            ago = torch.arange(len(seen) - 1, -1, -1).view(-1, 1, 1)
            pairs = [torch.view_as_complex(part.unflatten(-1, (2, 2)).contiguous()) for part in (query, key)]
            scores = (pairs[0] * turn**ago * pairs[1].conj()).real.sum(-1) / 2  # (t, h)
            found = (scores.softmax(0).unsqueeze(-1) * value).sum(0)
            torch.testing.assert_close(output[time, row], block.output(found.flatten()), atol=1e-5, rtol=1e-5)
    with pytest.raises(InvalidInput, match="even multiple of n_head; got 6 and 2"):
        RotaryAttention(D, 6, n_head=2)


def test_a_context_set_is_a_mean_over_the_episode_and_does_not_know_order():
    torch.manual_seed(0)
    block, (x, start) = ContextSet(D, H), inputs()
    state = (torch.randn(B, H), torch.tensor([4, 2, 9]))
    output, after = block(x, state, start)
    total, count = state
    for time in range(T):
        total, count = (torch.where(start[time].view(-1, *[1] * (part.dim() - 1)), 0, part) for part in (total, count))
        total, count = total + block.feature(x[time]), count + 1
        mean = total / count.unsqueeze(1)
        torch.testing.assert_close(output[time], block.output(torch.cat([x[time], mean], 1)), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(after, (total, count), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["context_set", "hopfield", "attention", "rotary_attention"])
def test_without_places_the_order_of_earlier_steps_does_not_count(name):
    torch.manual_seed(0)
    block, (x, _) = memory(name, D, H), inputs()
    one, other = (block(given, block.initial_memory(B))[0][-1] for given in (x, torch.cat([x[:-1].flip(0), x[-1:]])))
    assert torch.allclose(one, other, atol=1e-5) == (name in ("context_set", "hopfield"))


def test_a_spiking_memory_filters_the_spikes_of_its_neurons():
    torch.manual_seed(0)
    block = SpikingMemory(D, H, membrane=3.0, synapse=5.0)
    x = 3 * torch.rand(T, B, D)
    output, _ = block(x, block.initial_memory(B))
    voltage, since, trace = torch.zeros(B, H), torch.zeros(B, H), torch.zeros(B, H)
    for time in range(T):
        current = block.drive(x[time]) + block.recurrent(trace)
        last = current + (voltage - current) * torch.exp(-(1 + since) / 3)  # from the moment of the last spike on
        spike = (last > 1).float()
        crossing = -3 * torch.log((current - 1) / (current - voltage))  # when the voltage passes 1
        since = torch.where(last > 1, 1 + since - crossing, 0.0)
        voltage = last * (1 - spike)
        trace = trace + (spike - trace) * (1 - math.exp(-1 / 5))
        torch.testing.assert_close(output[time], trace, atol=1e-5, rtol=1e-5)
    assert 0 < output.mean() < 1


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: WindowAttention(3, 6, n_head=4), "hidden_size must be a multiple of n_head; got 6 and 4"),
        (lambda: WindowAttention(3, 8, window=0), "sizes, window and n_head must be at least 1; got 3, 8, 0 and 4"),
        (lambda: ModernHopfield(3, 8, updates=-1), "updates must be at least 0; got -1"),
        (lambda: TemporalConvolution(3, 0), "sizes and window must be at least 1; got 3, 0 and 16"),
        (lambda: LinearRecurrence(0, 4), "sizes must be at least 1; got 0 and 4"),
        (lambda: SpikingMemory(4, 0), "sizes must be at least 1; got 4 and 0"),
    ],
)
def test_bad_sizes_are_refused_in_one_line(make, told):
    with pytest.raises(InvalidInput, match=told):
        make()
