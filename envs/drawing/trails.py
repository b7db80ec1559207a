"""The last steps that a drawing shows, kept in a state as a ring: a step writes one place and moves nothing."""

from __future__ import annotations

import torch
from torch import Tensor


def written(trail: Tensor, time: Tensor, newest: Tensor) -> Tensor:
    """The trail with its newest entry.

    Args:
        trail: (B, D, K), K a power of two; the entry of time t stands at t modulo K.
        time: (B,) int64 the newest entry's.
        newest: (B, D).

    Returns:
        (B, D, K): the places last, which a processor writes many of at once.
    """
    length = trail.shape[2]
    now = torch.arange(length, device=trail.device) == (time & length - 1)[:, None]  # (B, K)
    return torch.where(now[:, None], newest[..., None], trail)


def in_order(trail: Tensor, time: Tensor) -> Tensor:
    """One environment's trail (D, K) as entries (K, D), the newest one, of time () int64, last."""
    return trail.roll(-1 - int(time) % trail.shape[1], 1).T
