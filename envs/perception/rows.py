"""Pictures as bits: several rows of pixels are one integer, so that painting is a few exact operations."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

EIGHT = 8  # pixels that a table spreads at once
GREY = 17  # of a level from 0 to 15, so that 15 is white


def spread_tables(bits: int, scale: int = 1) -> Tensor:
    """(bits, 256) int64: of each plane the eight bits of a number as eight bytes, the lowest bit first in memory.

    A byte is 0, or what the plane's bit is worth, times `scale`.
    """
    pixel = torch.arange(256)[:, None] >> torch.arange(EIGHT) & 1  # (256, 8)
    worth = scale << torch.arange(bits)
    return (worth[:, None, None] * pixel).to(torch.uint8).view(torch.int64)[..., 0]


def rows_a_word(width: int) -> int:
    """How many rows of so many pixels a word of 64 bits holds: 4 of 16, 2 of 24."""
    return 64 // width


def rows_of(mask: Tensor) -> Tensor:
    """Masks (..., H, W) of 0 and 1, W at most 63, as rows (..., H) int64 whose bit x is the pixel in column x."""
    return (mask.long() << torch.arange(mask.shape[-1], device=mask.device)).sum(-1)


def words_of(rows: Tensor, width: int) -> Tensor:
    """Rows (..., H) as words (..., H) int64: word r holds row r in its lowest bits, and above it those that follow.

    The last words hold what follows as empty rows. Every `rows_a_word`th word makes up a picture.
    """
    each = rows_a_word(width)
    ahead = torch.nn.functional.pad(rows, (0, each - 1)).unfold(-1, each, 1)  # (..., H, rows of a word)
    return (ahead << width * torch.arange(each, device=rows.device)).sum(-1)


def painted(masks: Tensor, values: Tensor, ground: Tensor, bits: int) -> Tensor:
    """Bit planes of a picture whose objects cover each other, the last one on top.

    The environments are the last axis, along which every operation runs without a break. What can be seen of each
    object is told from the uppermost one downwards, so that only a single plane of it is kept.

    Args:
        masks: (M, W, B) int64 words of each object, see `words_of`.
        values: (M, C, B) int64 what each object's pixels are in each channel, below 2 ^ bits.
        ground: (C, B) int64 what all other pixels are.
        bits: planes a channel.

    Returns:
        (C bits, W, B) int64, of each channel the lowest bit first.
    """
    place = torch.arange(bits, device=masks.device)[:, None]
    fills = -(torch.cat([ground[None], values])[:, :, None] >> place & 1)  # (1 + M, C, bits, B): all bits, or none
    fills = fills.flatten(1, 2)[:, :, None]  # (1 + M, C bits, 1, B)
    left = torch.full_like(masks[0], -1)  # what no object above covers
    planes = torch.zeros_like(masks[:1]).repeat(fills.shape[1], 1, 1)
    for mask, fill in zip(masks.flip(0).unbind(0), fills[1:].flip(0).unbind(0), strict=True):
        planes |= fill & (mask & left)
        left = left & ~mask
    return planes.bitwise_or_(fills[0] & left)


def pixels(planes: Tensor, tables: Tensor, width: int) -> Tensor:
    """Bit planes (C bits, W, B) of words as a picture (B, C, H, width) uint8.

    Args:
        planes: as `painted` gives them.
        tables: (bits, 256) int64 of each plane what eight of its pixels add, see `spread_tables`.
        width: pixels of a row, a multiple of 8.
    """
    bits, (count, words, batch) = len(tables), planes.shape
    octets = planes.mT.contiguous().view(torch.uint8).view(count, batch, words, EIGHT)
    octets = octets[..., : rows_a_word(width) * width // EIGHT].flatten(1).int()
    channels = []
    for channel in octets.view(count // bits, bits, -1).unbind(0):
        value = tables[0].index_select(0, channel[0])
        for table, plane in zip(tables[1:], channel[1:], strict=True):
            value |= table.index_select(0, plane)
        channels.append(value.view(batch, -1))
    return torch.stack(channels, 1).view(torch.uint8).view(batch, len(channels), -1, width)


def box_tables(side: int) -> Tensor:
    """(2, (side + 1)^2, side^2 / 8) int64 the pixels of a picture, eight a number, between two edges.

    Number start * (side + 1) + end of the first has all bits of the rows from start to before end, of the second of
    the columns.
    """
    place, edge = torch.arange(side), torch.arange(side + 1)
    between = (place >= edge[:, None, None]) & (place < edge[:, None])  # (start, end, side)
    rows, columns = between[..., None].expand(-1, -1, -1, side), between[:, :, None].expand(-1, -1, side, -1)
    full = torch.stack([rows, columns]).to(torch.uint8) * 255
    return full.view(2, -1, side * side).view(torch.int64)


def boxed(picture: Tensor, boxes: Tensor, fill: Tensor, tables: Tensor) -> Tensor:
    """Pictures (B, C, S, S) uint8 in whose last channel a box is filled, eight pixels at a time; S is a multiple of 8.

    Args:
        picture: contiguous.
        boxes: (B, 4) int64 of left, top, width and height, within the picture; one without height is none.
        fill: (B, S^2 / 8) int64 whose bytes are the value of a pixel each.
        tables: see `box_tables`.
    """
    batch, _, side, _ = picture.shape
    left, top, wide, high = boxes.unbind(1)
    inside = tables[0].index_select(0, top * (side + 1) + top + high)
    inside &= tables[1].index_select(0, left * (side + 1) + left + wide)
    words = picture.view(batch, -1).view(torch.int64)
    before, last = words.split([words.shape[1] - inside.shape[1], inside.shape[1]], 1)
    inside &= fill ^ last
    inside ^= last
    return torch.cat([before, inside], 1).view(torch.uint8).view(picture.shape)


def patterns(*drawn: Sequence[str]) -> list[Tensor]:
    """Small pictures of "#" and "." as masks (h, w) int64."""
    return [torch.tensor([[int(mark == "#") for mark in row] for row in rows]) for rows in drawn]
