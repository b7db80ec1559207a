"""What lies in a scene: shapes and digits of many sizes, and the marks that clutter it, as rows of bits."""

from __future__ import annotations

import torch
from torch import Tensor

from ..classification.sources.images import load_images
from .rows import patterns

SHAPES = ["square", "frame", "triangle", "cross"]
INK = 128  # the grey from which on a pixel of a digit counts

Form = tuple[Tensor, int]
"""A mask (h, w) int64 that touches all four edges of its box, and its class."""

MARKS = patterns(
    ("####",),
    ("#", "#", "#", "#"),
    ("#..", ".#.", "..#"),
    ("..#", ".#.", "#.."),
    ("##", "##"),
    ("###", "#..", "#.."),
    ("#.#", "...", "#.#"),
    (".#", "##", "#."),
)


def shape_forms(side: int) -> list[Form]:
    """Every shape in every width and height from 5 to 9 sixteenths of a picture's side."""
    sides = range(5 * side // 16, 9 * side // 16 + 1)
    return [(_shape(name, high, wide), k) for k, name in enumerate(SHAPES) for high in sides for wide in sides]


def _shape(name: str, high: int, wide: int) -> Tensor:
    """(high, wide) int64; decided by whole numbers alone."""
    row, column = torch.arange(high)[:, None], torch.arange(wide)[None]
    down, across = (2 * row + 1 - high).abs(), (2 * column + 1 - wide).abs()  # from the middle, in half pixels
    if name == "square":
        found = (down < high) & (across < wide)
    elif name == "frame":
        thick = (min(high, wide) + 2) // 5
        found = (down > high - 1 - 2 * thick) | (across > wide - 1 - 2 * thick)
    elif name == "triangle":  # its tip at the top
        found = across * high <= torch.maximum((row + 1) * wide, torch.tensor(high))
    else:
        found = (3 * down <= high) | (3 * across <= wide)
    return found.long()


def digit_forms(split: str, side: int) -> list[Form]:
    """The digits of a split, black and white, at 8, 10 and 12 sixteenths of a picture's side, cut to their ink."""
    images, labels, _ = load_images("digits", split)
    ink = torch.from_numpy(images[:, 0]) >= INK  # (N, 8, 8)
    forms = []
    for large in (side // 2, 5 * side // 8, 3 * side // 4):
        take = torch.arange(large) * 8 // large
        for mask, label in zip(ink[:, take][:, :, take], labels.tolist(), strict=True):
            rows, columns = (mask.any(axis).nonzero()[:, 0] for axis in (1, 0))
            forms.append((mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].long(), label))
    return forms
