"""Maps between two ways to write a digit: slant, weight, and light or dark, in whole numbers alone."""

from __future__ import annotations

import torch
from torch import Tensor

SIDE, WHITE = 8, 255
PARTS = 64  # of a mixture
SLANT = 2.0  # pixels by which the uppermost row moves at most


def restyled(pictures: Tensor, how: Tensor) -> Tensor:
    """Pictures (B, 8, 8) int64 written in another way.

    Args:
        pictures: greys from 0 to 255.
        how: (B, 3) from -1 to 1. The slant: the uppermost row goes up to two pixels to the right, the lowermost as far
            to the left, those between by whole pixels in proportion. The weight: above 0 each pixel is mixed with the
            lightest of its neighbours and itself, below with the darkest. From 0 to 1 how much of the negative is mixed
            in, below 0 none.

    Returns:
        (B, 8, 8) int64; outside a picture its outermost pixels go on.
    """
    cell = torch.arange(SIDE, device=pictures.device)
    turn = 1 - cell.double() / ((SIDE - 1) / 2)  # 1 in the uppermost row, -1 in the lowermost
    shift = (SLANT * how[:, :1].double() * turn).round().long()[..., None]  # (B, 8, 1) whole pixels
    x = pictures.gather(2, (cell - shift).clamp(0, SIDE - 1))
    padded = torch.cat([x[:, :1], x, x[:, -1:]], 1)
    padded = torch.cat([padded[:, :, :1], padded, padded[:, :, -1:]], 2)  # (B, 10, 10)
    around = torch.stack([x, padded[:, :-2, 1:-1], padded[:, 2:, 1:-1], padded[:, 1:-1, :-2], padded[:, 1:-1, 2:]])
    weight, negative = ((PARTS * part.double()).round().long()[:, None, None] for part in how[:, 1:].unbind(1))
    x = _mixed(x, torch.where(weight > 0, around.amax(0), around.amin(0)), weight.abs())
    return _mixed(x, WHITE - x, negative.clamp(min=0))


def _mixed(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """Whole greys with so many 64ths of the second."""
    return ((PARTS - share) * first + share * second + PARTS // 2) // PARTS
