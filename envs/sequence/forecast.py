"""Forecasts of a symbol: what odds say of the one that came, and what that costs."""

from __future__ import annotations

import torch
from torch import Tensor

ANSWERS = ("symbol", "odds")
LEAST = 2.0**-20  # no symbol counts as less probable: a wrong certainty costs 20 bits


def chance(odds: Tensor, symbol: Tensor) -> Tensor:
    """The probability (B,) that weights (B, V), divided by their sum, give to symbols (B,) int64; 1 / V for none.

    It is reckoned in double precision, lest the order of a sum, which differs from device to device, show.
    """
    total = odds.sum(1, dtype=torch.float64)
    given = odds.gather(1, symbol[:, None])[:, 0]
    return torch.where(total > 0, given / total, 1 / odds.shape[1]).float()


def surprise(chance: Tensor) -> Tensor:
    """What an event of that probability tells, in bits (Shannon, 1948), at most 20."""
    return -chance.double().clamp(min=LEAST).log2().float()
