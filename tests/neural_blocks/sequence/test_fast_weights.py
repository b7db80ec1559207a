"""Fast weights: the matrices written out step by step, episodes, gradients, and finding again what came next."""

import pytest
import torch
from torch import nn

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.sequence.fast_weights import FastWeights
from palaestra.neural_blocks.sequence.recurrent import Deep, memory

T, B, D, H = 11, 3, 5, 7


def make():
    torch.manual_seed(0)
    block = FastWeights(D, H, n_head=2, key_size=3)
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.7)
    return block


def inputs(starts=0.25):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(T, B, D, generator=generator), torch.rand(T, B, generator=generator) < starts


def plain(block, x, start):
    """The outputs (T, H) for one row, with a matrix for each head that is really made and written to."""
    matrices, last, outputs = [torch.zeros(3, 3) for _ in range(2)], [torch.zeros(3) for _ in range(2)], []
    for now, fresh in zip(x, start.tolist(), strict=True):
        keys, values, found = block.key(now).chunk(2), block.value(now).chunk(2), []
        for head in range(2):
            key = keys[head] / keys[head].norm()
            if fresh:
                matrices[head] = torch.zeros(3, 3)
            else:
                matrices[head] = block.keep[head].sigmoid() * matrices[head] + torch.outer(last[head], values[head])
            found.append(key @ matrices[head])
            last[head] = key
        outputs.append(block.output(torch.cat([now, *found])).relu())
    return torch.stack(outputs)


@torch.no_grad()
def test_the_sequence_form_is_the_matrices_written_step_by_step():
    block = make()
    x, start = inputs()
    output, _ = block(x, block.initial_memory(B), start)
    for row in range(B):
        wanted = plain(block, x[:, row], start[:, row])
        torch.testing.assert_close(output[:, row], wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("starts", [0.0, 0.25])
@torch.no_grad()
def test_steps_and_chunks_are_the_whole_sequence(starts):
    block = make()
    x, start = inputs(starts)
    wanted, wanted_after = block(x, block.initial_memory(B), start)
    state, outputs = block.initial_memory(B), []
    for t in range(T):
        output, state = block.step(x[t], state, start[t])
        outputs.append(output)
    first, between = block(x[:4], block.initial_memory(B), start[:4])
    second, after = block(x[4:], between, start[4:])
    for mine in (torch.stack(outputs), torch.cat([first, second])):
        torch.testing.assert_close(mine, wanted, atol=1e-5, rtol=1e-4)
    for mine in (state, after):
        for part, own in zip(mine, wanted_after, strict=True):
            torch.testing.assert_close(part, own, atol=1e-5, rtol=1e-4)


def test_no_gradient_crosses_an_episode_start():
    block = make()
    x, _ = inputs()
    start = torch.zeros(T, B, dtype=torch.bool)
    start[4, 1] = True
    state = tuple(torch.randn(part.shape).requires_grad_() for part in block.initial_memory(B))
    x.requires_grad_()
    output, _ = block(x, state, start)
    gradient, *of_state = torch.autograd.grad(output[6].sum(), [x, *state])
    assert not gradient[:4, 1].any()
    assert gradient[4, 1].any()
    assert gradient[:4, 0].any()
    for part in of_state:
        assert not part[1].any()
        assert part[0].any()


def test_gradients_are_exact():
    block = make().double()
    x, start = inputs()
    x = x[:4].double().requires_grad_()
    state = tuple(torch.randn(part.shape, dtype=torch.float64) for part in block.initial_memory(B))
    assert torch.autograd.gradcheck(lambda x: block(x, state, start[:4])[0], (x,))


@torch.no_grad()
def test_what_followed_is_found_again_by_likeness():
    """Symbols as one-hot vectors: shown a, 1, b, 2, ..., then a, the block reads out the 1 that followed it."""
    block = FastWeights(6, 6, n_head=1, key_size=6)
    block.keep.fill_(30)  # nothing fades
    block.key.weight.copy_(torch.eye(6))
    for layer in (block.value[0], block.value[2]):
        layer.weight.copy_(torch.eye(6))
        layer.bias.zero_()
    block.output.weight.copy_(torch.cat([torch.zeros(6, 6), torch.eye(6)], 1))
    block.output.bias.zero_()
    shown = nn.functional.one_hot(torch.tensor([0, 3, 1, 4, 2, 5, 1, 0]), 6).float().unsqueeze(1)
    output, _ = block(shown, block.initial_memory(1))
    assert not output[:6].any()  # nothing has come twice, so nothing is found
    torch.testing.assert_close(output[6, 0], shown[3, 0], atol=1e-4, rtol=0)  # after the 1 came a 4
    torch.testing.assert_close(output[7, 0], shown[1, 0], atol=1e-4, rtol=0)  # after the 0 came a 3


def test_it_compiles_to_one_graph_runs_in_bfloat16_and_stands_in_layers():
    block = make()
    x, start = inputs()
    state = block.initial_memory(B)
    wanted, _ = block(x, state, start)
    output, _ = torch.compile(block, backend="eager", fullgraph=True)(x, state, start)
    torch.testing.assert_close(output, wanted)
    deep = memory("fast_weights", D, H, layers=2, span=50)
    assert isinstance(deep, Deep)
    assert deep.layers[1].keep[-1].sigmoid().item() == pytest.approx(1 - 1 / 50)
    assert deep(x, deep.initial_memory(B), start)[0].shape == (T, B, H)
    half = block.bfloat16()
    short, after = half(x.bfloat16(), half.initial_memory(B), start)
    assert short.dtype == after[0].dtype == torch.bfloat16
    torch.testing.assert_close(short.float(), wanted, rtol=0.1, atol=0.2)


def test_bad_input_is_named():
    block = make()
    x, start = inputs()
    with pytest.raises(InvalidInput, match="sizes and n_head must be at least 1; got 5, 7, 0, 16"):
        FastWeights(D, H, n_head=0)
    with pytest.raises(InvalidInput, match=r"FastWeights: input must have shape \(T, B, 5\); got \(11, 3, 4\)"):
        block(x[..., :4], block.initial_memory(B), start)
    with pytest.raises(InvalidInput, match=r"memory must have shapes \[\(3, 2, 3, 3\), \(3, 2, 3\)\]"):
        block(x, block.initial_memory(2), start)
