"""The transformer memory: the interface of the recurrent ones, a window, and walls between episodes."""

import itertools
import math

import pytest
import torch
from torch import nn
from torch.export import Dim

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.sequence.recurrent import memory
from palaestra.neural_blocks.sequence.transformer_memory import RotaryTransformerMemory, TransformerMemory

T, B, D, H, W = 11, 4, 3, 8, 4


def make(layers=2, window=W, cls=TransformerMemory):
    """A block whose biases and distances matter, too."""
    torch.manual_seed(0)
    block = cls(D, H, window, n_head=2, layers=layers)
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.5)
    return block


def inputs(starts=0.25):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(T, B, D, generator=generator), torch.rand(T, B, generator=generator) < starts


def turned(vector, place):
    """Four features as two pairs, turned by the place times an angle of 1 and of a hundredth."""
    parts = []
    for pair, angle in zip(vector.split(2), (1.0, 0.01), strict=True):
        sine, cosine = math.sin(angle * place), math.cos(angle * place)
        parts.append(torch.tensor([[cosine, -sine], [sine, cosine]]) @ pair)
    return torch.cat(parts)


def score(block, index, head, query, key, t, s):
    """How much a query at place t looks at a key at place s."""
    if isinstance(block, RotaryTransformerMemory):
        return turned(query, t) @ turned(key, s) / len(query) ** 0.5
    return query @ key / len(query) ** 0.5 + block.bias[index, head, t - s]


def plain(block, x):
    """The output after one episode's inputs (t, D), each layer over all of them at once, written with loops."""
    x = block.input(x)
    for index, layer in enumerate(block.layers):
        y, attention = layer.norms[0](x), layer.attention
        query, (key, value) = attention.query(y), attention.key_value(y).chunk(2, -1)
        found = torch.zeros_like(query)
        for head, part in enumerate(torch.arange(H).chunk(2)):
            for t in range(len(x)):
                near = range(max(0, t - W + 1), t + 1)
                scores = [score(block, index, head, query[t, part], key[s, part], t, s) for s in near]
                weights = torch.stack(scores).softmax(0)
                found[t, part] = sum(weight * value[s, part] for weight, s in zip(weights, near, strict=True))
        x = x + attention.output(found)
        x = x + layer.perceptron(layer.norms[1](x))
    return block.norm(x)


@pytest.mark.parametrize("cls", [TransformerMemory, RotaryTransformerMemory])
def test_the_sequence_form_is_the_attention_written_out_for_each_episode(cls):
    block = make(cls=cls)
    x, start = inputs()
    with torch.no_grad():
        output, _ = block(x, block.initial_memory(B), start)
        for b in range(B):
            begins = [0, *(start[1:, b].nonzero().flatten() + 1).tolist(), T]
            for begin, end in itertools.pairwise(begins):
                torch.testing.assert_close(output[begin:end, b], plain(block, x[begin:end, b]), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("window", [1, 2, W, 30])
def test_the_step_form_is_the_sequence_form(window):
    block = make(window=window)
    x, start = inputs()
    _, state = block(x[:3], block.initial_memory(B), start[:3])
    output, after = block(x[3:], state, start[3:])
    for t in range(3, T):
        own, state = block.step(x[t], state, start[t])
        torch.testing.assert_close(own, output[t - 3], atol=1e-5, rtol=1e-5)
    seen = after[-1][:, None, :, None]
    for mine, theirs in zip(state[:-1], after[:-1], strict=True):
        torch.testing.assert_close(mine * seen, theirs * seen, atol=1e-5, rtol=1e-5)
    assert torch.equal(state[-1], after[-1])


def test_chunks_of_any_length_are_the_whole_sequence():
    block = make()
    x, start = inputs()
    wanted, _ = block(x, block.initial_memory(B), start)
    state, outputs = block.initial_memory(B), []
    for length in (1, 5, 2, 3):
        begin = sum(map(len, outputs))
        output, state = block(x[begin : begin + length], state, start[begin : begin + length])
        outputs.append(output)
    torch.testing.assert_close(torch.cat(outputs), wanted, atol=1e-5, rtol=1e-5)


def test_a_long_sequence_read_in_pieces_is_its_steps():
    torch.manual_seed(1)
    block, x, start = make(), torch.randn(75, B, D), torch.rand(75, B) < 0.1
    _, state = block(x[:5], block.initial_memory(B))
    output, after = block(x, state, start)
    for t in range(75):
        own, state = block.step(x[t], state, start[t])
        torch.testing.assert_close(own, output[t], atol=1e-5, rtol=1e-5)
    assert torch.equal(state[-1], after[-1])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", ["trace", "export"])
def test_the_traced_block_serves_a_memory_that_is_not_fresh(how):
    block = make()
    x, start = inputs()
    fresh = block.initial_memory(B)
    if how == "trace":
        traced = torch.jit.trace(block, (x, fresh, start))
    else:
        two, batch = (torch.randn(T, 2, D), block.initial_memory(2), torch.zeros(T, 2, dtype=torch.bool)), Dim("batch")
        shapes = ({1: batch}, tuple({0: batch} for _ in fresh), {1: batch})
        traced = torch.export.export(block, two, dynamic_shapes=shapes).module()
    _, state = block(x, fresh)
    for before in (state, fresh):
        torch.testing.assert_close(traced(x, before, start)[0], block(x, before, start)[0])


def test_nothing_is_seen_across_an_episode_start():
    block = make()
    x, _ = inputs()
    start = torch.zeros(T, B, dtype=torch.bool)
    start[1, 1] = True
    _, state = block(x, block.initial_memory(B))
    x.requires_grad_()
    output, after = block(x, state, start)
    gradient, *of_state = torch.autograd.grad(output[2, :, 0].sum(), [x, *state[:-1]])
    assert not gradient[:1, 1].any()
    assert gradient[1, 1].any()
    assert gradient[:1, 0].any()
    for part in of_state:
        assert not part[1].any()
        assert part[0].any()
    fresh, fresh_after = block(x[1:], block.initial_memory(B))
    torch.testing.assert_close(output[1:, 1], fresh[:, 1])
    assert torch.equal(after[-1][1], fresh_after[-1][1])


def test_a_layer_sees_its_window_and_no_further():
    for layers in (1, 2):
        block = make(layers)
        x = inputs()[0].requires_grad_()
        output, _ = block(x, block.initial_memory(B))
        (gradient,) = torch.autograd.grad(output[-1, 0, 0], x)
        reached = gradient[:, 0].abs().sum(1) > 0
        assert reached.tolist() == [t >= T - 1 - layers * (W - 1) for t in range(T)]


def test_the_block_compiles_runs_in_bfloat16_and_comes_back_from_a_file():
    block = make()
    x, start = inputs()
    wanted = block(x, block.initial_memory(B), start)
    compiled = torch.compile(block, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x, block.initial_memory(B), start), wanted)
    torch.save(block.state_dict(), "block.pt")
    other = TransformerMemory(D, H, W, n_head=2, layers=2)
    other.load_state_dict(torch.load("block.pt", weights_only=True))
    torch.testing.assert_close(other(x, other.initial_memory(B), start), wanted)
    half = block.bfloat16()
    output, after = half(x.bfloat16(), half.initial_memory(B), start)
    assert output.dtype == after[0].dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), wanted[0], atol=0.3, rtol=0.3)


def test_the_block_is_a_memory_by_name():
    block = memory("transformer", D, 64)
    assert isinstance(block, TransformerMemory)
    assert block(torch.zeros(2, B, D), block.initial_memory(B))[0].shape == (2, B, block.output_size)


def test_bad_input_is_named():
    block = make()
    x, start = inputs()
    state = block.initial_memory(B)
    refusals = [
        (lambda: TransformerMemory(D, 8, n_head=3), "multiple of n_head; got 8 and 3"),
        (lambda: TransformerMemory(D, 8, 0), "at least 1; got 3, 8, 0 and 1"),
        (lambda: block(x[..., :2], state), r"\(T, B, 3\); got \(11, 4, 2\)"),
        (lambda: block(x, state, start[:, :2]), r"\(11, 4\); got \(11, 2\)"),
        (lambda: block(x, block.initial_memory(2)), r"\(4, 2, 3, 4\).*got \[\(2, 2, 3, 4\)"),
    ]
    for refused, told in refusals:
        with pytest.raises(InvalidInput, match=told):
            refused()
