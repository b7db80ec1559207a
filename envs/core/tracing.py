"""Rules that look at what tensors hold, where they may; when that is stands in `neural_blocks.tracing`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ...neural_blocks.tracing import branch_free as branch_free
from ...neural_blocks.tracing import row_by_row as row_by_row


def judged_at_end(ended: Tensor, judge: Callable[..., Tensor], *parts: Tensor) -> Tensor:
    """Measures of the episodes that end, NaN for the others, which are not even judged where rules may look.

    Args:
        ended: (B,) bool.
        judge: what gives M measures, (B', M) float, of rows of `parts`; also of none.
        parts: (B, ...) each.

    Returns:
        (B, M).
    """
    if not row_by_row(ended.device):
        return judge(*parts).masked_fill(~ended[:, None], torch.nan)
    rows = ended.nonzero().squeeze(1)
    found = judge(*(part.index_select(0, rows) for part in parts))
    return found.new_full((len(ended), found.shape[1]), torch.nan).index_copy_(0, rows, found)
