"""A transformer as the memory of an agent: it looks back at the last steps of the running episode."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from .memory import Memory, State
from .transformer import TransformerLayer


class TransformerMemory(Memory):
    """Pre-norm transformer layers over a window of the last W steps.

    Each layer keeps its keys and values of the last W - 1 steps (Transformer-XL, Dai et al., 2019), so N layers reach
    N (W - 1) steps back. Places are told apart by a learned bias of each head for each distance (Raffel et al., 2020).
    It starts as a slope (Press et al., 2022), steep for the first head and four times flatter for each one after it, so
    that some heads find the step before at once and others see far. The norm before each sub-layer is what keeps
    reinforcement learning stable (Parisotto et al., 2020).

    Args:
        input_size: features in.
        hidden_size: H, features out; a multiple of heads.
        window: W, steps an attention sees, the present one among them.
        heads: h of each layer.
        layers: N.

    Raises:
        InvalidInput: a size, window or number of layers below 1, or a hidden size that is not a multiple of heads.
    """

    def __init__(self, input_size: int, hidden_size: int, window: int = 32, heads: int = 4, layers: int = 1) -> None:
        super().__init__()
        if min(input_size, hidden_size, window, layers) < 1:
            sizes = f"{input_size}, {hidden_size}, {window} and {layers}"
            raise InvalidInput(f"TransformerMemory: sizes, window and layers must be at least 1; got {sizes}")
        self.input_size, self.hidden_size, self.output_size = input_size, hidden_size, hidden_size
        self.window, self.heads = window, heads
        kept = (heads, window - 1, hidden_size // heads)
        self.shapes = [kept] * (2 * layers) + [(window - 1,)]
        self.input = nn.Linear(input_size, hidden_size)
        self.layers: Any = nn.ModuleList(TransformerLayer(hidden_size, heads) for _ in range(layers))
        slopes = -torch.outer(0.25 ** torch.arange(heads), torch.arange(window))  # (h, W)
        self.bias = nn.Parameter(slopes.repeat(layers, 1, 1))  # (N, h, W) of each distance back, 0 to W - 1
        self.norm = nn.LayerNorm(hidden_size)

    def initial_memory(self, batch: int) -> State:
        """Keys and values (B, h, W - 1, H / h) of each layer, of nothing yet, and which are known, (B, W - 1) bool."""
        some, (*kept, known) = self.input.weight, self.shapes
        return (
            *(some.new_zeros(batch, *part) for part in kept),
            some.new_zeros(batch, *known, dtype=torch.bool),
        )

    def forward(self, x: Tensor, memory: State, start: Tensor | None = None) -> tuple[Tensor, State]:
        """A sequence: inputs (T, B, D), memory before them, starts (T, B) bool, to outputs (T, B, H) and memory after.

        Raises:
            InvalidInput: shapes that do not fit each other.
        """
        self.check(x, memory, start)
        *kept, known = memory
        before, steps, device = self.window - 1, x.shape[0], x.device
        ahead = torch.arange(steps, device=device)
        # (B, T), 0 for the episode that the memory is of
        episode = ahead.new_zeros(x.shape[1], steps) if start is None else start.T.cumsum(1)
        of = torch.cat([torch.where(known, 0, -1), episode], 1)  # (B, W - 1 + T), -1 for no episode at all
        distance = ahead.unsqueeze(1) + before - torch.arange(before + steps, device=device)  # (T, W - 1 + T)
        near = (distance >= 0) & (distance <= before)
        seen = (near & (episode.unsqueeze(2) == of.unsqueeze(1))).unsqueeze(1)  # (B, 1, T, W - 1 + T)
        bias = self.bias[:, :, distance.clamp(0, before)]  # (N, h, T, W - 1 + T)
        # A sequence that starts afresh sees nothing before it; asking a GPU whether it does would take longer.
        afresh = device.type == "cpu" and not torch.compiler.is_compiling() and not bool(known.any())
        first = before if afresh else 0
        seen, bias = seen[..., first:], bias[..., first:]
        x = self.input(x).transpose(0, 1)  # (B, T, H)
        later: list[Tensor] = []
        for index, layer in enumerate(self.layers):
            y = layer.before(0, x)
            old = kept[2 * index : 2 * index + 2]  # keys and values (B, h, W - 1, H / h)
            new = layer.attention.keys_values(y)  # and those of this sequence (B, h, T, H / h)
            key, value = (torch.cat([past[:, :, first:], now], 2) for past, now in zip(old, new, strict=True))
            x = layer.rest(layer.after(0, x, layer.attention.attend(y, key, value, seen, bias[index])), None, None)
            later += [_last(before, past, whole) for past, whole in zip(old, (key, value), strict=True)]
        return self.norm(x).transpose(0, 1), (*later, of[:, steps:] == episode[:, -1:])


def _last(count: int, past: Tensor, whole: Tensor) -> Tensor:
    """The last places of (B, h, S, H / h); where there are too few, what fills them up is not known anyway."""
    length = whole.shape[2]
    return whole[:, :, length - count :] if length >= count else torch.cat([past[:, :, length:], whole], 2)
