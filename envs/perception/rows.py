"""Pictures as rows of bits: a row of pixels is one integer, so that painting is a few exact operations."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

EIGHT = 8  # pixels that a table spreads at once
GREY = 17  # of a level from 0 to 15, so that 15 is white


def spread_table(value: int = 1) -> Tensor:
    """(256,) int64: the eight bits of a number as eight bytes of 0 or `value`, the lowest bit first in memory."""
    bits = torch.arange(256)[:, None] >> torch.arange(EIGHT) & 1  # (256, 8)
    return (bits * value).to(torch.uint8).contiguous().view(torch.int64)[:, 0]


def rows_of(mask: Tensor) -> Tensor:
    """Masks (..., H, W) of 0 and 1, W at most 31, as rows (..., H) int32 whose bit x is the pixel in column x."""
    return (mask.int() << torch.arange(mask.shape[-1], dtype=torch.int32, device=mask.device)).sum(-1).int()


def painted(masks: Tensor, values: Tensor, ground: Tensor, bits: int) -> Tensor:
    """Bit planes of a picture whose objects cover each other, the last one on top.

    The environments are the last axis, along which every operation runs without a break.

    Args:
        masks: (M, H, B) int32 rows of each object.
        values: (M, C, B) int32 what each object's pixels are in each channel, below 2 ^ bits.
        ground: (C, B) int32 what all other pixels are.
        bits: planes a channel.

    Returns:
        (C bits, H, B) int32, of each channel the lowest bit first.
    """
    place = torch.arange(bits, dtype=torch.int32, device=masks.device)[:, None]
    planes = -(ground[:, None] >> place & 1).flatten(0, 1)[:, None]  # (C bits, 1, B): all bits of a row, or none
    planes = planes.expand(-1, masks.shape[1], -1)
    fills = -(values[:, :, None] >> place & 1).flatten(1, 2)[:, :, None]  # (M, C bits, 1, B)
    for mask, fill in zip(masks.unbind(0), fills.unbind(0), strict=True):
        planes = planes ^ ((planes ^ fill) & mask)
    return planes


def pixels(planes: Tensor, table: Tensor, width: int, bits: int, scale: int = 1) -> Tensor:
    """Bit planes (C bits, H, B) as a picture (B, C, H, width) uint8.

    Args:
        planes: as `painted` gives them.
        table: see `spread_table`.
        width: pixels of a row, a multiple of 8.
        bits: planes a channel, at most 8.
        scale: 1, or `GREY`, which turns four bits into a grey.
    """
    count, height, batch = planes.shape
    rows = planes.permute(2, 0, 1)[..., None]
    shift = torch.arange(0, width, EIGHT, dtype=torch.int32, device=planes.device)
    eights = rows >> shift & 255  # (B, C bits, H, width / 8)
    spread = table.index_select(0, eights.flatten()).view(batch, count // bits, bits, height, len(shift))
    value = spread[:, :, 0]
    for bit in range(1, bits):
        value = value | spread[:, :, bit] << bit
    if scale == GREY:  # 17 v, in every byte
        value = value | value << 4
    return value.contiguous().view(torch.uint8)


def boxed(picture: Tensor, boxes: Tensor, fill: Tensor, table: Tensor) -> Tensor:
    """Pictures (B, 1, H, W) uint8 in which a box is filled, eight pixels at a time; W is a multiple of 8.

    Args:
        picture: contiguous.
        boxes: (B, 4) int64 of left, top, width and height, within the picture; one without height is none.
        fill: (B,) int64 whose eight bytes are the value of a pixel each.
        table: `spread_table(255)`.
    """
    height, width = picture.shape[-2:]
    left, top, wide, high = boxes.unbind(1)
    columns = ((1 << wide) - 1 << left)[:, None] >> torch.arange(0, width, EIGHT, device=boxes.device) & 255
    row = torch.arange(height, device=boxes.device)
    inside = (row >= top[:, None]) & (row < (top + high)[:, None])  # (B, H)
    across = table.index_select(0, columns.flatten()).view(-1, 1, width // EIGHT)  # all bits of a pixel, or none
    words = picture.view(len(picture), -1).view(torch.int64).view(len(picture), height, -1)
    changed = (words ^ fill[:, None, None]) & torch.where(inside[..., None], across, 0)
    return (words ^ changed).view(len(picture), -1).view(torch.uint8).view(picture.shape)


def patterns(*drawn: Sequence[str]) -> list[Tensor]:
    """Small pictures of "#" and "." as masks (h, w) int64."""
    return [torch.tensor([[int(mark == "#") for mark in row] for row in rows]) for rows in drawn]
