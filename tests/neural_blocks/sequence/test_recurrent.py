"""GRU and LSTM against PyTorch's own, with episode starts in the middle of sequences."""

import pytest
import torch
from torch import nn

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.named_blocks import MEMORIES
from palaestra.neural_blocks.sequence.memory import CellMemory
from palaestra.neural_blocks.sequence.recurrent import GRU, LSTM, memory
from palaestra.neural_blocks.tracing import branch_free

T, B, D, H = 9, 4, 3, 5
BLOCKS = pytest.mark.parametrize("name", ["gru", "lstm"])


def make(name, input_size=D, hidden_size=H):
    """A block whose biases matter, too."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        block = memory(name, input_size, hidden_size)
        for parameter in block.parameters():
            nn.init.normal_(parameter, std=0.5)
    return block


def torch_twin(block):
    """PyTorch's module with the same weights: the gates stand in the same order (r, z, n; i, f, g, o)."""
    twin = {GRU: nn.GRU, LSTM: nn.LSTM}[type(block)](block.input_size, block.hidden_size)
    twin.weight_ih_l0.data = block.input_gates.weight.data
    twin.bias_ih_l0.data = block.input_gates.bias.data
    twin.weight_hh_l0.data = block.memory_gates.weight.data
    twin.bias_hh_l0.data = block.memory_gates.bias.data
    return twin


def inputs(block, seed=1):
    generator = torch.Generator().manual_seed(seed)
    state = tuple(torch.randn(B, H, generator=generator) for _ in range(block.parts))
    return torch.randn(T, B, D, generator=generator), state


def close(mine, theirs):
    torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


@BLOCKS
def test_outputs_memory_and_gradients_are_those_of_torch(name):
    block = make(name)
    twin = torch_twin(block)
    x, state = inputs(block)
    x.requires_grad_()
    output, after = block(x, state)
    theirs = tuple(part[None] for part in state)
    wanted, wanted_after = twin(x, theirs[0] if name == "gru" else theirs)
    close(output, wanted)
    for mine, reference in zip(after, (wanted_after,) if name == "gru" else wanted_after, strict=True):
        close(mine, reference[0])
    weights = torch.randn(T, B, H)
    names = ("input_gates.weight", "input_gates.bias", "memory_gates.weight", "memory_gates.bias")
    own = torch.autograd.grad((output * weights).sum(), [x, *(block.get_parameter(name) for name in names)])
    names = ("weight_ih_l0", "bias_ih_l0", "weight_hh_l0", "bias_hh_l0")
    reference = torch.autograd.grad((wanted * weights).sum(), [x, *(getattr(twin, name) for name in names)])
    for mine, theirs in zip(own, reference, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


@BLOCKS
def test_the_step_form_is_the_sequence_form(name):
    block = make(name)
    x, state = inputs(block)
    start = torch.rand(T, B, generator=torch.Generator().manual_seed(2)) < 0.3
    output, after = block(x, state, start)
    for t in range(T):
        own, state = block.step(x[t], state, start[t])
        close(own, output[t])
    for mine, theirs in zip(state, after, strict=True):
        close(mine, theirs)


@BLOCKS
def test_a_start_within_a_sequence_is_two_sequences(name):
    block = make(name)
    x, state = inputs(block)
    start = torch.zeros(T, B, dtype=torch.bool)
    start[4, 1] = True
    output, after = block(x, state, start)
    whole, whole_after = block(x, state)
    first, _ = block(x[:4], state)
    second, second_after = block(x[4:], block.initial_memory(B))
    others = [0, 2, 3]
    close(output[:, others], whole[:, others])
    close(output[:4, 1], first[:, 1])
    close(output[4:, 1], second[:, 1])
    close(after[0][1], second_after[0][1])
    close(after[0][others], whole_after[0][others])


@BLOCKS
def test_no_gradient_crosses_an_episode_start(name):
    block = make(name)
    x, state = inputs(block)
    state = tuple(part.requires_grad_() for part in state)
    x.requires_grad_()
    start = torch.zeros(T, B, dtype=torch.bool)
    start[4, 1] = True
    output, _ = block(x, state, start)
    gradients = torch.autograd.grad(output[5].sum(), [x, *state])
    assert not gradients[0][:4, 1].any()
    assert gradients[0][4, 1].any()
    assert gradients[0][:4, 0].any()
    for gradient in gradients[1:]:
        assert not gradient[1].any()
        assert gradient[0].any()


@BLOCKS
def test_gradients_are_exact(name):
    block = memory(name, 2, 3).double()
    start = torch.tensor([[True, False], [False, True], [False, False]])
    x = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    state = tuple(torch.randn(2, 3, dtype=torch.float64, requires_grad=True) for _ in range(block.parts))

    def flat(x, *state):
        output, after = block(x, state, start)
        return output, *after

    assert torch.autograd.gradcheck(flat, (x, *state))


@BLOCKS
def test_the_first_memory_is_zeros_of_the_blocks_dtype(name):
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        state = memory(name, D, H).to(dtype).initial_memory(B)
        assert len(state) == {"gru": 1, "lstm": 2}[name]
        for part in state:
            assert torch.equal(part, torch.zeros(B, H, dtype=dtype))


@BLOCKS
def test_blocks_run_in_bfloat16_and_under_autocast(name):
    block = make(name)
    x, _ = inputs(block)
    start = torch.zeros(T, B, dtype=torch.bool)
    exact, _ = block(x, block.initial_memory(B), start)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed, _ = block(x, block.initial_memory(B), start)
    torch.testing.assert_close(mixed.float(), exact, rtol=0.05, atol=0.05)
    half = block.bfloat16()
    output, after = half(x.bfloat16(), half.initial_memory(B), start)
    assert output.dtype == after[0].dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), exact, rtol=0.1, atol=0.1)


def stretches():
    """An LSTM with a sequence in which episodes start at few times, and a memory that holds NaN where one does."""
    block, generator = make("lstm"), torch.Generator().manual_seed(3)
    x, start = torch.randn(24, B, D, generator=generator), torch.zeros(24, B, dtype=torch.bool)
    start[0, 1] = start[7] = start[15, :2] = True
    state = tuple(torch.randn(B, H, generator=generator) for _ in range(2))
    state[1][1] = torch.nan
    return block, x, state, start


def test_lstm_by_the_kernel_is_lstm_by_its_cells_up_to_the_second_derivative(monkeypatch):
    block, x, state, start = stretches()
    calls, kernel = [], torch.lstm
    monkeypatch.setattr(torch, "lstm", lambda *given: calls.append(len(given[0])) or kernel(*given))

    def found(forward):
        seen = x.clone().requires_grad_()
        output, after = forward(seen, state, start)
        slopes = torch.autograd.grad(output.square().sum(), [seen, *block.parameters()], create_graph=True)
        return [output, *after, *slopes, *torch.autograd.grad(slopes[0].square().sum(), [*block.parameters()])]

    mine, cells = found(block), found(lambda *given: CellMemory.forward(block, *given))
    assert calls == [7, 8, 9]
    for one, other in zip(mine, cells, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_lstm_runs_by_its_cells_where_the_kernel_may_not_look_or_does_another_thing(monkeypatch):
    block, x, state, start = stretches()
    wanted, _ = block(x, state, start)
    monkeypatch.setattr(torch, "lstm", None)
    with branch_free():
        close(block(x, state, start)[0], wanted)
    apart = torch.func.vmap(lambda own: block(own, state, start)[0], in_dims=0)(x[None])
    close(apart[0], wanted)
    handle = block.memory_gates.register_forward_hook(lambda module, given, output: 0 * output)
    forgetful = block(x, state, start)[0]
    handle.remove()
    assert not torch.allclose(forgetful, wanted)
    often = torch.rand(24, B, generator=torch.Generator().manual_seed(1)) < 0.3
    assert block(x, state, often)[0].isfinite().all()


@BLOCKS
def test_blocks_compile_to_one_graph(name):
    block = make(name)
    x, state = inputs(block)
    start = torch.rand(T, B) < 0.3
    compiled = torch.compile(block, backend="eager", fullgraph=True)
    output, after = compiled(x, state, start)
    wanted, wanted_after = block(x, state, start)
    close(output, wanted)
    close(after[0], wanted_after[0])


def test_the_forget_gate_starts_open():
    block = LSTM(D, H)
    bias = block.input_gates.bias + block.memory_gates.bias
    assert bias.tolist() == [0] * H + [1] * H + [0] * 2 * H


@BLOCKS
def test_shapes_that_do_not_fit_are_refused_by_both_shapes(name):
    block = make(name)
    x, state = inputs(block)
    cases = [
        ((x, state, torch.zeros(T, B + 1, dtype=torch.bool)), "start must have shape (9, 4); got (9, 5)"),
        ((x[..., :2], state), "input must have shape (T, B, 3); got (9, 4, 2)"),
        ((x[0], state), "input must have shape (T, B, 3); got (4, 3)"),
        ((x, tuple(part[:1] for part in state)), "memory must have shapes [(4, 5)"),
        ((x, ()), "got []"),
    ]
    for arguments, told in cases:
        with pytest.raises(InvalidInput) as refusal:
            block(*arguments)
        assert told in str(refusal.value)
        assert type(block).__name__ in str(refusal.value)


def test_sizes_below_one_and_unknown_names_are_refused():
    with pytest.raises(InvalidInput, match="GRU: sizes must be at least 1; got 3 and 0"):
        GRU(3, 0)
    with pytest.raises(InvalidInput, match=r"memory must be one of 'gru', 'lstm'.*'grus'.*did you mean 'gru'"):
        memory("grus", 3, 4)
    assert set(MEMORIES) >= {"gru", "lstm"}
