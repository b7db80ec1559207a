"""A stand-in for a CUDA graph on the CPU: operations and the tensors they met are recorded once, then run again."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten


class Tape(TorchDispatchMode):
    """Records every operator with the very tensors it was given, as a CUDA graph records addresses.

    A replay runs them anew on those tensors and writes into the same results; Python is not run again, so a number,
    a branch or a tensor bound anew stays what it was when it was recorded.
    """

    made = 0

    def __init__(self):
        super().__init__()
        self.operations = []
        self.replays = 0
        Tape.made += 1

    def warm(self, closure):
        closure()

    def record(self, closure):
        self.before = []
        with self:
            results = closure()
        with torch.no_grad():
            for tensor, value in reversed(self.before):  # a capture computes nothing
                tensor.copy_(value)
        return results

    @torch.no_grad()
    def replay(self):
        self.replays += 1
        for operator, args, kwargs, results in self.operations:
            for old, new in zip(results, tensors(operator(*args, **kwargs)), strict=True):
                if old.data_ptr() != new.data_ptr():  # else a view, or written in place
                    old.copy_(new)

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if operator in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default):
            raise RuntimeError("operation not permitted when stream is capturing")  # what CUDA says of a host sync
        for argument, given in zip(operator._schema.arguments, args, strict=False):
            if argument.alias_info is not None and argument.alias_info.is_write:
                self.before += [(tensor, tensor.clone()) for tensor in tensors(given)]
        if operator is torch.ops.aten.native_batch_norm.default:  # writes the running statistics, and does not say so
            self.before += [(tensor, tensor.clone()) for tensor in tensors(args[3:5])]
        results = operator(*args, **kwargs)
        self.operations.append((operator, args, kwargs, tensors(results)))
        return results


def tensors(tree):
    return [leaf for leaf in tree_flatten(tree)[0] if isinstance(leaf, Tensor)]
