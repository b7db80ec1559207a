"""Transformer encoder, and decoder with a key-value cache."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InvalidInput, unknown_name
from ..perception.mlp import MLP
from .attention import MultiHeadAttention, causal_mask

NORMS = ("pre", "post")


class TransformerLayer(nn.Module):
    """Self-attention, cross-attention if there is a context, and a perceptron of width 4 C, each with a residual.

    Args:
        size: C.
        heads: h, of the attentions.
        norm: "pre", x + f(norm(x)) (Xiong et al., 2020), or "post", norm(x + f(x)) (Vaswani et al., 2017).
        context_size: features of the context; None for none.

    Raises:
        InvalidInput: an unknown norm, or a size that is not a multiple of heads.
    """

    def __init__(self, size: int, heads: int, norm: str = "pre", context_size: int | None = None) -> None:
        super().__init__()
        if norm not in NORMS:
            raise unknown_name("TransformerLayer: norm", norm, NORMS)
        self.pre = norm == "pre"
        self.attention = MultiHeadAttention(size, heads)
        self.cross = None if context_size is None else MultiHeadAttention(size, heads, context_size)
        self.perceptron = MLP(size, (4 * size,), size, activation="gelu")
        self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in range(2 if context_size is None else 3))

    def before(self, which: int, x: Tensor) -> Tensor:
        """What the sub-layer sees."""
        return self.norms[which](x) if self.pre else x

    def after(self, which: int, x: Tensor, change: Tensor) -> Tensor:
        """What the sub-layer passes on."""
        return x + change if self.pre else self.norms[which](x + change)

    def forward(
        self, x: Tensor, mask: Tensor | None = None, context: Tensor | None = None, context_mask: Tensor | None = None
    ) -> Tensor:
        """(B, T, C), with a mask and a context (B, S, D) with its mask as in `MultiHeadAttention`, to (B, T, C).

        Raises:
            InvalidInput: a context where none is wanted, none where one is, or shapes that do not fit each other.
        """
        if (self.cross is None) != (context is None):
            wanted = "no context" if self.cross is None else f"a context of {self.cross.context_size} features"
            raise InvalidInput(f"TransformerLayer: wants {wanted}; got {'none' if context is None else 'one'}")
        x = self.after(0, x, self.attention(self.before(0, x), mask=mask))
        keys_values = None if self.cross is None or context is None else self.cross.keys_values(context)
        return self.rest(x, keys_values, context_mask)

    def rest(self, x: Tensor, context: tuple[Tensor, Tensor] | None, context_mask: Tensor | None) -> Tensor:
        """What follows self-attention, with the context's keys and values (B, h, S, C / h), if any, at hand."""
        if self.cross is not None and context is not None:
            x = self.after(1, x, self.cross.attend(self.before(1, x), *context, context_mask))
        return self.after(-1, x, self.perceptron(self.before(-1, x)))


class Encoder(nn.Module):
    """Transformer layers over a whole sequence (Vaswani et al., 2017): (B, T, C) to (B, T, C).

    Args:
        size: C.
        heads: h of each layer.
        layers: how many.
        norm: "pre" or "post", see `TransformerLayer`.

    Raises:
        InvalidInput: layers below 1, an unknown norm, or a size that is not a multiple of heads.
    """

    def __init__(self, size: int, heads: int, layers: int, norm: str = "pre") -> None:
        super().__init__()
        self.layers = _layers(size, heads, layers, norm, None)
        self.norm = nn.LayerNorm(size) if norm == "pre" else nn.Identity()

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, T, C) with positions added, and a mask as in `MultiHeadAttention`, to (B, T, C)."""
        for layer in self.layers:
            x = layer(x, mask)
        return self.norm(x)


class Decoder(nn.Module):
    """Transformer layers of which each place sees those up to itself, and a context if it has one.

    The step form keeps each layer's keys and values, so that a step costs attention to the past and no more.

    Args:
        size: C.
        heads: h of each layer.
        layers: N.
        length: L, the most steps a memory holds.
        norm: "pre" or "post", see `TransformerLayer`.
        context_size: features of the sequence cross-attended to; None for none.

    Raises:
        InvalidInput: layers or length below 1, an unknown norm, or a size that is not a multiple of heads.
    """

    def __init__(
        self, size: int, heads: int, layers: int, length: int, norm: str = "pre", context_size: int | None = None
    ) -> None:
        super().__init__()
        if length < 1:
            raise InvalidInput(f"Decoder: length must be at least 1; got {length}")
        self.size, self.heads, self.length = size, heads, length
        self.layers = _layers(size, heads, layers, norm, context_size)
        self.norm = nn.LayerNorm(size) if norm == "pre" else nn.Identity()

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
        """Empty keys and values (B, N, h, L, C / h) and the time (B,) int64; then the context's, if there is one.

        Raises:
            InvalidInput: a context where none is wanted or none where one is, or another number of rows than `batch`.
        """
        some = self.layers[0].perceptron.layers[0].weight
        shape = (batch, len(self.layers), self.heads, self.length, self.size // self.heads)
        memory = (some.new_zeros(shape), some.new_zeros(shape), some.new_zeros(batch, dtype=torch.int64))
        if (context is None) != (self.layers[0].cross is None) or (context is not None and len(context) != batch):
            rows = "no context" if context is None else f"one of {len(context)} rows"
            wanted = "no context" if self.layers[0].cross is None else f"one of {batch} rows"
            raise InvalidInput(f"Decoder: memory needs {wanted}; got {rows}")
        if context is None:
            return memory
        keys, values = zip(*(layer.cross.keys_values(context) for layer in self.layers), strict=True)
        present = _across(context, context_mask).squeeze(1)  # (B, S)
        return (*memory, torch.stack(keys, 1), torch.stack(values, 1), present)

    def step(self, x: Tensor, memory: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One step: input (B, C) and memory to output (B, C) and memory; at most L of them."""
        if x.dim() != 2 or memory[0].shape[0] != x.shape[0] or x.shape[1] != self.size:
            wanted = f"({memory[0].shape[0]}, {self.size})"
            raise InvalidInput(f"Decoder: input of a step must have shape {wanted}; got {tuple(x.shape)}")
        keys, values, time = memory[:3]
        places = torch.arange(self.length, device=x.device)
        here = (places == time.unsqueeze(1))[:, None, :, None]  # (B, 1, L, 1)
        past = (places <= time.unsqueeze(1)).unsqueeze(1)  # (B, 1, L)
        x = x.unsqueeze(1)  # (B, 1, C)
        all_keys, all_values = [], []
        for index, layer in enumerate(self.layers):
            seen = layer.before(0, x)
            key, value = layer.attention.keys_values(seen)  # (B, h, 1, C / h)
            all_keys.append(torch.where(here, key, keys[:, index]))
            all_values.append(torch.where(here, value, values[:, index]))
            x = layer.after(0, x, layer.attention.attend(seen, all_keys[-1], all_values[-1], past))
            if len(memory) > 3:
                x = layer.rest(x, (memory[3][:, index], memory[4][:, index]), memory[5].unsqueeze(1))
            else:
                x = layer.rest(x, None, None)
        memory = (torch.stack(all_keys, 1), torch.stack(all_values, 1), time + 1, *memory[3:])
        return self.norm(x).squeeze(1), memory


def _layers(size: int, heads: int, layers: int, norm: str, context_size: int | None) -> Any:
    if layers < 1:
        raise InvalidInput(f"transformer: layers must be at least 1; got {layers}")
    return nn.ModuleList(TransformerLayer(size, heads, norm, context_size) for _ in range(layers))


def _across(context: Tensor, mask: Tensor | None) -> Tensor:
    """The context's mask as (B, 1, S) bool."""
    if mask is None:
        mask = torch.ones(context.shape[:2], dtype=torch.bool, device=context.device)
    if mask.shape != context.shape[:2]:
        shapes = f"{tuple(context.shape[:2])}; got {tuple(mask.shape)}"
        raise InvalidInput(f"transformer: a context's mask must have its shape (B, S) = {shapes}")
    return mask.unsqueeze(1)
