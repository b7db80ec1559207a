"""Elman, one-gate GRU, deep and bidirectional networks against PyTorch's own."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import nn

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.named_blocks import MEMORIES
from palaestra.neural_blocks.sequence.continuous_time import ContinuousTime
from palaestra.neural_blocks.sequence.recurrent import Bidirectional, Deep, Elman, OneGateGRU, memory

T, B, D, H = 9, 4, 3, 8
NAMES = pytest.mark.parametrize("name", MEMORIES.names())
TORCH = {"elman": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


def random(block):
    """The block with biases that matter."""
    torch.manual_seed(0)
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.5)
    return block


def inputs():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(T, B, D, generator=generator), torch.rand(T, B, generator=generator) < 0.3


def copy(block, twin, suffix):
    """Gives PyTorch's layer the weights of a block."""
    pairs = [("weight_ih", block.input_gates.weight), ("bias_ih", block.input_gates.bias)]
    pairs += [("weight_hh", block.memory_gates.weight), ("bias_hh", block.memory_gates.bias)]
    for name, parameter in pairs:
        getattr(twin, f"{name}_{suffix}").data = parameter.data


def test_the_elman_network_is_torchs():
    block, (x, _) = random(Elman(D, H)), inputs()
    twin = nn.RNN(D, H)
    copy(block, twin, "l0")
    state = torch.randn(B, H)
    torch.testing.assert_close(block(x, (state,))[0], twin(x, state[None])[0])


def test_the_one_gate_form_is_a_gru_whose_reset_gate_is_one():
    block, (x, _) = random(OneGateGRU(D, H)), inputs()
    twin = nn.GRU(D, H)
    open_gate = torch.full((H,), 100.0)  # sigmoid(100) is 1 in float32
    twin.weight_ih_l0.data = torch.cat([torch.zeros(H, D), block.input_gates.weight.data])
    twin.weight_hh_l0.data = torch.cat([torch.zeros(H, H), block.memory_gates.weight.data])
    twin.bias_ih_l0.data = torch.cat([open_gate, block.input_gates.bias.data])
    twin.bias_hh_l0.data = torch.cat([torch.zeros(H), block.memory_gates.bias.data])
    state = torch.randn(B, H)
    torch.testing.assert_close(block(x, (state,))[0], twin(x, state[None])[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", TORCH)
def test_deep_networks_are_torchs(name):
    block, (x, _) = random(Deep(name, D, H, 3)), inputs()
    twin = TORCH[name](D, H, 3)
    for index, layer in enumerate(block.layers):
        copy(layer, twin, f"l{index}")
    output, after = block(x, block.initial_memory(B))
    wanted, wanted_after = twin(x)
    torch.testing.assert_close(output, wanted, rtol=1e-5, atol=1e-5)
    parts = wanted_after if name == "lstm" else (wanted_after,)
    for index, part in enumerate(after):
        torch.testing.assert_close(part, parts[index % len(parts)][index // len(parts)], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", TORCH)
def test_bidirectional_networks_are_torchs(name):
    block, (x, _) = random(Bidirectional(name, D, H)), inputs()
    twin = TORCH[name](D, H, bidirectional=True)
    copy(block.onward, twin, "l0")
    copy(block.reverse, twin, "l0_reverse")
    torch.testing.assert_close(block(x), twin(x)[0], rtol=1e-5, atol=1e-5)
    assert block(x).shape[-1] == block.output_size


@NAMES
def test_a_bidirectional_network_reads_each_episode_on_its_own(name):
    block, (x, start) = random(Bidirectional(name, D, H)), inputs()
    output = block(x, start)
    for b in range(B):
        begins = [0, *(start[1:, b].nonzero().flatten() + 1).tolist(), T]
        for begin, end in itertools.pairwise(begins):
            alone = block(x[begin:end, b : b + 1])
            torch.testing.assert_close(output[begin:end, b : b + 1], alone, rtol=1e-4, atol=1e-5)


@NAMES
@pytest.mark.parametrize("layers", [None, 2])
def test_the_step_form_is_the_sequence_form(name, layers):
    block = random(memory(name, D, H) if layers is None else Deep(name, D, H, layers))
    x, start = inputs()
    state = block.initial_memory(B)
    output, _ = block(x, state, start)
    for t in range(T):
        own, state = block.step(x[t], state, start[t])
        torch.testing.assert_close(own, output[t], rtol=1e-5, atol=1e-5)
    assert block.output_size == output.shape[-1] == H


@NAMES
@pytest.mark.parametrize("kind", ["plain", "deep", "bidirectional"])
def test_blocks_compile_to_one_graph_run_in_bfloat16_and_come_back_from_a_file(name, kind):
    make = {"plain": lambda: memory(name, D, H), "deep": lambda: Deep(name, D, H)}
    make = make.get(kind, lambda: Bidirectional(name, D, H))
    block, (x, start) = random(make()), inputs()
    x, start = x[:3], start[:3]

    def run(block, call, x):
        if kind == "bidirectional":
            return call(x, start)
        return call(x, block.initial_memory(B), start)[0]

    wanted = run(block, block, x)
    torch.compiler.reset()  # blocks of other names share code, of which so many programs are kept
    compiled = torch.compile(block, backend="eager", fullgraph=True)
    torch.testing.assert_close(run(block, compiled, x), wanted, rtol=1e-5, atol=1e-5)
    torch.save(block.state_dict(), "block.pt")
    other = make()
    other.load_state_dict(torch.load("block.pt", weights_only=True))
    torch.testing.assert_close(run(other, other, x), wanted)
    half = run(block.bfloat16(), block, x.bfloat16())
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), wanted, rtol=0.2, atol=0.2)


@NAMES
def test_memories_run_under_autocast(name):
    block, (x, start) = random(memory(name, D, H)), inputs()
    exact, _ = block(x, block.initial_memory(B), start)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _, state = block(x[:4], block.initial_memory(B), start[:4])
        mixed, _ = block(x[4:], state, start[4:])
    torch.testing.assert_close(mixed.float(), exact[4:], rtol=0.2, atol=0.2)


def test_bad_input_is_named():
    block, (x, _) = Deep("lstm", D, H), inputs()
    refusals = [
        (lambda: Deep("lstm", D, H, 0), "layers must be at least 1; got 0"),
        (lambda: Deep("lstn", D, H), "did you mean 'lstm'"),
        (lambda: Bidirectional("lstm", D, 0), "at least 1; got 3 and 0"),
        (lambda: block(x, block.initial_memory(B)[:3]), r"memory must have shapes .*; got"),
        (lambda: Bidirectional("gru", D, H)(x[..., :2]), r"\(T, B, 3\); got \(9, 4, 2\)"),
    ]
    for refused, told in refusals:
        with pytest.raises(InvalidInput, match=told):
            refused()


def test_a_network_in_continuous_time_follows_its_differential_equation():
    """SciPy's solution over three steps of held input; with twice as many Euler parts half the error is left."""
    x, hidden = torch.randn(3, 1, D, generator=torch.Generator().manual_seed(1)), torch.full((1, H), 0.3)
    errors = []
    for substeps in (50, 100):
        block = random(ContinuousTime(D, H, substeps))
        weight, bias = block.memory_gates.weight.detach().numpy(), block.memory_gates.bias.detach().numpy()
        tau = 1 / torch.sigmoid(block.leak).detach().numpy()
        wanted = hidden[0].numpy()
        for held in block.prepare(x).detach()[:, 0].numpy():
            flow = lambda _, h, held=held: (np.tanh(held + weight @ h + bias) - h) / tau  # noqa: B023, E731
            wanted = solve_ivp(flow, (0, 1), wanted, rtol=1e-8, atol=1e-9).y[:, -1]
        found = block(x, (hidden,))[1][0][0].detach().numpy()
        errors.append(np.abs(found - wanted).max())
    assert errors[0] < 0.02
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.1)


def test_time_constants_span_as_many_steps_as_are_asked_for():
    tau = 1 / torch.sigmoid(memory("continuous_time", D, H, span=50).leak)
    assert tau[[0, -1]].tolist() == pytest.approx([4 / 3, 50], rel=1e-5)
    assert (tau.diff() > 0).all()


@pytest.mark.parametrize("name", ["gru", "lstm", "one_gate_gru"])
def test_a_span_makes_features_fade_within_as_many_steps(name):
    torch.manual_seed(0)
    block = memory(name, 3, 16, span=64)
    nn.init.zeros_(block.memory_gates.weight)
    state = tuple(torch.ones(1, 16) for _ in block.initial_memory(1))
    with torch.no_grad():
        _, (*_, after) = block(torch.zeros(64, 1, 3), state)  # the last part is what the gate keeps
    wanted = (1 - 1 / (1 + 64.0 ** torch.linspace(0, 1, 16))) ** 64  # the gate is open to the share 1 / (1 + s)
    torch.testing.assert_close(after[0], wanted, atol=1e-5, rtol=1e-4)
    assert after[0, 0] < 1e-6
    assert after[0, -1] == pytest.approx(math.exp(-1), abs=0.01)


def test_a_span_is_a_transformers_window_and_is_refused_where_no_gate_keeps():
    assert memory("transformer", 3, 8, span=50).window == 50
    assert all(
        part.input_gates.bias[15].item() == pytest.approx(math.log(9)) for part in memory("gru", 3, 8, 2, 9).layers
    )
    with pytest.raises(InvalidInput, match="Elman: has nothing that fades at a rate, so its span cannot be 9"):
        memory("elman", 3, 8, span=9)
