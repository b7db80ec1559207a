"""Attention: positions, multi-head self- and cross-attention with masks, Luong's attention, hard attention."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import InvalidInput, unknown_name

POSITIONS = ("sinusoidal", "learned")
SCORES = ("dot", "general", "concat")


def sinusoidal(positions: Tensor, size: int) -> Tensor:
    """Sines and cosines of wavelengths from 2π to 10,000 · 2π, side by side in pairs (Vaswani et al., 2017).

    Args:
        positions: (...) of any real dtype: a place in a sequence, or a diffusion step.
        size: features out, even.

    Returns:
        (..., size) float32.

    Raises:
        InvalidInput: an odd size.
    """
    if size < 2 or size % 2:
        raise InvalidInput(f"sinusoidal: size must be even and at least 2; got {size}")
    exponent = torch.arange(0, size, 2, device=positions.device, dtype=torch.float32) / size
    angle = positions.float().unsqueeze(-1) * torch.exp(-math.log(10_000.0) * exponent)  # (..., size / 2)
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(-2)


def positions(kind: str, length: int, size: int) -> nn.Embedding:
    """A table of positions: places (...) int64 below `length` to (..., size), fixed sinusoids or learned vectors.

    Args:
        kind: "sinusoidal" (Vaswani et al., 2017) or "learned" (Gehring et al., 2017).
        length: places in the table.
        size: features of each.

    Raises:
        InvalidInput: an unknown kind, a length below 1 or an odd sinusoidal size.
    """
    if kind not in POSITIONS:
        raise unknown_name("positions", kind, POSITIONS)
    if min(length, size) < 1:
        raise InvalidInput(f"positions: length and size must be at least 1; got {length} and {size}")
    if kind == "sinusoidal":
        return nn.Embedding.from_pretrained(sinusoidal(torch.arange(length), size))
    table = nn.Embedding(length, size)
    nn.init.normal_(table.weight, std=0.02)
    return table


def causal_mask(length: int, device: Any = None) -> Tensor:
    """(L, L) bool: query t may look at places 0 to t."""
    return torch.ones(length, length, dtype=torch.bool, device=device).tril()


def padding_mask(lengths: Tensor, length: int) -> Tensor:
    """From the true lengths (B,) int64 to (B, 1, L) bool: any query may look at the places before the padding."""
    return (torch.arange(length, device=lengths.device) < lengths.unsqueeze(-1)).unsqueeze(1)


class MultiHeadAttention(nn.Module):
    """Scaled-dot-product attention in several heads (Vaswani et al., 2017), of a sequence to itself or to another.

    Args:
        size: C, features in and out; a multiple of `heads`.
        heads: h, each of C / h features.
        context_size: features of the sequence looked at; None for C.

    Raises:
        InvalidInput: a size that is not a multiple of heads.
    """

    def __init__(self, size: int, heads: int, context_size: int | None = None) -> None:
        super().__init__()
        if heads < 1 or size < 1 or size % heads:
            raise InvalidInput(f"MultiHeadAttention: size must be a multiple of heads; got {size} and {heads}")
        self.size, self.heads, self.context_size = size, heads, context_size or size
        self.query = nn.Linear(size, size)
        self.key_value = nn.Linear(self.context_size, 2 * size)
        self.output = nn.Linear(size, size)

    def forward(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """What each place of x finds in the context.

        Args:
            x: (B, T, C) queries.
            context: (B, S, context_size), looked at; None for x itself.
            mask: bool, True where a query may look, or float, added to the scores; (B, h, T, S) or what broadcasts
                to it, the heads' axis being left out of one with three axes. `causal_mask` and `padding_mask` fit
                and are joined by &. A query that may look nowhere finds zeros.

        Returns:
            (B, T, C).

        Raises:
            InvalidInput: shapes that do not fit each other.
        """
        return self.attend(x, *self.keys_values(x if context is None else context), mask)

    def keys_values(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of a context (B, S, context_size), each (B, h, S, C / h): what a cache keeps."""
        if context.dim() != 3 or context.shape[2] != self.context_size:
            wanted = f"(B, S, {self.context_size})"
            raise InvalidInput(f"MultiHeadAttention: context must have shape {wanted}; got {tuple(context.shape)}")
        key, value = self.key_value(context).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind()
        return key, value

    def attend(
        self, x: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, bias: Tensor | None = None
    ) -> Tensor:
        """Like `forward`, with the context's keys and values (B, h, S, C / h) at hand.

        A learned bias (h, T, S) is added to the scores; every query must then be allowed to look somewhere.
        """
        if x.dim() != 3 or x.shape[2] != self.size or x.shape[0] != key.shape[0]:
            wanted = f"({key.shape[0]}, T, {self.size})"
            raise InvalidInput(f"MultiHeadAttention: input must have shape {wanted}; got {tuple(x.shape)}")
        query = self.query(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, h, T, C / h)
        if mask is not None:
            mask = fitting_mask(mask, (x.shape[0], self.heads, x.shape[1], key.shape[2]))
        if bias is None:
            found = functional.scaled_dot_product_attention(query, key, value, mask)  # (B, h, T, C / h)
        else:  # the fused one has no gradient for a bias and would hold a copy of it for each row
            scores = ((query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)).add_(bias)  # (B, h, T, S)
            found = (scores if mask is None else scores.masked_fill_(~mask, -torch.inf)).softmax(-1) @ value
        return self.output(found.transpose(1, 2).flatten(2))


def fitting_mask(mask: Tensor, shape: tuple[int, int, int, int]) -> Tensor:
    """The mask with four axes, if it broadcasts to (B, h, T, S). Raises `InvalidInput` if it does not."""
    full = mask.unsqueeze(1) if mask.dim() == 3 else mask
    fits = 2 <= full.dim() <= 4 and all(
        size in (1, wanted) for size, wanted in zip(reversed(full.shape), reversed(shape), strict=False)
    )
    if not fits:
        raise InvalidInput(f"attention: mask must broadcast to (B, heads, T, S) = {shape}; got {tuple(mask.shape)}")
    return full


class LuongAttention(nn.Module):
    """Global attention of a decoder's states to an encoder's (Luong et al., 2015), giving attentional states.

    Args:
        size: C, features of the decoder's states, and out.
        source_size: D, features of the encoder's states.
        score: "dot", h · s, for which C = D; "general", h · W s; "concat", v · tanh(W [h; s]).

    Raises:
        InvalidInput: an unknown score, or "dot" with C unlike D.
    """

    def __init__(self, size: int, source_size: int, score: str = "general") -> None:
        super().__init__()
        if score not in SCORES:
            raise unknown_name("LuongAttention: score", score, SCORES)
        if score == "dot" and size != source_size:
            raise InvalidInput(f"LuongAttention: the dot score needs equal sizes; got {size} and {source_size}")
        self.size, self.source_size, self.score = size, source_size, score
        if score == "general":
            self.general = nn.Linear(source_size, size, bias=False)
        if score == "concat":
            self.joint = nn.Linear(size + source_size, size, bias=False)
            self.vector = nn.Linear(size, 1, bias=False)
        self.output = nn.Linear(source_size + size, size, bias=False)

    def scores(self, state: Tensor, source: Tensor) -> Tensor:
        """(B, T, C) and (B, S, D) to (B, T, S)."""
        if self.score == "concat":
            weight, source_weight = self.joint.weight.split([self.size, self.source_size], 1)
            both = (state @ weight.T).unsqueeze(2) + (source @ source_weight.T).unsqueeze(1)  # (B, T, S, C)
            return self.vector(both.tanh()).squeeze(-1)
        return state @ (self.general(source) if self.score == "general" else source).transpose(1, 2)

    def forward(self, state: Tensor, source: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """tanh(W [context; state]) and the alignment.

        Args:
            state: (B, T, C), the decoder's.
            source: (B, S, D), the encoder's.
            mask: bool, True where a state may look, broadcasting to (B, T, S).

        Returns:
            Attentional states (B, T, C) and alignment (B, T, S), whose rows sum to 1.

        Raises:
            InvalidInput: shapes that do not fit each other.
        """
        fits = state.dim() == source.dim() == 3 and state.shape[0] == source.shape[0]
        if not fits or state.shape[2] != self.size or source.shape[2] != self.source_size:
            wanted = f"(B, T, {self.size}) and (B, S, {self.source_size})"
            shapes = f"{tuple(state.shape)} and {tuple(source.shape)}"
            raise InvalidInput(f"LuongAttention: state and source must have shapes {wanted}; got {shapes}")
        scores = self.scores(state, source)
        if mask is not None:
            shape = (scores.shape[0], 1, scores.shape[1], scores.shape[2])
            scores = scores.masked_fill(~fitting_mask(mask, shape).view(-1, *mask.shape[-2:]), -torch.inf)
        alignment = scores.softmax(-1)
        return torch.tanh(self.output(torch.cat([alignment @ source, state], -1))), alignment


class HardAttention(nn.Module):
    """Looks at one place of a source, drawn at random (Xu et al., 2015); trained by `reinforce_loss`.

    Args:
        size: C, features of the query.
        source_size: D, features of each place.
    """

    def __init__(self, size: int, source_size: int) -> None:
        super().__init__()
        self.size, self.source_size = size, source_size
        self.score = nn.Linear(size, source_size)

    def forward(
        self, query: Tensor, source: Tensor, noise: Tensor | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Draws a place for each row.

        Args:
            query: (B, C).
            source: (B, S, D).
            noise: (B,) uniforms in [0, 1) that decide the draw; None for the likeliest place.
            mask: (B, S) bool, True where one may look; None for everywhere.

        Returns:
            The place's features (B, D), its index (B,) int64, its log-probability (B,), and the entropy (B,) in nats.

        Raises:
            InvalidInput: shapes that do not fit each other.
        """
        fits = query.dim() == 2 and source.dim() == 3 and len(query) == len(source)
        if not fits or query.shape[1] != self.size or source.shape[2] != self.source_size:
            wanted = f"(B, {self.size}) and (B, S, {self.source_size})"
            shapes = f"{tuple(query.shape)} and {tuple(source.shape)}"
            raise InvalidInput(f"HardAttention: query and source must have shapes {wanted}; got {shapes}")
        scores = (source @ self.score(query).unsqueeze(-1)).squeeze(-1).float() / math.sqrt(self.source_size)  # (B, S)
        if mask is not None:
            if mask.shape != scores.shape:
                shapes = f"{tuple(scores.shape)}; got {tuple(mask.shape)}"
                raise InvalidInput(f"HardAttention: mask must have the shape (B, S) = {shapes}")
            scores = scores.masked_fill(~mask, -torch.inf)
        log_probabilities = scores.log_softmax(-1)
        probabilities = log_probabilities.exp()
        if noise is not None and noise.shape != query.shape[:1]:
            raise InvalidInput(f"HardAttention: noise must have shape ({len(query)},); got {tuple(noise.shape)}")
        if noise is None:
            index = scores.argmax(-1)
        else:  # dividing by the last sum keeps the draw off masked places behind it
            reached = probabilities.cumsum(-1)
            index = (reached / reached[:, -1:] <= noise.unsqueeze(-1)).sum(-1)
        rows = torch.arange(len(query), device=query.device)
        entropy = -(probabilities * log_probabilities.masked_fill(probabilities == 0, 0)).sum(-1)
        return source[rows, index], index, log_probabilities[rows, index], entropy


def reinforce_loss(log_probability: Tensor, reward: Tensor, baseline: Tensor | float = 0.0) -> Tensor:
    """-(reward - baseline) log p, averaged: its gradient estimates that of the mean reward (Williams, 1992).

    Args:
        log_probability: (B,) of what was drawn.
        reward: (B,), what it earned; no gradient flows into it.
        baseline: (B,) or a number that does not depend on the draw, such as the mean reward so far.

    Returns:
        A scalar to minimise.

    Raises:
        InvalidInput: log-probabilities and rewards of different shapes.
    """
    if log_probability.shape != reward.shape:
        shapes = f"{tuple(log_probability.shape)} and {tuple(reward.shape)}"
        raise InvalidInput(f"reinforce_loss: log-probabilities and rewards must have one shape; got {shapes}")
    return -((reward - baseline).detach() * log_probability).mean()
