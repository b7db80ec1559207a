"""Whether rules may look at what tensors hold: not while they are traced or captured."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class _Tracing(threading.local):
    on = False


_tracing = _Tracing()


def row_by_row(device: torch.device) -> bool:
    """Whether a rule may look at what tensors hold to compute some rows only: eager, on the CPU, and nowhere else."""
    return device.type == "cpu" and not torch.compiler.is_compiling() and not _tracing.on


@contextmanager
def branch_free() -> Iterator[None]:
    """Within it rules look at no tensor's values: for what is traced or captured."""
    before, _tracing.on = _tracing.on, True
    try:
        yield
    finally:
        _tracing.on = before
