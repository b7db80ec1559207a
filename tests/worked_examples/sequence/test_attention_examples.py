"""Worked by hand: scaled-dot-product attention, label smoothing, BLEU and perplexity."""

import math

import pytest
import torch
import torch.nn.functional as F

from palaestra.neural_blocks.language.text import perplexity, sentence_bleu, token_loss
from palaestra.neural_blocks.sequence.attention import MultiHeadAttention, causal_mask
from palaestra.neural_blocks.sequence.positions import sinusoidal


def identity(block):
    """Projections that leave everything as it is."""
    size = torch.eye(block.d_model)
    for layer, weight in [(block.query, size), (block.key_value, torch.cat([size, size])), (block.output, size)]:
        layer.weight.data = weight.clone()
        layer.bias.data.zero_()
    return block


def test_attention_with_one_head():
    # q = (2, 0); keys = values = (1, 0), (0, 1): scores (2, 0) / sqrt 2,
    # weights (e^1.41421, 1) / sum = (0.80443, 0.19557)
    block = identity(MultiHeadAttention(2, 1))
    found = block(torch.tensor([[[2.0, 0.0]]]), torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]))
    assert found.flatten().tolist() == pytest.approx([0.80443, 0.19557], abs=1e-5)
    seen = block(torch.tensor([[[2.0, 0.0]]]), torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]), torch.tensor([[False, True]]))
    assert seen.flatten().tolist() == [0, 1]


def test_attention_is_torchs_and_its_formula():
    block, x = identity(MultiHeadAttention(6, 2)), torch.randn(2, 4, 6)
    heads = x.unflatten(-1, (2, 3)).transpose(1, 2)  # (B, h, T, C / h)
    wanted = F.scaled_dot_product_attention(heads, heads, heads, is_causal=True)
    scores = (heads @ heads.transpose(-1, -2) / math.sqrt(3)).masked_fill(~causal_mask(4), -torch.inf)
    torch.testing.assert_close(scores.softmax(-1) @ heads, wanted)
    torch.testing.assert_close(block(x, mask=causal_mask(4)), wanted.transpose(1, 2).flatten(2))


def test_near_places_are_alike():
    # sum over pairs of sin a sin b + cos a cos b = cos(a - b): by distance alone, and the nearer the more
    table = sinusoidal(torch.arange(50.0, dtype=torch.float64), 64)
    products = table @ table.T
    wanted = torch.cos(7 * 10_000.0 ** -(torch.arange(32, dtype=torch.float64) / 32)).sum().item()
    assert products[0, 7].item() == pytest.approx(wanted)
    assert products[40, 47].item() == pytest.approx(wanted)
    assert products[0, 0].item() == pytest.approx(32)
    assert (products[0, :6].diff() < 0).all()


def test_label_smoothing_of_three_classes():
    # p = (0.5, 0.25, 0.25), target 0 at smoothing 0.3: -(0.8 ln 0.5 + 0.1 ln 0.25 + 0.1 ln 0.25) = 1.2 ln 2
    logits = torch.tensor([[0.5, 0.25, 0.25]]).log()
    assert token_loss(logits, torch.tensor([0]), 0.3).item() == pytest.approx(1.2 * math.log(2), rel=1e-6)


def test_perplexity_of_two_tokens():
    # probabilities 1/2 and 1/8: exp((ln 2 + ln 8) / 2) = 4
    logits = torch.tensor([[1.0, 1.0], [7.0, 1.0]]).log()
    assert perplexity(logits, torch.tensor([0, 1])).item() == pytest.approx(4)


def test_bleu_clips_a_repeated_word_and_punishes_brevity():
    # Papineni et al. (2002), example 2: "the" seven times against "the cat is on the mat": 2 of 7
    the, cat, on, mat, there, a, is_ = range(7)
    references = torch.tensor([[[the, cat, is_, on, the, mat, -1], [there, is_, a, cat, on, the, mat]]])
    seven = torch.full((1, 7), the)
    assert sentence_bleu(seven, references, max_n=1).item() == pytest.approx(2 / 7)
    # "the cat" against six or seven words: all of it is right, exp(1 - 6 / 2)
    assert sentence_bleu(torch.tensor([[the, cat]]), references, max_n=2).item() == pytest.approx(math.exp(-2))


def steps_between(output, inputs):
    """How many operations lie on the shortest way back from an output to an input."""
    waiting, seen = [(output.grad_fn, 0)], set()
    while waiting:
        node, far = waiting.pop(0)
        if getattr(node, "variable", None) is inputs:
            return far
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [(following, far + 1) for following, _ in node.next_functions]
    return None


@pytest.mark.parametrize(("block", "grows"), [("attention", False), ("recurrence", True)])
def test_the_way_back_to_a_far_input_is_as_short_as_to_a_near_one_with_attention_alone(block, grows):
    lengths = []
    for length in (4, 8, 16):
        steps = [torch.randn(1, 4, requires_grad=True) for _ in range(length)]
        if block == "attention":
            output = MultiHeadAttention(4, 2)(torch.stack(steps, 1), mask=causal_mask(length, None))[:, -1]
        else:
            cell, output = torch.nn.RNNCell(4, 4), torch.zeros(1, 4)
            for step in steps:
                output = cell(step, output)
        lengths.append(steps_between(output, steps[0]))
    near, middle, far = lengths
    if grows:
        assert far - middle == 2 * (middle - near) > 0  # as many more for each further step
    else:
        assert near == middle == far
