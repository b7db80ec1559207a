"""Transformer encoder, and decoder with a key-value cache."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InvalidInput, unknown_name
from ..perception.mlp import MLP
from .attention import Cache, MultiHeadAttention, causal_mask

NORMS = ("pre", "post")


class TransformerLayer(nn.Module):
    """Self-attention, cross-attention if there is a context, and a perceptron of width d_ff, each with a residual.

    Args:
        d_model: C.
        n_head: h, of the attentions.
        d_ff: width of the perceptron's hidden layer; None for 4 C.
        norm: "pre", x + f(norm(x)) (Xiong et al., 2020), or "post", norm(x + f(x)) (Vaswani et al., 2017).
        dropout: probability with which an entry of f's is 0 in training.
        d_context: features of the context; None for none.

    Raises:
        InvalidInput: an unknown norm, a dropout outside [0, 1), or a d_model that is not a multiple of n_head.
    """

    def __init__(
        self,
        d_model: int,
        n_head: int,
        d_ff: int | None = None,
        *,
        norm: str = "pre",
        dropout: float = 0.0,
        d_context: int | None = None,
    ) -> None:
        super().__init__()
        if norm not in NORMS:
            raise unknown_name("TransformerLayer: norm", norm, NORMS)
        if not 0 <= dropout < 1:
            raise InvalidInput(f"TransformerLayer: dropout must lie in [0, 1); got {dropout}")
        self.pre = norm == "pre"
        self.dropout = nn.Dropout(dropout) if dropout else None  # without one no counter is kept
        self.attention = MultiHeadAttention(d_model, n_head)
        self.cross = None if d_context is None else MultiHeadAttention(d_model, n_head, d_context)
        self.perceptron = MLP(d_model, (4 * d_model if d_ff is None else d_ff,), d_model, activation="gelu")
        self.norms = nn.ModuleList(nn.LayerNorm(d_model) for _ in range(2 if d_context is None else 3))

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        context: Tensor | tuple[Tensor, Tensor] | None = None,
        context_mask: Tensor | None = None,
        *,
        cache: Cache | None = None,
        bias: Tensor | None = None,
        places: Tensor | None = None,
    ) -> Tensor:
        """A sequence, or what follows the places in a cache.

        Args:
            x: (B, T, C).
            mask: of self-attention, as in `MultiHeadAttention`; T x (t + T) if the cache holds t places.
            context: (B, S, d_context), or the keys and values that `cross.keys_values` made of it.
            context_mask: of cross-attention.
            cache: places before x that self-attention looks at too, and to which x's are added.
            bias: of self-attention.
            places: (t + T,) by which self-attention turns queries and keys; None for not at all.

        Returns:
            (B, T, C).

        Raises:
            InvalidInput: a context where none is wanted, none where one is, or shapes that do not fit each other.
        """
        if (self.cross is None) != (context is None):
            wanted = "no context" if self.cross is None else f"a context of {self.cross.d_context} features"
            raise InvalidInput(f"TransformerLayer: wants {wanted}; got {'none' if context is None else 'one'}")
        x = self._after(0, x, self.attention(self._before(0, x), mask=mask, cache=cache, bias=bias, places=places))
        if self.cross is not None:
            x = self._after(1, x, self.cross(self._before(1, x), context, context_mask))
        return self._after(-1, x, self.perceptron(self._before(-1, x)))

    def _before(self, which: int, x: Tensor) -> Tensor:
        """What a sub-layer sees."""
        return self.norms[which](x) if self.pre else x

    def _after(self, which: int, x: Tensor, change: Tensor) -> Tensor:
        """What a sub-layer passes on."""
        change = change if self.dropout is None else self.dropout(change)
        return x + change if self.pre else self.norms[which](x + change)


class Encoder(nn.Module):
    """Transformer layers over a whole sequence (Vaswani et al., 2017): (B, T, C) to (B, T, C).

    Args:
        d_model: C.
        n_head: h of each layer.
        layers: how many.
        d_ff: width of each layer's perceptron; None for 4 C.
        norm: "pre" or "post", see `TransformerLayer`.
        dropout: see there.

    Raises:
        InvalidInput: layers below 1, an unknown norm, or a d_model that is not a multiple of n_head.
    """

    def __init__(
        self,
        d_model: int,
        n_head: int,
        layers: int,
        d_ff: int | None = None,
        *,
        norm: str = "pre",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.layers = _layers(layers, d_model, n_head, d_ff, norm=norm, dropout=dropout)
        self.norm = nn.LayerNorm(d_model) if norm == "pre" else nn.Identity()

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, T, C) with positions added, and a mask as in `MultiHeadAttention`, to (B, T, C)."""
        for layer in self.layers:
            x = layer(x, mask)
        return self.norm(x)


class Decoder(nn.Module):
    """Transformer layers of which each place sees those up to itself, and a context if it has one.

    The step form keeps each layer's keys and values, so that a step costs attention to the past and no more.

    Args:
        d_model: C.
        n_head: h of each layer.
        layers: N.
        length: L, the most places a memory holds.
        d_ff: width of each layer's perceptron; None for 4 C.
        norm: "pre" or "post", see `TransformerLayer`.
        dropout: see there.
        d_context: features of the sequence cross-attended to; None for none.

    Raises:
        InvalidInput: layers or length below 1, an unknown norm, or a d_model that is not a multiple of n_head.
    """

    def __init__(
        self,
        d_model: int,
        n_head: int,
        layers: int,
        length: int,
        d_ff: int | None = None,
        *,
        norm: str = "pre",
        dropout: float = 0.0,
        d_context: int | None = None,
    ) -> None:
        super().__init__()
        if length < 1:
            raise InvalidInput(f"Decoder: length must be at least 1; got {length}")
        self.d_model, self.n_head, self.length, self.d_context = d_model, n_head, length, d_context
        self.layers = _layers(layers, d_model, n_head, d_ff, norm=norm, dropout=dropout, d_context=d_context)
        self.norm = nn.LayerNorm(d_model) if norm == "pre" else nn.Identity()

    def forward(self, x: Tensor, context: Tensor | None = None, context_mask: Tensor | None = None) -> Tensor:
        """(B, T, C), and a context (B, S, D) with a mask (B, S) bool, True where there is something, to (B, T, C)."""
        mask = causal_mask(x.shape[1], x.device)
        across = None if context is None else _across(context, context_mask)
        for layer in self.layers:
            x = layer(x, mask, context, across)
        return self.norm(x)

    def initial_memory(
        self, batch: int, context: Tensor | None = None, context_mask: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """The memory before the first place.

        Returns:
            Keys and values of each layer in turn, (B, h, t, C / h), t = 0 places at first; then, if there is a context,
            its keys and values for each layer, (B, h, S, C / h), and where it is something, (B, S) bool.

        Raises:
            InvalidInput: a context where none is wanted or none where one is, or another number of rows than `batch`.
        """
        some = self.layers[0].perceptron.layers[0].weight
        memory = tuple(
            some.new_zeros(batch, self.n_head, 0, self.d_model // self.n_head) for _ in range(2 * len(self.layers))
        )
        fits = self.d_context is None if context is None else self.d_context is not None and context.shape[0] == batch
        if not fits:
            rows = "no context" if context is None else f"one of {context.shape[0]} rows"
            wanted = "no context" if self.d_context is None else f"one of {batch} rows"
            raise InvalidInput(f"Decoder: memory needs {wanted}; got {rows}")
        if context is None:
            return memory
        across = [part for layer in self.layers for part in layer.cross.keys_values(context)]
        return (*memory, *across, _across(context, context_mask).squeeze(1))

    def next_place(self, memory: tuple[Tensor, ...]) -> int:
        """t, how many places a memory holds. Raises `InvalidInput` where it holds L already."""
        place = memory[0].shape[2]
        if place >= self.length:
            raise InvalidInput(f"Decoder: a memory holds at most {self.length} places; got one step more")
        return place

    def step(self, x: Tensor, memory: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One step: input (B, C) and memory to output (B, C) and memory, which is one place longer.

        Raises:
            InvalidInput: shapes that do not fit each other, or a memory that holds L places already.
        """
        if x.dim() != 2 or memory[0].shape[0] != x.shape[0] or x.shape[1] != self.d_model:
            wanted = f"({memory[0].shape[0]}, {self.d_model})"
            raise InvalidInput(f"Decoder: input of a step must have shape {wanted}; got {tuple(x.shape)}")
        self.next_place(memory)
        count = 2 * len(self.layers)
        own, across = memory[:count], memory[count:]
        mask = across[-1].unsqueeze(1) if across else None  # (B, 1, S)
        x = x.unsqueeze(1)  # (B, 1, C)
        after: list[Tensor] = []
        for index, layer in enumerate(self.layers):
            cache = Cache(own[2 * index], own[2 * index + 1])
            context = (across[2 * index], across[2 * index + 1]) if across else None
            x = layer(x, None, context, mask, cache=cache)
            after += [cache.key, cache.value]
        return self.norm(x).squeeze(1), (*after, *across)


def _layers(count: int, *sizes: Any, **settings: Any) -> Any:
    if count < 1:
        raise InvalidInput(f"transformer: layers must be at least 1; got {count}")
    return nn.ModuleList(TransformerLayer(*sizes, **settings) for _ in range(count))


def _across(context: Tensor, mask: Tensor | None) -> Tensor:
    """The context's mask as (B, 1, S) bool."""
    if mask is None:
        mask = torch.ones(context.shape[:2], dtype=torch.bool, device=context.device)
    if mask.shape != context.shape[:2]:
        shapes = f"{tuple(context.shape[:2])}; got {tuple(mask.shape)}"
        raise InvalidInput(f"transformer: a context's mask must have its shape (B, S) = {shapes}")
    return mask.unsqueeze(1)
