"""Ranked retrieval: average precision."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InvalidInput
from ..noise import at_least_float32


def average_precision(scores: Tensor, relevant: Tensor) -> Tensor:
    """Mean over the relevant items of the precision among all that score at least as high, without interpolation.

    Area under the precision-recall curve as a step function (Manning et al., 2008, chapter 8); ties count as one step.

    Args:
        scores: (..., N).
        relevant: (..., N) bool.

    Returns:
        (...); 0 where nothing is relevant.

    Raises:
        InvalidInput: shapes that differ.
    """
    if scores.shape != relevant.shape:
        raise InvalidInput(
            f"average_precision: scores and relevant must have one shape; "
            f"got {tuple(scores.shape)} and {tuple(relevant.shape)}"
        )
    ranked, order = scores.sort(-1, descending=True)
    dtype = at_least_float32(scores).dtype if scores.is_floating_point() else torch.float32
    hits = relevant.gather(-1, order).to(dtype)  # (..., N)
    last = torch.searchsorted(-ranked, -ranked, right=True) - 1  # the last place of each item's ties
    precision = hits.cumsum(-1).gather(-1, last) / (last + 1)
    return (precision * hits).sum(-1) / hits.sum(-1).clamp(min=1)
