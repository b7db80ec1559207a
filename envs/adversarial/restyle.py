"""Maps between two ways to write a digit: slant, weight, and light or dark, in whole numbers alone."""

from __future__ import annotations

import torch
from torch import Tensor

SIDE, WHITE = 8, 255
BITS = 6
PARTS = 2**BITS  # of a mixture
SLANT = 2.0  # pixels by which the uppermost row moves at most


def restyled(pictures: Tensor, how: Tensor) -> Tensor:
    """Pictures (B, 8, 8) uint8 written in another way.

    Args:
        pictures: uint8.
        how: (B, 3) from -1 to 1. The slant: the uppermost row goes up to two pixels to the right, the lowermost as far
            to the left, those between by whole pixels in proportion. The weight: above 0 each pixel is mixed with the
            lightest of its neighbours and itself, below with the darkest. From 0 to 1 how much of the negative is mixed
            in, below 0 none.

    Returns:
        (B, 8, 8) uint8; outside a picture its outermost pixels go on.
    """
    cell = torch.arange(SIDE, device=pictures.device)
    turn = 1 - cell.double() / ((SIDE - 1) / 2)  # 1 in the uppermost row, -1 in the lowermost
    shift = (SLANT * how[:, :1].double() * turn).round().long()[..., None]  # (B, 8, 1) whole pixels
    x = pictures.short().gather(2, (cell - shift).clamp(0, SIDE - 1))
    weight, negative = ((PARTS * part.double()).round().short()[:, None, None] for part in how[:, 1:].unbind(1))
    sign = torch.where(weight > 0, 1, -1).short()  # the darkest of some greys is minus the largest of minus each
    signed = sign * x
    above, below = torch.cat([signed[:, :1], signed[:, :-1]], 1), torch.cat([signed[:, 1:], signed[:, -1:]], 1)
    left, right = torch.cat([signed[..., :1], signed[..., :-1]], 2), torch.cat([signed[..., 1:], signed[..., -1:]], 2)
    around = torch.maximum(torch.maximum(above, below), torch.maximum(left, right)).maximum(signed)
    x = _mixed(x, sign * around, weight.abs())
    return _mixed(x, WHITE - x, negative.clamp(min=0)).to(torch.uint8)


def _mixed(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """Whole greys with so many 64ths of the second, all int16: no sum is above 64 * 255 + 32."""
    return ((PARTS - share) * first + share * second + PARTS // 2) >> BITS
