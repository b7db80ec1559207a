"""Decoding: a sequence from a model's step form, greedily, by beam search or by drawing.

A step takes the last tokens (B,) int64 and a memory (a tuple of tensors whose first axis is the row) and gives the next
tokens' logits (B, V) and the memory after; `language_model.LanguageModel.step` is one. Decoding keeps no gradients.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..errors import InvalidInput
from ..noise import Draws, Seed, at_least_float32, categorical

Step = Callable[[Tensor, tuple[Tensor, ...]], tuple[Tensor, tuple[Tensor, ...]]]


def greedy(step: Step, memory: tuple[Tensor, ...], start: Tensor, length: int, *, end: int | None = None) -> Tensor:
    """The likeliest token at each step.

    Args:
        step: the model.
        memory: before the first step.
        start: (B,) int64, the first step's input.
        length: L, steps.
        end: the token that ends a sequence; it is kept and -1 follows it. None for none.

    Returns:
        (B, L) int64.

    Raises:
        InvalidInput: a length below 1.
    """
    return _decode(step, memory, start, length, end, lambda logits: logits.argmax(-1))


def ancestral(
    step: Step,
    memory: tuple[Tensor, ...],
    start: Tensor,
    length: int,
    *,
    end: int | None = None,
    seed: Seed = None,
) -> Tensor:
    """A token drawn from the model's probabilities at each step, all draws hashed from the seed; else as `greedy`."""
    draws = Draws(seed, start.device)

    def draw(logits: Tensor) -> Tensor:
        return categorical(at_least_float32(logits).softmax(-1), draws.uniform(start.shape[0]))

    return _decode(step, memory, start, length, end, draw)


@torch.no_grad()
def _decode(
    step: Step,
    memory: tuple[Tensor, ...],
    start: Tensor,
    length: int,
    end: int | None,
    choose: Callable[[Tensor], Tensor],
) -> Tensor:
    if length < 1:
        raise InvalidInput(f"decoding: length must be at least 1; got {length}")
    token, over, tokens = start, torch.zeros_like(start, dtype=torch.bool), []
    for _ in range(length):
        logits, memory = step(token, memory)
        token = choose(logits)
        tokens.append(token.masked_fill(over, -1))
        if end is not None:
            over = over | (token == end)
    return torch.stack(tokens, 1)


@torch.no_grad()
def beam(
    step: Step,
    memory: tuple[Tensor, ...],
    start: Tensor,
    length: int,
    *,
    end: int,
    width: int,
    normalisation: float = 1.0,
    bonus: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Beam search: keeps the best sequences at each step, by (log p + bonus times length) / length ^ normalisation.

    Without the division a longer sequence always loses to what it begins with (Jean et al., 2015; the power is
    Wu et al.'s, 2016). A finished sequence stays in the beam as long as its score does.

    Args:
        step: the model.
        memory: before the first step, of B rows.
        start: (B,) int64, the first step's input.
        length: L, steps.
        end: the token that ends a sequence; it counts into the length and -1 follows it.
        width: W, sequences kept of each row.
        normalisation: 0 compares log-probabilities, 1 their mean over tokens.
        bonus: for each token, nats (He et al., 2016); with normalisation 1 it changes nothing.

    Returns:
        Sequences (B, W, L) int64, the best first, and their scores (B, W), of the logits' dtype but at least float32;
        -inf where there are fewer than W.

    Raises:
        InvalidInput: a length or width below 1.
    """
    if min(length, width) < 1:
        raise InvalidInput(f"decoding: length and width must be at least 1; got {length} and {width}")
    rows, device = start.shape[0], start.device
    memory = tuple(part.repeat_interleave(width, 0) for part in memory)  # (B W, ...)
    token = start.repeat_interleave(width)
    tokens = torch.full((rows, width, length), -1, device=device)
    over = torch.zeros(rows, width, dtype=torch.bool, device=device)
    size = torch.zeros(rows, width, dtype=torch.int64, device=device)  # tokens of each sequence
    first = (torch.arange(width, device=device) > 0).expand(rows, -1)  # the rest of the beam is empty at first
    total = torch.zeros(rows, width, device=device, dtype=torch.float32).masked_fill(first, -torch.inf)  # log p
    for time in range(length):
        logits, memory = step(token, memory)
        vocabulary = logits.shape[-1]
        each = at_least_float32(logits).log_softmax(-1).view(rows, width, vocabulary)
        stay = torch.full((vocabulary,), -torch.inf, dtype=each.dtype, device=device)
        stay[end] = 0  # a finished sequence goes on in one way, at no cost
        candidates = total.unsqueeze(-1) + torch.where(over.unsqueeze(-1), stay, each)  # (B, W, V)
        sizes = size + (~over).long()
        scores = (candidates + bonus * sizes.unsqueeze(-1)) / sizes.unsqueeze(-1) ** normalisation
        best, place = scores.flatten(1).topk(width, 1)  # (B, W)
        parent, token = place // vocabulary, place % vocabulary
        total = candidates.flatten(1).gather(1, place)
        size, was_over = sizes.gather(1, parent), over.gather(1, parent)
        tokens = tokens.gather(1, parent.unsqueeze(-1).expand_as(tokens))
        tokens[:, :, time] = token.masked_fill(was_over, -1)
        over = was_over | (token == end)
        flat = (parent + torch.arange(rows, device=device).unsqueeze(1) * width).flatten()
        memory = tuple(part.index_select(0, flat) for part in memory)
        token = token.flatten()
    return tokens, best
