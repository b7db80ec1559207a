"""Attention against PyTorch's own modules and formulas written out."""

import itertools
import math

import pytest
import torch
from torch import nn

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.sequence.attention import (
    Cache,
    HardAttention,
    LuongAttention,
    MultiHeadAttention,
    attention,
    causal_mask,
    padding_mask,
    recorded_attention,
    reinforce_loss,
)
from palaestra.neural_blocks.sequence.positions import positions, sinusoidal
from palaestra.neural_blocks.sequence.transformer import Decoder

B, T, S, C, D = 3, 5, 7, 8, 6


def torch_twin(block):
    """PyTorch's multi-head attention with the same weights."""
    twin = nn.MultiheadAttention(
        block.d_model, block.n_head, kdim=block.d_context, vdim=block.d_context, batch_first=True
    )
    key, value = block.key_value.weight.data.chunk(2)
    if block.d_context == block.d_model:
        twin.in_proj_weight.data = torch.cat([block.query.weight.data, key, value])
    else:
        twin.q_proj_weight.data, twin.k_proj_weight.data, twin.v_proj_weight.data = block.query.weight.data, key, value
    twin.in_proj_bias.data = torch.cat([block.query.bias.data, block.key_value.bias.data])
    twin.out_proj.weight.data, twin.out_proj.bias.data = block.output.weight.data, block.output.bias.data
    return twin


@pytest.mark.parametrize("heads", [1, 2, 8])
def test_self_attention_is_torchs(heads):
    block, x = MultiHeadAttention(C, heads), torch.randn(B, T, C)
    twin = torch_twin(block)
    torch.testing.assert_close(block(x), twin(x, x, x)[0])
    causal = twin(x, x, x, attn_mask=~causal_mask(T))[0]
    torch.testing.assert_close(block(x, mask=causal_mask(T)), causal)
    lengths = torch.tensor([5, 1, 3])
    mask = padding_mask(lengths, T)
    wanted = twin(x, x, x, key_padding_mask=~mask[:, 0], attn_mask=~causal_mask(T))[0]
    torch.testing.assert_close(block(x, mask=mask & causal_mask(T)), wanted)


def test_cross_attention_is_torchs():
    block, x, context = MultiHeadAttention(C, 2, D), torch.randn(B, T, C), torch.randn(B, S, D)
    mask = padding_mask(torch.tensor([7, 2, 4]), S)
    wanted = torch_twin(block)(x, context, context, key_padding_mask=~mask[:, 0])[0]
    torch.testing.assert_close(block(x, context, mask), wanted)
    context[1, 2:] = 9
    torch.testing.assert_close(block(x, context, mask)[1], wanted[1])


def test_a_float_mask_is_added_to_each_heads_scores():
    block, x, bias = MultiHeadAttention(C, 2), torch.randn(B, T, C), torch.randn(2, T, T)
    wanted = torch_twin(block)(x, x, x, attn_mask=bias.repeat(B, 1, 1))[0]
    torch.testing.assert_close(block(x, mask=bias.unsqueeze(0)), wanted)


def test_a_query_that_may_look_nowhere_finds_zeros_and_harms_no_gradient():
    block, x = MultiHeadAttention(C, 2), torch.randn(B, T, C, requires_grad=True)
    output = block(x, mask=padding_mask(torch.tensor([0, 5, 5]), T))
    torch.testing.assert_close(output[0], block.output.bias.expand(T, C))
    output.sum().backward()
    assert x.grad.isfinite().all()


def test_attention_is_the_softmax_of_scaled_products_times_the_values():
    query, key, value = torch.randn(B, 2, T, 4), torch.randn(B, 2, S, 4), torch.randn(B, 2, S, 4)
    mask, bias = torch.rand(B, 1, T, S) < 0.6, torch.randn(2, T, S)
    wanted = torch.zeros(B, 2, T, 4)
    for b, h, t in itertools.product(range(B), range(2), range(T)):
        seen = [s for s in range(S) if mask[b, 0, t, s]]
        scores = [math.exp(query[b, h, t] @ key[b, h, s] / math.sqrt(4) + bias[h, t, s]) for s in seen]
        wanted[b, h, t] = sum(score / sum(scores) * value[b, h, s] for score, s in zip(scores, seen, strict=True))
    torch.testing.assert_close(attention(query, key, value, mask, bias), wanted, atol=1e-5, rtol=1e-5)
    fused = nn.functional.scaled_dot_product_attention(query, key, value, mask)
    torch.testing.assert_close(attention(query, key, value, mask), fused, atol=1e-6, rtol=1e-5)


def test_weights_are_recorded_for_every_attention_of_a_model_and_rebuild_what_it_found():
    model, x, context = Decoder(C, 2, 2, T, d_context=D), torch.randn(B, T, C), torch.randn(B, S, D)
    found = []
    hook = model.layers[1].cross.product.register_forward_hook(lambda _, given, out: found.append((given[2], out)))
    with recorded_attention(model) as weights:
        model(x, context)
    model(x, context)
    hook.remove()
    assert {name: [call.shape for call in calls] for name, calls in weights.items()} == {
        f"layers.{layer}.{kind}": [(B, 2, T, T if kind == "attention" else S)]
        for layer in range(2)
        for kind in ("attention", "cross")
    }
    for calls in weights.values():
        torch.testing.assert_close(calls[0].sum(-1), torch.ones(B, 2, T))
    assert not weights["layers.0.attention"][0].triu(1).any()  # nothing is seen before its time
    value, out = found[0]
    torch.testing.assert_close(weights["layers.1.cross"][0] @ value, out, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("biased", [False, True])
def test_what_is_masked_counts_for_nothing_even_if_it_is_not_finite(bad, biased):
    block, x, context = MultiHeadAttention(C, 2, D), torch.randn(B, T, C), torch.randn(B, S, D)
    bias = torch.randn(2, T, S) if biased else None
    mask = torch.ones(B, T, S, dtype=torch.bool)
    mask[:, :2, 3] = mask[1, :, 5] = False  # a place hidden from the first queries, and one hidden from all
    wanted = block(x, context, mask, bias=bias)
    context[0, 3] = context[1, 5] = bad
    context.requires_grad_()
    output = block(x, context, mask, bias=bias)
    assert output[0, 2:].isnan().all()
    torch.testing.assert_close(output[0, :2], wanted[0, :2])
    torch.testing.assert_close(output[1:], wanted[1:])
    gradient, of_query = torch.autograd.grad(output[1:].sum(), [context, block.query.weight])
    assert gradient.isfinite().all()
    assert of_query.isfinite().all()


def test_padding_that_is_not_finite_counts_for_nothing():
    block, x, context = MultiHeadAttention(C, 2, D), torch.randn(B, T, C), torch.randn(B, S, D)
    mask = padding_mask(torch.tensor([7, 2, 0]), S)
    wanted = block(x, context, mask)
    torch.testing.assert_close(block(x, context.masked_fill(~mask.mT, torch.nan), mask), wanted)


def test_a_cache_makes_a_sequence_read_in_pieces_the_whole():
    block, x = MultiHeadAttention(C, 2), torch.randn(B, T, C)
    wanted = block(x, mask=causal_mask(T))
    cache = Cache(*(torch.zeros(B, 2, 0, C // 2) for _ in range(2)))
    pieces = [block(x[:, begin:end], mask=causal_mask(end)[begin:], cache=cache) for begin, end in ((0, 2), (2, T))]
    torch.testing.assert_close(torch.cat(pieces, 1), wanted)
    assert cache.key.shape == (B, 2, T, C // 2)


def test_sinusoids_are_those_of_the_paper():
    table = sinusoidal(torch.arange(50), 6)
    for place, i in [(0, 0), (7, 1), (49, 2)]:
        angle = place / 10_000 ** (2 * i / 6)
        assert table[place, 2 * i : 2 * i + 2].tolist() == pytest.approx([math.sin(angle), math.cos(angle)], abs=1e-5)
    # a shift is a rotation of each pair, the same at each place
    first, second = table[:, 2:4], sinusoidal(torch.arange(50) + 3, 6)[:, 2:4]
    angle = 3 / 10_000 ** (2 / 6)
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    torch.testing.assert_close(second, first @ turn, rtol=1e-4, atol=1e-5)


def test_sinusoids_stay_and_learned_positions_learn():
    fixed, learned = positions("sinusoidal", 9, 4), positions("learned", 9, 4)
    assert not fixed.weight.requires_grad
    assert learned.weight.requires_grad
    torch.testing.assert_close(fixed(torch.tensor([[8, 0]])), sinusoidal(torch.tensor([[8, 0]]), 4))


def luong(score):
    return LuongAttention(C, C if score == "dot" else D, score, 9 if score == "location" else 0)


@pytest.mark.parametrize("score", ["dot", "general", "concat", "location"])
def test_luong_attention_is_its_formula(score):
    block = luong(score)
    state, source = torch.randn(B, T, C), torch.randn(B, S, block.source_size)
    mask = padding_mask(torch.tensor([7, 2, 4]), S)
    states, alignment = block(state, source, mask)
    for b, length in enumerate([7, 2, 4]):
        for t in range(T):
            scores = []
            for s in range(length):
                if score == "dot":
                    scores.append(state[b, t] @ source[b, s])
                elif score == "general":
                    scores.append(state[b, t] @ block.general.weight @ source[b, s])
                elif score == "location":
                    scores.append(block.location.weight[s] @ state[b, t])
                else:
                    joint = torch.cat([state[b, t], source[b, s]])
                    scores.append(block.vector.weight[0] @ torch.tanh(block.joint.weight @ joint))
            weights = torch.stack(scores).softmax(0)
            torch.testing.assert_close(alignment[b, t, :length], weights)
            assert not alignment[b, t, length:].any()
            both = torch.cat([weights @ source[b, :length], state[b, t]])
            torch.testing.assert_close(states[b, t], torch.tanh(block.output.weight @ both))


@pytest.mark.parametrize("score", ["dot", "general", "concat", "location"])
def test_luong_attention_of_a_state_that_may_look_nowhere_knows_of_no_source(score):
    block = luong(score)
    state, source = torch.randn(B, T, C, requires_grad=True), torch.randn(B, S, block.source_size)
    mask = padding_mask(torch.tensor([7, 0, 4]), S).expand(-1, T, -1)
    wanted = block(state, source, mask)
    for bad in (0.0, math.nan, math.inf):
        states, alignment = block(state, source.masked_fill(~mask[:, :1].mT, bad), mask)
        torch.testing.assert_close((states, alignment), wanted)
        assert not alignment[1].any()
        torch.testing.assert_close(states[1], torch.tanh(state[1] @ block.output.weight[:, block.source_size :].T))
        gradients = torch.autograd.grad(states.sum() + alignment.square().sum(), [state, *block.parameters()])
        assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("noise", [None, torch.tensor([0.1, 0.5, 0.9])])
def test_hard_attention_of_a_row_that_may_look_nowhere_finds_zeros(noise):
    block, query, source = HardAttention(C, D), torch.randn(B, C, requires_grad=True), torch.randn(B, S, D)
    mask = padding_mask(torch.tensor([7, 0, 4]), S)[:, 0]
    wanted = block(query, source, noise, mask)
    glimpse, index, log_probability, entropy = block(query, source.masked_fill(~mask[..., None], math.nan), noise, mask)
    torch.testing.assert_close((glimpse, index, log_probability, entropy), wanted)
    assert not glimpse[1].any()
    assert (index[1], log_probability[1], entropy[1]) == (0, 0, 0)
    gradients = torch.autograd.grad((log_probability + entropy).sum(), [query, *block.parameters()])
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_hard_attention_draws_places_by_their_probabilities():
    block = HardAttention(C, D)
    query, source = torch.randn(1, C), torch.randn(1, S, D)
    mask = torch.tensor([[False, True, True, False, True, True, False]])
    n = 20_000
    noise = torch.arange(n) / n
    glimpse, index, log_probability, entropy = block(
        query.expand(n, C), source.expand(n, S, D), noise, mask.expand(n, S)
    )
    scores = (source[0] @ (block.score.weight @ query[0] + block.score.bias) / math.sqrt(D)).masked_fill(~mask[0], -1e9)
    wanted = torch.distributions.Categorical(logits=scores)
    torch.testing.assert_close(index.bincount(minlength=S) / n, wanted.probs, atol=2e-4, rtol=0)
    torch.testing.assert_close(log_probability, wanted.log_prob(index))
    torch.testing.assert_close(entropy[0], wanted.entropy(), atol=1e-5, rtol=1e-5)
    assert torch.equal(glimpse, source[0][index])
    likeliest = block(query, source, mask=mask)[1]
    assert likeliest.item() == wanted.probs.argmax().item()
    last = block(query, source, torch.tensor([1 - 2**-24]), mask)[1]
    assert last.item() == 5


def test_reinforce_estimates_the_gradient_of_the_mean_reward_and_a_baseline_steadies_it():
    block = HardAttention(C, D)
    query, source, reward = torch.randn(1, C), torch.randn(1, S, D), torch.randn(S) + 5
    n = 4000
    weight = block.score.weight

    def exact():
        probabilities = ((source[0] @ (weight @ query[0] + block.score.bias)) / math.sqrt(D)).softmax(0)
        return torch.autograd.grad(-(probabilities * reward).sum(), weight)[0]

    def estimate(baseline):
        drawn = block(query.expand(n, C), source.expand(n, S, D), torch.rand(n))
        return torch.autograd.grad(reinforce_loss(drawn[2], reward[drawn[1]], baseline), weight)[0]

    torch.manual_seed(0)
    plain = torch.stack([estimate(0.0) for _ in range(20)])
    steadied = torch.stack([estimate(5.0) for _ in range(20)])
    scale = exact().abs().max()
    assert (steadied.mean(0) - exact()).abs().max() < 0.05 * scale
    assert steadied.var(0).mean() < 0.2 * plain.var(0).mean()


def cases():
    x, context, query = torch.randn(B, T, C), torch.randn(B, S, D), torch.randn(B, C)
    return {
        "self": (MultiHeadAttention(C, 2), (x, None, causal_mask(T))),
        "cross": (MultiHeadAttention(C, 2, D), (x, context, padding_mask(torch.tensor([7, 2, 4]), S))),
        "luong_general": (LuongAttention(C, D), (x, context)),
        "luong_concat": (LuongAttention(C, D, "concat"), (x, context, padding_mask(torch.tensor([7, 2, 4]), S))),
        "hard": (HardAttention(C, D), (query, context, torch.tensor([0.1, 0.6, 0.9]))),
    }


@pytest.mark.parametrize("name", cases())
def test_blocks_compile_to_one_graph_run_in_bfloat16_and_come_back_from_a_file(name):
    block, arguments = cases()[name]
    wanted = block(*arguments)
    torch.testing.assert_close(torch.compile(block, backend="eager", fullgraph=True)(*arguments), wanted)
    torch.save(block.state_dict(), "block.pt")
    other, _ = cases()[name]
    other.load_state_dict(torch.load("block.pt", weights_only=True))
    torch.testing.assert_close(other(*arguments), wanted)
    half = [x.bfloat16() if isinstance(x, torch.Tensor) and x.is_floating_point() else x for x in arguments]
    output = block.bfloat16()(*half)
    exact, output = (wanted, output) if isinstance(wanted, torch.Tensor) else (wanted[0], output[0])
    assert output.dtype == torch.bfloat16
    if name != "hard":
        torch.testing.assert_close(output.float(), exact, atol=0.1, rtol=0.1)


@pytest.mark.parametrize("name", cases())
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_every_output_has_the_inputs_dtype(name, dtype):
    block, arguments = cases()[name]
    cast = [x.to(dtype) if isinstance(x, torch.Tensor) and x.is_floating_point() else x for x in arguments]
    output = block.to(dtype)(*cast)
    for part in output if isinstance(output, tuple) else (output,):
        assert part.dtype in (dtype, torch.int64)
    assert sinusoidal(torch.arange(3, dtype=dtype), 4).dtype == dtype


def test_bad_input_is_named():
    x, context = torch.randn(B, T, C), torch.randn(B, S, D)
    block = MultiHeadAttention(C, 2, D)
    refusals = [
        (lambda: MultiHeadAttention(8, 3), "multiple of n_head; got 8 and 3"),
        (lambda: block(x), r"context must have shape \(B, S, 6\); got \(3, 5, 8\)"),
        (lambda: block(x[:2], context), r"input must have shape \(3, T, 8\); got \(2, 5, 8\)"),
        (lambda: block(x, context, causal_mask(T)), r"\(3, 2, 5, 7\); got \(5, 5\)"),
        (lambda: block(x, context, torch.ones(S, dtype=torch.bool)), r"\(3, 2, 5, 7\); got \(7,\)"),
        (lambda: block(x, context, torch.ones(T, S, dtype=torch.int64)), "bool or floating-point; got torch.int64"),
        (lambda: sinusoidal(torch.arange(3), 5), "even and at least 2; got 5"),
        (lambda: positions("sinusoids", 3, 4), "did you mean 'sinusoidal'"),
        (lambda: positions("learned", 0, 4), "got 0 and 4"),
        (lambda: LuongAttention(8, 6, "dot"), "equal sizes; got 8 and 6"),
        (lambda: LuongAttention(8, 6, "generel"), "did you mean 'general'"),
        (lambda: LuongAttention(8, 6, "location"), "places are of the score 'location' alone; got 0 and 'location'"),
        (lambda: LuongAttention(8, 6, "general", 4), "places are of the score 'location' alone; got 4 and 'general'"),
        (lambda: LuongAttention(8, 6, "location", 6)(x, context), "may have 6 places; got 7"),
        (lambda: LuongAttention(8, 6)(x, context[:2]), r"\(3, 5, 8\) and \(2, 7, 6\)"),
        (lambda: LuongAttention(8, 6)(x, context, causal_mask(T)), r"\(3, 1, 5, 7\); got \(5, 5\)"),
        (lambda: HardAttention(8, 6)(x[:, 0], context[:2]), r"\(3, 8\) and \(2, 7, 6\)"),
        (lambda: HardAttention(8, 6)(x[:, 0], context, None, causal_mask(T)), r"\(3, 7\); got \(5, 5\)"),
        (lambda: HardAttention(8, 6)(x[:, 0], context, torch.zeros(2)), r"noise must have shape \(3,\); got \(2,\)"),
        (lambda: reinforce_loss(torch.zeros(3), torch.zeros(3, 1)), r"\(3,\) and \(3, 1\)"),
    ]
    for refused, told in refusals:
        with pytest.raises(InvalidInput, match=told):
            refused()
