"""Attention: multi-head self- and cross-attention with masks and a cache, Luong's attention, hard attention."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import InvalidInput, unknown_name
from ..noise import at_least_float32, categorical
from .positions import positions as positions
from .positions import rotated
from .positions import sinusoidal as sinusoidal

SCORES = ("dot", "general", "concat", "location")


def causal_mask(length: int, device: Any = None) -> Tensor:
    """(L, L) bool: query t may look at places 0 to t."""
    return torch.ones(length, length, dtype=torch.bool, device=device).tril()


def padding_mask(lengths: Tensor, length: int) -> Tensor:
    """From the true lengths (B,) int64 to (B, 1, L) bool: any query may look at the places before the padding."""
    return (torch.arange(length, device=lengths.device) < lengths.unsqueeze(-1)).unsqueeze(1)


def attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, bias: Tensor | None = None
) -> Tensor:
    """softmax(Q Kᵀ / √d + bias) V, the scaled-dot-product attention (Vaswani et al., 2017).

    Args:
        query: Q (..., T, d).
        key: K (..., S, d).
        value: V (..., S, D).
        mask: (..., T, S) bool, True where a query may look; None for everywhere. What is masked counts for nothing,
            even NaN or infinity, and a query that may look nowhere finds zeros.
        bias: (..., T, S), added to the scores.

    Returns:
        (..., T, D).
    """
    return attention_weights(query, key, mask, bias) @ value


def attention_weights(query: Tensor, key: Tensor, mask: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """softmax(Q Kᵀ / √d + bias) (..., T, S), whose rows sum to 1; arguments as of `attention`."""
    scores = (query / math.sqrt(query.shape[-1])) @ key.transpose(-1, -2)  # (..., T, S)
    return masked_softmax(scores if bias is None else scores.add_(bias), mask)


def masked_softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Softmax over the places of the last axis where the mask (bool) is True; zeros where it is nowhere."""
    if mask is None:
        return scores.softmax(-1)
    lowest = torch.finfo(scores.dtype).min  # not -inf: a softmax over nothing would be NaN, and so would its gradient
    unseen = ~mask
    return scores.masked_fill(unseen, lowest).softmax(-1).masked_fill(unseen, 0)


def hide_unseen(mask: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
    """Keeps NaN and infinity of masked places out of sums, where times 0 would let them through.

    Args:
        mask: (B, 1, T, S) or (B, T, S) bool, True where a query may look; what broadcasts to it.
        parts: (B, h, S, D) or (B, S, D) each, such as keys and values.

    Returns:
        The parts with zeros in masked places that are not finite, and (B, 1, T, 1) or (B, T, 1) bool, where a query may
        look at a place that is not finite but had to be hidden from others: what it finds is NaN.
    """
    if mask.shape[-2] == 1:  # all queries look at the same places
        unseen = ~mask.transpose(-1, -2)
        return *(part.masked_fill(unseen, 0) for part in parts), torch.zeros_like(mask[..., :1])
    sums = torch.stack([part.sum(-1, dtype=at_least_float32(part).dtype) for part in parts]).sum(0)  # (B, h, S)
    broken = ~sums.isfinite()
    hidden = tuple(part.masked_fill(broken.unsqueeze(-1), 0) for part in parts)
    if broken.dim() == 3 and mask.shape[1] == 1:
        broken = broken.any(1, keepdim=True)
    return *hidden, (mask & broken.unsqueeze(-2)).any(-1, keepdim=True)


class ScaledDotProduct(nn.Module):
    """`attention` of a block's heads; a module of its own so that hooks see what goes in and comes out."""

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, bias: Tensor | None = None
    ) -> Tensor:
        """Queries (B, h, T, d), keys and values (B, h, S, d), mask bool and bias to (B, h, T, d)."""
        lost = None
        if mask is not None:
            key, value, lost = hide_unseen(mask, key, value)
        if bias is None:
            found = functional.scaled_dot_product_attention(query, key, value, mask)  # `attention`, fused
        else:  # the fused one has no gradient for a bias and would hold a copy of it for each row
            found = attention(query, key, value, mask, bias)
        return found if lost is None else found.masked_fill(lost, torch.nan)


@contextmanager
def recorded_attention(module: nn.Module) -> Iterator[dict[str, list[Tensor]]]:
    """Inside it, the attention weights of every block with a `ScaledDotProduct` in the module are kept, and Luong's.

    Yields:
        By the block's name in the module, one tensor (B, h, T, S) for each of its calls; Luong's has one head.
    """
    weights: dict[str, list[Tensor]] = {}
    hooks = []
    for name, block in module.named_modules():
        if isinstance(block, LuongAttention):
            calls = weights.setdefault(name, [])
            hooks.append(block.register_forward_hook(lambda _, __, out, calls=calls: calls.append(_luong(out))))
        if isinstance(block, ScaledDotProduct):
            calls = weights.setdefault(name.rpartition(".")[0], [])

            def keep(_: Any, given: tuple[Any, ...], __: Any, calls: list[Tensor] = calls) -> None:
                query, key, _value, *rest = given
                calls.append(attention_weights(query, key, *rest).detach())

            hooks.append(block.register_forward_hook(keep))
    try:
        yield weights
    finally:
        for hook in hooks:
            hook.remove()


def _luong(output: tuple[Tensor, Tensor]) -> Tensor:
    """The weights (B, T, S) among what `LuongAttention` gives, as those of one head."""
    return output[1].detach().unsqueeze(1)


class Cache:
    """Keys and values of the places read before, (B, h, t, d) each; it grows by what is read."""

    def __init__(self, key: Tensor, value: Tensor) -> None:
        self.key, self.value = key, value

    def extend(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Takes further places (B, h, T, d) in and gives all of them, (B, h, t + T, d) each."""
        self.key, self.value = torch.cat([self.key, key], 2), torch.cat([self.value, value], 2)
        return self.key, self.value


class MultiHeadAttention(nn.Module):
    """Scaled-dot-product attention in several heads (Vaswani et al., 2017), of a sequence to itself or to another.

    Args:
        d_model: C, features in and out; a multiple of `n_head`.
        n_head: h, heads of d = C / h features each.
        d_context: features of the sequence looked at; None for C.

    Raises:
        InvalidInput: a d_model that is not a multiple of n_head.
    """

    def __init__(self, d_model: int, n_head: int, d_context: int | None = None) -> None:
        super().__init__()
        if n_head < 1 or d_model < 1 or d_model % n_head:
            raise InvalidInput(f"MultiHeadAttention: d_model must be a multiple of n_head; got {d_model} and {n_head}")
        self.d_model, self.n_head, self.d_context = d_model, n_head, d_context or d_model
        self.query = nn.Linear(d_model, d_model)
        self.key_value = nn.Linear(self.d_context, 2 * d_model)
        self.product = ScaledDotProduct()
        self.output = nn.Linear(d_model, d_model)

    def forward(
        self,
        x: Tensor,
        context: Tensor | tuple[Tensor, Tensor] | None = None,
        mask: Tensor | None = None,
        *,
        cache: Cache | None = None,
        bias: Tensor | None = None,
        places: Tensor | None = None,
    ) -> Tensor:
        """What each place of x finds in the context.

        Args:
            x: (B, T, C) queries.
            context: (B, S, d_context), looked at, or what `keys_values` made of it; None for x itself.
            mask: bool, True where a query may look, or float, added to the scores; (B, h, T, S) or what broadcasts
                to it, the heads' axis being left out of one with three axes. `causal_mask` and `padding_mask` fit
                and are joined by &. A query that may look nowhere finds zeros.
            cache: places that were read before, which are looked at too, and to which this context's are added.
            bias: learned (h, T, S), added to the scores.
            places: (S,) of the keys, the queries' own being the last of them, by which both are `rotated`; None for no
                rotation.

        Returns:
            (B, T, C).

        Raises:
            InvalidInput: shapes that do not fit each other.
        """
        if context is None:
            context = x
        key, value = context if isinstance(context, tuple) else self.keys_values(context)
        if cache is not None:
            key, value = cache.extend(key, value)
        if x.dim() != 3 or x.shape[2] != self.d_model or x.shape[0] != key.shape[0]:
            wanted = f"({key.shape[0]}, T, {self.d_model})"
            raise InvalidInput(f"MultiHeadAttention: input must have shape {wanted}; got {tuple(x.shape)}")
        query = self.query(x).unflatten(-1, (self.n_head, -1)).transpose(1, 2)  # (B, h, T, d)
        if places is not None:
            query, key = rotated(query, places[len(places) - x.shape[1] :]), rotated(key, places)
        if mask is not None:
            mask = fitting_mask(mask, (x.shape[0], self.n_head, x.shape[1], key.shape[2]))
            if mask.is_floating_point():
                mask, bias = mask > -torch.inf, mask if bias is None else mask + bias
        found = self.product(query, key, value, mask, bias)  # (B, h, T, d)
        return self.output(found.transpose(1, 2).flatten(2))

    def keys_values(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of a context (B, S, d_context), each (B, h, S, d)."""
        if context.dim() != 3 or context.shape[2] != self.d_context:
            wanted = f"(B, S, {self.d_context})"
            raise InvalidInput(f"MultiHeadAttention: context must have shape {wanted}; got {tuple(context.shape)}")
        key, value = self.key_value(context).unflatten(-1, (2, self.n_head, -1)).permute(2, 0, 3, 1, 4).unbind()
        return key, value


def fitting_mask(mask: Tensor, shape: tuple[int, int, int, int]) -> Tensor:
    """The mask with four axes, if it broadcasts to (B, h, T, S). Raises `InvalidInput` if it does not."""
    if mask.dtype != torch.bool and not mask.is_floating_point():
        raise InvalidInput(f"attention: mask must be bool or floating-point; got {mask.dtype}")
    full = mask.unsqueeze(1) if mask.dim() == 3 else mask
    fits = 2 <= full.dim() <= 4 and all(
        size in (1, wanted) for size, wanted in zip(reversed(full.shape), reversed(shape), strict=False)
    )
    if not fits:
        raise InvalidInput(f"attention: mask must broadcast to (B, n_head, T, S) = {shape}; got {tuple(mask.shape)}")
    return full[(None,) * (4 - full.dim())]


class LuongAttention(nn.Module):
    """Global attention of a decoder's states to an encoder's (Luong et al., 2015), giving attentional states.

    Args:
        size: C, features of the decoder's states, and out.
        source_size: D, features of the encoder's states.
        score: "dot", h · s, for which C = D; "general", h · W s; "concat", v · tanh(W [h; s]); or "location", W h, a
            row of W for each place, which looks at where things stand and not at what they are.
        places: the most that a source may have; only "location" asks.

    Raises:
        InvalidInput: an unknown score, "dot" with C unlike D, or "location" without places.
    """

    def __init__(self, size: int, source_size: int, score: str = "general", places: int = 0) -> None:
        super().__init__()
        if score not in SCORES:
            raise unknown_name("LuongAttention: score", score, SCORES)
        if score == "dot" and size != source_size:
            raise InvalidInput(f"LuongAttention: the dot score needs equal sizes; got {size} and {source_size}")
        if (score == "location") != (places > 0):
            raise InvalidInput(f"LuongAttention: places are of the score 'location' alone; got {places} and {score!r}")
        self.size, self.source_size, self.score, self.places = size, source_size, score, places
        if score == "location":
            self.location = nn.Linear(size, places, bias=False)
        if score == "general":
            self.general = nn.Linear(source_size, size, bias=False)
        if score == "concat":
            self.joint = nn.Linear(size + source_size, size, bias=False)
            self.vector = nn.Linear(size, 1, bias=False)
        self.output = nn.Linear(source_size + size, size, bias=False)

    def scores(self, state: Tensor, source: Tensor) -> Tensor:
        """(B, T, C) and (B, S, D) to (B, T, S)."""
        if self.score == "location":
            return self.location(state)[..., : source.shape[1]]
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
            Attentional states (B, T, C) and alignment (B, T, S), whose rows sum to 1; both of a state that may look
            nowhere know of no source: its alignment and context are zeros.

        Raises:
            InvalidInput: shapes that do not fit each other.
        """
        fits = state.dim() == source.dim() == 3 and state.shape[0] == source.shape[0]
        if not fits or state.shape[2] != self.size or source.shape[2] != self.source_size:
            wanted = f"(B, T, {self.size}) and (B, S, {self.source_size})"
            shapes = f"{tuple(state.shape)} and {tuple(source.shape)}"
            raise InvalidInput(f"LuongAttention: state and source must have shapes {wanted}; got {shapes}")
        if self.score == "location" and source.shape[1] > self.places:
            raise InvalidInput(f"LuongAttention: a source may have {self.places} places; got {source.shape[1]}")
        if mask is None:
            alignment = self.scores(state, source).softmax(-1)
        else:
            mask = fitting_mask(mask, (state.shape[0], 1, state.shape[1], source.shape[1])).squeeze(1)
            source, lost = hide_unseen(mask, source)
            alignment = masked_softmax(self.scores(state, source), mask).masked_fill(lost, torch.nan)
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
            The place's features (B, D), its index (B,) int64, its log-probability (B,), and the entropy (B,) in nats,
            all of the query's dtype. A row that may look nowhere finds zeros, at place 0, of log-probability 0.

        Raises:
            InvalidInput: shapes that do not fit each other.
        """
        batch = query.shape[0]
        fits = query.dim() == 2 and source.dim() == 3 and batch == source.shape[0]
        if not fits or query.shape[1] != self.size or source.shape[2] != self.source_size:
            wanted = f"(B, {self.size}) and (B, S, {self.source_size})"
            shapes = f"{tuple(query.shape)} and {tuple(source.shape)}"
            raise InvalidInput(f"HardAttention: query and source must have shapes {wanted}; got {shapes}")
        if noise is not None and noise.shape != query.shape[:1]:
            raise InvalidInput(f"HardAttention: noise must have shape ({batch},); got {tuple(noise.shape)}")
        if mask is None:
            mask = torch.ones(source.shape[:2], dtype=torch.bool, device=source.device)
        if mask.shape != source.shape[:2]:
            shapes = f"{tuple(source.shape[:2])}; got {tuple(mask.shape)}"
            raise InvalidInput(f"HardAttention: mask must have the shape (B, S) = {shapes}")
        source = source.masked_fill(~mask.unsqueeze(-1), 0)  # NaN times 0 would reach the other places' gradients
        scores = (source @ self.score(query).unsqueeze(-1)).squeeze(-1)  # (B, S)
        scores = at_least_float32(scores) / math.sqrt(self.source_size)
        nowhere = ~mask.any(-1)  # (B,)
        scores = scores.masked_fill(~mask, -torch.inf).masked_fill(nowhere.unsqueeze(-1), 0.0)
        log_probabilities = scores.log_softmax(-1)
        probabilities = log_probabilities.exp().masked_fill(~mask, 0)
        index = scores.argmax(-1) if noise is None else categorical(probabilities, noise)
        index = index.masked_fill(nowhere, 0)
        place = index.unsqueeze(-1)  # (B, 1)
        found = source.gather(1, place.unsqueeze(-1).expand(-1, -1, self.source_size)).squeeze(1)
        log_probability = log_probabilities.gather(1, place).squeeze(1).masked_fill(nowhere, 0)
        entropy = -(probabilities * log_probabilities.masked_fill(probabilities == 0, 0)).sum(-1)
        dtype = query.dtype
        return found.masked_fill(nowhere.unsqueeze(-1), 0), index, log_probability.to(dtype), entropy.to(dtype)


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
