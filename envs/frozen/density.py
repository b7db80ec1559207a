"""A PixelCNN of requested digits that can be asked for one pixel at a time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...neural_blocks.generation.autoregressive import PixelCNN, visits

SIDE, LEVELS, CLASSES = 8, 2, 10
NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, -1))  # rows down and columns right, all that a 3 x 3 filter reads


class DigitDensity(PixelCNN):
    """p(x | class) of 8 x 8 digits in black and white, or p(x): a PixelCNN with a bias for each class and one for none.

    Pixels (B, 1, 8, 8) int64 and classes (B,) int64, 10 for none, to logits (B, 2, 8, 8).

    Args:
        channels: features of the hidden layers, even.
        blocks: number of residual blocks.
        order: in which pixels follow each other, "raster" or "diagonal".
    """

    label: nn.Embedding
    route: Tensor
    offset: Tensor
    reads: Tensor
    places: Tensor

    def __init__(self, channels: int = 32, blocks: int = 2, order: str = "raster") -> None:
        kernel = 2 * SIDE - 1
        super().__init__((SIDE, SIDE), LEVELS, channels, blocks, kernel, order, CLASSES)
        route = torch.tensor(visits((SIDE, SIDE), order))
        self.register_buffer("route", route, persistent=False)  # (64,) which pixel is the first, the second, ...
        pixel, turn = torch.arange(SIDE * SIDE), route.argsort()
        row, column = pixel // SIDE, pixel % SIDE
        down, right = (
            row - row[route, None] + SIDE - 1,
            column - column[route, None] + SIDE - 1,
        )  # (64, 64): [now, other]
        later = turn >= pixel[:, None]
        self.used = kernel * (SIDE if order == "raster" else kernel)  # filter positions that hold anything
        offset = (down * kernel + right).masked_fill(later, self.used)  # a filter position that holds zeros
        self.register_buffer("offset", offset * LEVELS, persistent=False)
        step = torch.tensor(NEIGHBOURS)
        there = torch.stack([row, column], 1)[route, None] + step  # (64, 4, 2)
        inside = ((there >= 0) & (there < SIDE)).all(2)
        back = pixel[:, None] - turn[(there[..., 0] * SIDE + there[..., 1]).clamp(0, SIDE * SIDE - 1)]  # turns ago
        self.reach = int(back[inside].max())
        places = (self.reach - back).masked_fill(~inside, 0)
        self.register_buffer(
            "places", places[..., None], persistent=False
        )  # (64, 4, 1) of the neighbours in the memory
        reads = torch.cat([inside, torch.ones_like(inside[:, :1])], 1)  # (64, 5): the neighbours and the pixel itself
        self.register_buffer("reads", reads[..., None], persistent=False)

    def initial_memory(self, batch: int) -> Tensor:
        """Nothing read yet: zeros (B, blocks, reach, channels / 2); the reach is 9 pixels by rows, 15 by diagonals."""
        return self.position.new_zeros(batch, len(self.blocks), self.reach, len(self.position) // 2)

    def step(self, pixels: Tensor, position: Tensor, label: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """The logits of one pixel, as `forward` gives them, from the features of the pixels before it.

        Args:
            pixels: (B, 64) int64 the picture in raster order; what is not drawn yet may be anything.
            position: (B,) int64 the turn of the pixel asked for in the model's order, 0 to 63.
            label: (B,) int64, 10 for no class.
            memory: (B, blocks, reach, channels / 2) of the step before, at position - 1.

        Returns:
            Logits (B, 2), and the memory for the next step.
        """
        first: Any = self.first
        last: Any = self.last[1]
        block: Any
        filters = (first.weight * first.mask).flatten(2)[:, :, : self.used].permute(2, 1, 0)  # (used, 2, channels)
        table = torch.cat([filters.flatten(0, 1), filters.new_zeros(LEVELS, filters.shape[2])])
        x = nn.functional.embedding_bag(self.offset[position] + pixels, table, mode="sum")  # (B, channels)
        x = x + first.bias + self.position.flatten(1).t()[self.route[position]] + self.label.weight[label]
        reads, kept = self.reads[position], []
        places = self.places[position].expand(-1, -1, memory.shape[3])  # (B, 4, channels / 2)
        for block, before in zip(self.blocks, memory.unbind(1), strict=True):
            narrow, masked, widen = block[1], block[3], block[5]
            now = torch.relu(x.relu() @ narrow.weight[:, :, 0, 0].t() + narrow.bias)  # (B, channels / 2)
            near = torch.cat([before.gather(1, places), now[:, None]], 1) * reads  # (B, 5, channels / 2)
            filters = masked.weight.flatten(2)[:, :, :5].permute(2, 1, 0).flatten(0, 1)  # (5 channels / 2, ..)
            hidden = torch.relu(near.flatten(1) @ filters + masked.bias)
            x = x + hidden @ widen.weight[:, :, 0, 0].t() + widen.bias
            kept.append(torch.cat([before[:, 1:], now[:, None]], 1))
        return x.relu() @ last.weight[:, :, 0, 0].t() + last.bias, torch.stack(kept, 1)
