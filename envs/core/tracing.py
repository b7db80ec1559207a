"""Whether rules may look at what tensors hold; it stands in `neural_blocks.tracing`, as blocks ask the same."""

from __future__ import annotations

from ...neural_blocks.tracing import branch_free as branch_free
from ...neural_blocks.tracing import row_by_row as row_by_row
