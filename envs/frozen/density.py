"""A PixelCNN of requested digits that can be asked for one pixel at a time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...neural_blocks.generation.autoregressive import PixelCNN

SIDE, LEVELS, CLASSES = 8, 2, 10
REACH = SIDE + 1  # pixels back, in raster order, to the farthest that a 3 x 3 filter reads


class DigitDensity(PixelCNN):
    """p(x | class) of 8 x 8 digits in black and white, or p(x): a PixelCNN with a bias for each class and one for none.

    Pixels (B, 1, 8, 8) int64 and classes (B,) int64, 10 for none, to logits (B, 2, 8, 8).

    Args:
        channels: features of the hidden layers, even.
        blocks: number of residual blocks.
    """

    offset: Tensor
    reads: Tensor

    def __init__(self, channels: int = 32, blocks: int = 2) -> None:
        super().__init__((SIDE, SIDE), LEVELS, channels, blocks, 2 * SIDE - 1)
        self.label = nn.Embedding(CLASSES + 1, channels)
        nn.init.zeros_(self.label.weight)
        pixel = torch.arange(SIDE * SIDE)
        row, column = pixel // SIDE, pixel % SIDE
        kernel = 2 * SIDE - 1
        down, right = row - row[:, None] + SIDE - 1, column - column[:, None] + SIDE - 1  # (64, 64): [now, earlier]
        later = pixel >= pixel[:, None]
        offset = (down * kernel + right).masked_fill(later, kernel * SIDE)  # a filter position that holds zeros
        self.register_buffer("offset", offset * LEVELS, persistent=False)
        left, middle = column > 0, torch.ones(SIDE * SIDE, dtype=torch.bool)
        reads = torch.stack([left, middle, column < SIDE - 1, left, middle], 1)  # (64, 5): pixels -9, -8, -7, -1, 0
        self.register_buffer("reads", reads[..., None], persistent=False)

    def forward(self, pixels: Tensor, label: Tensor | None = None) -> Tensor:
        """All logits at once, each pixel's from the pixels before it only; without classes those of p(x)."""
        if label is None:
            label = torch.full_like(pixels[:, 0, 0, 0], CLASSES)
        x = self.first(self.one_hot(pixels)) + self.position + self.label(label)[:, :, None, None]
        for block in self.blocks:
            x = x + block(x)
        return self.last(x)

    def initial_memory(self, batch: int) -> Tensor:
        """Nothing read yet: zeros (B, blocks, 9, channels / 2)."""
        return self.position.new_zeros(batch, len(self.blocks), REACH, len(self.position) // 2)

    def step(self, pixels: Tensor, position: Tensor, label: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """The logits of one pixel, as `forward` gives them, from the features of the nine pixels before it.

        Args:
            pixels: (B, 64) int64 the picture in raster order; what is not drawn yet may be anything.
            position: (B,) int64 the pixel asked for, 0 to 63.
            label: (B,) int64, 10 for no class.
            memory: (B, blocks, 9, channels / 2) of the step before, at position - 1.

        Returns:
            Logits (B, 2), and the memory for the next step.
        """
        first: Any = self.first
        last: Any = self.last[1]
        block: Any
        used = SIDE * (2 * SIDE - 1)  # filter positions in the rows above and the own one
        filters = (first.weight * first.mask).flatten(2)[:, :, :used].permute(2, 1, 0)  # (120, 2, channels)
        table = torch.cat([filters.flatten(0, 1), filters.new_zeros(LEVELS, filters.shape[2])])
        x = nn.functional.embedding_bag(self.offset[position] + pixels, table, mode="sum")  # (B, channels)
        x = x + first.bias + self.position.flatten(1).t()[position] + self.label(label)
        reads, kept = self.reads[position], []
        for block, before in zip(self.blocks, memory.unbind(1), strict=True):
            narrow, masked, widen = block[1], block[3], block[5]
            now = torch.relu(x.relu() @ narrow.weight[:, :, 0, 0].t() + narrow.bias)  # (B, channels / 2)
            near = torch.cat([before[:, :3], before[:, 8:], now[:, None]], 1) * reads  # (B, 5, channels / 2)
            filters = masked.weight.flatten(2)[:, :, :5].permute(2, 1, 0).flatten(0, 1)  # (5 channels / 2, ..)
            hidden = torch.relu(near.flatten(1) @ filters + masked.bias)
            x = x + hidden @ widen.weight[:, :, 0, 0].t() + widen.bias
            kept.append(torch.cat([before[:, 1:], now[:, None]], 1))
        return x.relu() @ last.weight[:, :, 0, 0].t() + last.bias, torch.stack(kept, 1)
