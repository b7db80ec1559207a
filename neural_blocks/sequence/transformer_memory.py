"""A transformer as the memory of an agent: it looks back at the last steps of the running episode."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from .attention import Cache
from .memory import State, WindowMemory
from .transformer import TransformerLayer

PIECE = 32  # steps that are read at once, at least


class TransformerMemory(WindowMemory):
    """Transformer layers over a window of the last W steps.

    Each layer keeps its keys and values of the last W - 1 steps (Transformer-XL, Dai et al., 2019), so N layers reach
    N (W - 1) steps back. Places are told apart by a learned bias of each head for each distance (Raffel et al., 2020).
    It starts as a slope (Press et al., 2022), steep for the first head and four times flatter for each one after it, so
    that some heads find the step before at once and others see far. The norm before each sub-layer, not after it, is
    what keeps reinforcement learning stable (Parisotto et al., 2020).

    Args:
        input_size: features in.
        hidden_size: H, features out and of each layer; a multiple of n_head.
        window: W, steps an attention sees, the present one among them.
        n_head: h of each layer.
        layers: N.
        d_ff: width of each layer's perceptron; None for 4 H.
        norm: "pre" or "post", see `TransformerLayer`.
        dropout: see there.

    Raises:
        InvalidInput: a size, window or number of layers below 1, or a hidden size that is not a multiple of n_head.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        window: int = 32,
        n_head: int = 4,
        layers: int = 1,
        d_ff: int | None = None,
        norm: str = "pre",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if min(input_size, hidden_size, window, layers) < 1:
            sizes = f"{input_size}, {hidden_size}, {window} and {layers}"
            raise InvalidInput(f"TransformerMemory: sizes, window and layers must be at least 1; got {sizes}")
        self.input_size, self.hidden_size, self.output_size = input_size, hidden_size, hidden_size
        self.window, self.n_head = window, n_head
        kept = (n_head, window - 1, hidden_size // n_head)
        self.shapes = [kept] * (2 * layers) + [(window - 1,)]
        self.input = nn.Linear(input_size, hidden_size)
        settings: Any = {"norm": norm, "dropout": dropout}
        self.layers: Any = nn.ModuleList(TransformerLayer(hidden_size, n_head, d_ff, **settings) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden_size) if norm == "pre" else nn.Identity()
        self.make_places()

    def make_places(self) -> None:
        """What tells places apart."""
        slopes = -torch.outer(0.25 ** torch.arange(self.n_head), torch.arange(self.window))  # (h, W)
        self.bias = nn.Parameter(slopes.repeat(len(self.layers), 1, 1))  # (N, h, W) of each distance back, 0 to W - 1

    def told_apart(self, distance: Tensor) -> list[dict[str, Tensor]]:
        """How each layer tells places apart that are so far back, (T, S) from 0 to W - 1, the last the queries' own."""
        return [{"bias": bias} for bias in self.bias[:, :, distance]]  # (h, T, S) each

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
        before, steps = self.window - 1, x.shape[0]
        starts = torch.zeros(x.shape[:2], dtype=torch.bool, device=x.device) if start is None else start
        episode = starts.T.cumsum(1)  # (B, T), 0 for the episode that the memory is of
        of = torch.cat([torch.where(known, 0, -1), episode], 1)  # (B, W - 1 + T), -1 for no episode at all
        x = self.input(x).transpose(0, 1)  # (B, T, H)
        outputs: list[Tensor] = []
        for begin in range(0, steps, max(self.window, PIECE)):  # pieces, which see the window before them and no more
            piece = x[:, begin : begin + max(self.window, PIECE)]  # (B, t, H)
            length = piece.shape[1]
            places = torch.arange(before + length, device=x.device)
            distance = places[before:].unsqueeze(1) - places  # (t, W - 1 + t)
            near = (distance >= 0) & (distance <= before)
            own, all_of = of[:, begin + before :][:, :length], of[:, begin:][:, : before + length]
            seen = (near & (own.unsqueeze(2) == all_of.unsqueeze(1))).unsqueeze(1)  # (B, 1, t, W - 1 + t)
            apart = self.told_apart(distance.clamp(0, before))
            for index, layer in enumerate(self.layers):
                cache = Cache(kept[2 * index], kept[2 * index + 1])  # (B, h, W - 1, H / h)
                piece = layer(piece, seen, cache=cache, **apart[index])
                kept[2 * index], kept[2 * index + 1] = cache.key[:, :, length:], cache.value[:, :, length:]
            outputs.append(piece)
        output = outputs[0] if len(outputs) == 1 else torch.cat(outputs, 1)
        known = of[:, steps:] == episode[:, -1:]  # (B, W - 1)
        unknown = ~known[:, None, :, None]  # what is of another episode is wiped, not only masked
        return self.norm(output).transpose(0, 1), (*(part.masked_fill(unknown, 0) for part in kept), known)


class RotaryTransformerMemory(TransformerMemory):
    """A `TransformerMemory` whose queries and keys are turned by their places instead (Su et al., 2021).

    Nothing is learned about distances, and attention needs no bias, so PyTorch's fused kernel does all of it. Arguments
    as of `TransformerMemory`.

    Raises:
        InvalidInput: as `TransformerMemory`, or heads of an odd number of features.
    """

    def make_places(self) -> None:
        """Nothing to be learned."""
        if self.hidden_size // self.n_head % 2:
            sizes = f"{self.hidden_size} and {self.n_head}"
            raise InvalidInput(f"RotaryTransformerMemory: hidden_size must be an even multiple of n_head; got {sizes}")

    def told_apart(self, distance: Tensor) -> list[dict[str, Tensor]]:
        """See `TransformerMemory.told_apart`."""
        places = torch.arange(distance.shape[1], device=distance.device)
        return [{"places": places}] * len(self.layers)
