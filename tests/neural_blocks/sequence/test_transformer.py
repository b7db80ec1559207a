"""Encoder, decoder, language model and vision transformer against PyTorch's own layers, and step against full pass."""

import pytest
import torch
import torch._dynamo.testing
from torch import nn

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.language.decoding import ancestral, beam, greedy
from palaestra.neural_blocks.language.language_model import LanguageModel, TokenEmbedding
from palaestra.neural_blocks.perception.vision_transformer import PatchEmbedding, SwinTransformer, VisionTransformer
from palaestra.neural_blocks.sequence.attention import MultiHeadAttention, causal_mask, padding_mask
from palaestra.neural_blocks.sequence.transformer import Decoder, Encoder, TransformerLayer

B, T, S, C, D, V, L = 3, 5, 7, 8, 6, 11, 6
NORMS = pytest.mark.parametrize("norm", ["pre", "post"])


def copy_attention(block, twin):
    twin.in_proj_weight.data = torch.cat([block.query.weight.data, block.key_value.weight.data])
    twin.in_proj_bias.data = torch.cat([block.query.bias.data, block.key_value.bias.data])
    twin.out_proj.load_state_dict(block.output.state_dict())


def torch_layer(layer, norm, context):
    """PyTorch's encoder or decoder layer with the same weights."""
    kind = nn.TransformerDecoderLayer if context else nn.TransformerEncoderLayer
    twin = kind(C, 2, 4 * C, 0.0, "gelu", batch_first=True, norm_first=norm == "pre")
    copy_attention(layer.attention, twin.self_attn)
    if context:
        copy_attention(layer.cross, twin.multihead_attn)
    for mine, theirs in zip(layer.perceptron.layers[::2], (twin.linear1, twin.linear2), strict=True):
        theirs.load_state_dict(mine.state_dict())
    norms = [twin.norm1, twin.norm2, twin.norm3] if context else [twin.norm1, twin.norm2]
    for mine, theirs in zip(layer.norms, norms, strict=True):
        nn.init.normal_(mine.weight)
        nn.init.normal_(mine.bias)
        theirs.load_state_dict(mine.state_dict())
    return twin


@NORMS
def test_an_encoder_layer_is_torchs(norm):
    layer, x = TransformerLayer(C, 2, norm=norm), torch.randn(B, T, C)
    mask = padding_mask(torch.tensor([5, 1, 3]), T)
    wanted = torch_layer(layer, norm, False)(x, src_key_padding_mask=~mask[:, 0])
    torch.testing.assert_close(layer(x, mask), wanted)


@NORMS
def test_a_decoder_layer_is_torchs(norm):
    layer, x, context = TransformerLayer(C, 2, norm=norm, d_context=C), torch.randn(B, T, C), torch.randn(B, S, C)
    mask = padding_mask(torch.tensor([7, 2, 4]), S)
    wanted = torch_layer(layer, norm, True)(x, context, tgt_mask=~causal_mask(T), memory_key_padding_mask=~mask[:, 0])
    torch.testing.assert_close(layer(x, causal_mask(T), context, mask), wanted)


@NORMS
def test_a_deep_encoder_is_torchs(norm):
    block, x = Encoder(C, 2, 3, norm=norm), torch.randn(B, T, C)
    wanted = x
    for layer in block.layers:
        wanted = torch_layer(layer, norm, False)(wanted)
    wanted = block.norm(wanted)
    torch.testing.assert_close(block(x), wanted)
    assert isinstance(block.norm, nn.LayerNorm if norm == "pre" else nn.Identity)


def make(kind, norm="pre"):
    """A model, its sequence and its context."""
    torch.manual_seed(0)
    context = (torch.randn(B, S, D), padding_mask(torch.tensor([7, 2, 4]), S)[:, 0]) if kind == "cross" else ()
    return Decoder(C, 2, 2, L, norm=norm, d_context=D if kind == "cross" else None), torch.randn(B, L, C), context


@NORMS
@pytest.mark.parametrize("kind", ["alone", "cross"])
def test_the_decoders_step_form_is_its_full_pass(norm, kind):
    block, x, context = make(kind, norm)
    wanted, memory = block(x, *context), block.initial_memory(B, *context)
    for t in range(L):
        output, memory = block.step(x[:, t], memory)
        torch.testing.assert_close(output, wanted[:, t], atol=1e-5, rtol=1e-5)
    assert memory[0].shape == (B, 2, L, C // 2)
    with pytest.raises(InvalidInput, match="a memory holds at most 6 places; got one step more"):
        block.step(x[:, 0], memory)


@torch.no_grad()
def test_the_compiled_step_has_one_graph_for_all_places_but_the_first_two():
    block, x, _ = make("alone")
    torch.compiler.reset()
    graphs = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")
    step, wanted, memory = torch.compile(block.step, backend=graphs, fullgraph=True), block(x), block.initial_memory(B)
    for t in range(L):
        output, memory = step(x[:, t], memory)
        torch.testing.assert_close(output, wanted[:, t], atol=1e-5, rtol=1e-5)
    assert graphs.frame_count <= 3


@NORMS
def test_dropped_entries_of_a_sub_layer_are_zero_and_the_others_larger(norm):
    plain, layer = TransformerLayer(C, 2, norm=norm), TransformerLayer(C, 2, norm=norm, dropout=0.25)
    layer.load_state_dict(plain.state_dict())
    x = torch.randn(6, 5, C)
    assert torch.equal(layer.eval()(x), plain(x))
    layer.train()
    seen = layer._before(0, x)
    change = layer.attention(seen)
    torch.manual_seed(3)
    dropped = layer._after(0, x, change)
    torch.manual_seed(3)
    wanted = torch.nn.functional.dropout(change, 0.25)
    assert 0.15 < (wanted == 0).double().mean() < 0.35
    torch.testing.assert_close(dropped, x + wanted if norm == "pre" else layer.norms[0](x + wanted))


def test_windows_are_shifted_by_half_a_side_in_every_other_layer():
    network = SwinTransformer((1, 4, 8), patch=1, window=4, d_model=C, n_head=2, layers=2)
    patches = [(row, column) for row in range(4) for column in range(8)]
    for name, by in (("plain", 0), ("shifted", 2)):
        windows = [((row + by) // 4, (column + by) // 4) for row, column in patches]
        assert getattr(network, name).tolist() == [[one == other for other in windows] for one in windows]
    x = torch.rand(1, 1, 4, 8, requires_grad=True)
    states = network.patches(x) + network.positions.weight
    states = network.layers[0](states, network.plain)
    states[0, 0].sum().backward()
    assert x.grad[0, 0, :, :4].ne(0).all()
    assert x.grad[0, 0, :, 4:].eq(0).all()


def test_a_place_sees_nothing_behind_it():
    block, x, _ = make("alone")
    gradient = torch.autograd.functional.jacobian(lambda x: block(x)[0, :, 0], x)[:, 0].abs().sum(-1)  # (L, L)
    assert torch.equal(gradient > 0, causal_mask(L))


@pytest.mark.parametrize("kind", ["alone", "cross"])
def test_the_language_models_steps_are_its_full_pass(kind):
    _, _, context = make(kind)
    model = LanguageModel(V, L, C, 2, 2, position="learned", d_context=D if kind == "cross" else None)
    tokens = torch.randint(0, V, (B, L))
    wanted, memory = model(tokens, *context), model.initial_memory(B, *context)
    token = torch.full((B,), model.start)
    for t in range(L):
        logits, memory = model.step(token, memory)
        torch.testing.assert_close(logits, wanted[:, t], atol=1e-5, rtol=1e-5)
        token = tokens[:, t]


def test_hooks_on_every_layer_and_attention_fire_at_each_step():
    block, x, context = make("cross")
    fired = []
    for name, module in block.named_modules():
        if type(module) in (TransformerLayer, MultiHeadAttention, nn.Linear, nn.LayerNorm):
            module.register_forward_hook(lambda *_, name=name: fired.append(name))
    block(x, *context)
    wanted, memory = sorted(fired), block.initial_memory(B, *context)
    fired.clear()
    block.step(x[:, 0], memory)
    of_context = [f"layers.{index}.cross.key_value" for index in range(2)]  # read once, when the memory is made
    assert sorted([*fired, *of_context]) == wanted


def test_a_memory_holds_what_was_read_and_no_more():
    block, x, _ = make("alone")
    memory = block.initial_memory(B)
    for t in range(3):
        assert block.next_place(memory) == t
        assert all(part.shape == (B, 2, t, C // 2) for part in memory)
        _, memory = block.step(x[:, t], memory)


def test_steps_past_the_length_are_refused_however_they_are_taken():
    model = LanguageModel(V, 2, C, 2, 1)
    memory, token = model.initial_memory(1), torch.zeros(1, dtype=torch.int64)
    for _ in range(2):
        _, memory = model.step(token, memory)
    with pytest.raises(InvalidInput, match="a memory holds at most 2 places; got one step more"):
        model.step(token, memory)
    with pytest.raises(InvalidInput, match="a memory holds at most 2 places; got one step more"):
        greedy(model.step, model.initial_memory(1), token, 3)


def test_sampling_and_decoding_keep_no_graph():
    model = LanguageModel(V, L, C, 2, 1)
    tracked = []
    model.head.register_forward_hook(lambda _, __, out: tracked.append(out.requires_grad))
    start = torch.full((2,), model.start)
    model.sample(2, seed=0)
    greedy(model.step, model.initial_memory(2), start, L)
    ancestral(model.step, model.initial_memory(2), start, L, seed=0)
    _, scores = beam(model.step, model.initial_memory(2), start, L, end=1, width=2)
    assert len(tracked) == 4 * L
    assert not any(tracked)
    assert not scores.requires_grad


@pytest.mark.parametrize("make", [lambda d_ff: Encoder(C, 2, 1, d_ff), lambda d_ff: Decoder(C, 2, 1, L, d_ff)])
def test_the_perceptrons_width_is_d_ff_and_four_times_d_model_without(make):
    for d_ff, width in ((None, 4 * C), (5, 5)):
        assert make(d_ff).layers[0].perceptron.layers[0].weight.shape == (width, C)


def test_probabilities_of_all_sequences_sum_to_one():
    model = LanguageModel(3, 4, C, 2, 1)
    everything = torch.cartesian_prod(*[torch.arange(3)] * 4)
    torch.testing.assert_close(model.log_prob(everything).exp().sum(), torch.tensor(1.0))
    padded = torch.tensor([[1, 2, -1, -1]])
    torch.testing.assert_close(model.log_prob(padded), model.log_prob(torch.tensor([[1, 2]])))
    torch.testing.assert_close(model.loss(padded), -model.log_prob(padded)[0] / 2)


def test_samples_follow_the_models_probabilities():
    torch.manual_seed(1)
    model = LanguageModel(3, 2, C, 2, 1)
    nn.init.normal_(model.head.weight)
    n = 20_000
    drawn = model.sample(n, seed=0)
    share = (drawn[:, 0] * 3 + drawn[:, 1]).bincount(minlength=9) / n
    wanted = model.log_prob(torch.cartesian_prod(torch.arange(3), torch.arange(3))).exp()
    torch.testing.assert_close(share, wanted.detach(), atol=0.012, rtol=0)
    assert wanted.max() > 0.2
    assert torch.equal(model.sample(9, seed=3), model.sample(9, seed=torch.tensor(3)))


def test_a_context_decides_what_is_sampled():
    _, _, context = make("cross")
    model = LanguageModel(V, L, C, 2, 2, d_context=D)
    assert model.sample(B, *context, seed=0).shape == (B, L)
    tokens = torch.randint(0, V, (B, L))
    assert not torch.allclose(model.log_prob(tokens, *context), model.log_prob(tokens, context[0] + 1, context[1]))


def test_patches_are_cut_row_by_row():
    block = PatchEmbedding((2, 4, 6), 2, C)
    image = torch.randn(B, 2, 4, 6)
    cut = torch.stack([image[:, :, i : i + 2, j : j + 2].flatten(1) for i in (0, 2) for j in (0, 2, 4)], 1)
    wanted = cut @ block.linear.weight.flatten(1).T + block.linear.bias
    torch.testing.assert_close(block(image), wanted)


CASES = {
    "encoder": lambda: (
        Encoder(C, 2, 2, norm="post"),
        (torch.randn(B, T, C), padding_mask(torch.tensor([5, 1, 3]), T)),
    ),
    "decoder": lambda: (Decoder(C, 2, 2, L), (torch.randn(B, L, C),)),
    "decoder_cross": lambda: (
        Decoder(C, 2, 2, L, norm="post", d_context=D),
        (torch.randn(B, L, C), torch.randn(B, S, D)),
    ),
    "embedding": lambda: (TokenEmbedding(V, L, C), (torch.randint(0, V, (B, T)),)),
    "language_model": lambda: (LanguageModel(V, L, C, 2), (torch.randint(0, V, (B, L)),)),
    "swin": lambda: (SwinTransformer((1, 8, 8), 10, d_model=C), (torch.rand(B, 1, 8, 8),)),
    "vision_transformer": lambda: (VisionTransformer((1, 8, 8), 10, d_model=C), (torch.rand(B, 1, 8, 8),)),
}


@pytest.mark.parametrize("name", CASES)
def test_blocks_compile_to_one_graph_run_in_bfloat16_and_come_back_from_a_file(name):
    block, arguments = CASES[name]()
    wanted = block(*arguments)
    torch.testing.assert_close(torch.compile(block, backend="eager", fullgraph=True)(*arguments), wanted)
    torch.save(block.state_dict(), "block.pt")
    other = CASES[name]()[0]
    other.load_state_dict(torch.load("block.pt", weights_only=True))
    torch.testing.assert_close(other(*arguments), wanted)
    half = [x.bfloat16() if x.is_floating_point() else x for x in arguments]
    output = block.bfloat16()(*half)
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), wanted, atol=0.1, rtol=0.1)


def test_bad_input_is_named():
    x, context = torch.randn(B, T, C), torch.randn(B, S, D)
    decoder, crossing = Decoder(C, 2, 1, L), Decoder(C, 2, 1, L, d_context=D)
    refusals = [
        (lambda: Encoder(C, 3, 1), "multiple of n_head; got 8 and 3"),
        (lambda: Encoder(C, 2, 0), "layers must be at least 1; got 0"),
        (lambda: Encoder(C, 2, 1, norm="past"), "did you mean 'post'"),
        (lambda: Encoder(C, 2, 1, dropout=1.0), r"dropout must lie in \[0, 1\); got 1.0"),
        (lambda: SwinTransformer((1, 8, 8), window=1), "window must be at least 2; got 1"),
        (lambda: Encoder(C, 2, 1)(x, causal_mask(T + 1)), r"\(3, 2, 5, 5\); got \(6, 6\)"),
        (lambda: Decoder(C, 2, 1, 0), "length must be at least 1; got 0"),
        (lambda: decoder(x, context), "wants no context; got one"),
        (lambda: crossing(x), "wants a context of 6 features; got none"),
        (lambda: crossing(x, context, torch.ones(B, T, dtype=torch.bool)), r"\(3, 7\); got \(3, 5\)"),
        (lambda: crossing.initial_memory(B), "needs one of 3 rows; got no context"),
        (lambda: crossing.initial_memory(2, context), "needs one of 2 rows; got one of 3 rows"),
        (lambda: decoder.initial_memory(B, context), "needs no context; got one of 3 rows"),
        (lambda: decoder.step(x, decoder.initial_memory(B)), r"\(3, 8\); got \(3, 5, 8\)"),
        (lambda: TokenEmbedding(V, 4, C)(torch.zeros(2, 5, dtype=torch.int64)), "at most 4 tokens fit; got 5"),
        (lambda: TokenEmbedding(0, 4, C), "at least 1; got 0"),
        (lambda: PatchEmbedding((1, 8, 8), 3, C), r"got 3 and \(1, 8, 8\)"),
        (lambda: VisionTransformer((1, 8, 8))(torch.zeros(2, 3, 8, 8)), r"\(B, 1, 8, 8\); got \(2, 3, 8, 8\)"),
    ]
    for refused, told in refusals:
        with pytest.raises(InvalidInput, match=told):
            refused()
