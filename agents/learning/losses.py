"""How far values are from what they should be."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

ErrorKind = Literal["squared", "huber", "absolute"]


def value_error(kind: str, value: Tensor, target: Tensor) -> Tensor:
    """Values (...) against their targets: half the squared difference, Huber's (1964) with a bend at 1, or its size."""
    if kind == "squared":
        return 0.5 * (value - target).square()
    return F.smooth_l1_loss(value, target, reduction="none") if kind == "huber" else (value - target).abs()
