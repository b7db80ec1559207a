"""Whether a computation may look at what tensors hold: not while it is traced, captured or transformed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class _Tracing(threading.local):
    on = False


_tracing = _Tracing()


def row_by_row(device: torch.device) -> bool:
    """Whether a rule may look at what tensors hold to compute some rows only: eager, on the CPU, and nowhere else.

    Under `torch.func`'s transforms it may not: a tensor then stands for many.
    """
    if device.type != "cpu" or torch.compiler.is_compiling() or _tracing.on:
        return False
    return torch._C._functorch.peek_interpreter_stack() is None


@contextmanager
def branch_free() -> Iterator[None]:
    """Within it a computation looks at no tensor's values: for what is traced or captured."""
    before, _tracing.on = _tracing.on, True
    try:
        yield
    finally:
        _tracing.on = before
