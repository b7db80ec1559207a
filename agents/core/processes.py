"""Several processes that train one agent: each has its share of one batch of environments, and gradients are summed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as distributed
from torch import Tensor

from ...envs.core.tree import tree_map
from ...neural_blocks.errors import InvalidInput

PATIENCE = timedelta(hours=12)  # what one process may do alone, such as scoring, while the others wait for it


class Lost(InvalidInput):
    """Another process has ended, so this one cannot go on either."""


class Processes:
    """One of W processes, and what they do together. Alone (W = 1) all of it does nothing.

    They share one batch of W n environments: row i of process r is row r n + i of the whole. What is random is a hash
    of seed and row, so together they play the episodes, and draw the minibatches, of one process that has all W n rows;
    sums over their rows are sums over the whole, in another order. So the weights are those of that one process, but
    for rounding, and the same in every process. Only batch normalisation and dropout, which look at the rows that pass
    through one network together, differ.

    Every process must make the same calls in the same order.

    Args:
        rank: r, from 0 on.
        size: W.

    Attributes:
        leads: whether this is process 0, which alone writes files, prints and evaluates.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size, self.leads = rank, size, rank == 0

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replaces tensors of one dtype, in place, by their sums over all processes: one all-reduce of one buffer."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        self._together(distributed.all_reduce, flat)
        parts = flat.split([tensor.numel() for tensor in tensors])
        views = [part.view_as(tensor) for tensor, part in zip(tensors, parts, strict=True)]
        torch._foreach_copy_(list(tensors), views)

    def gather(self, tree: Any, axis: int = 0) -> Any:
        """A tree whose tensors have the rows of this process along an axis, with those of the whole batch."""
        return tree if self.size == 1 else tree_map(lambda tensor: self._gathered(tensor, axis), tree)

    def _gathered(self, tensor: Tensor, axis: int) -> Tensor:
        plain = tensor.to(torch.uint8) if tensor.dtype == torch.bool else tensor.contiguous()
        parts = [torch.empty_like(plain) for _ in range(self.size)]
        self._together(distributed.all_gather, parts, plain)
        return torch.cat(parts, axis).to(tensor.dtype)

    def own(self, tree: Any, axis: int = 0) -> Any:
        """The other way round: of a tree with the rows of the whole batch along an axis, those of this process."""
        return tree if self.size == 1 else tree_map(lambda whole: whole.chunk(self.size, axis)[self.rank], tree)

    def count(self, rows: int) -> int:
        """Rows of the whole batch, where a process has so many."""
        return rows * self.size

    def columns(self, chosen: Tensor, num_envs: int) -> tuple[Tensor, Tensor | None]:
        """Of columns chosen from a whole batch, those of this process.

        Args:
            chosen: (M,) int64, column c N + i being the c-th of row i of the whole batch of N rows.
            num_envs: n, rows of this process.

        Returns:
            The same columns as this process counts its own, (m,), of c n + i; and what each of them weighs in a mean
            over all M, (m,), or None where it has all.
        """
        if self.size == 1:
            return chosen, None
        part, row = chosen // (num_envs * self.size), chosen % (num_envs * self.size)
        mine = row // num_envs == self.rank
        columns = (part * num_envs + row % num_envs)[mine]
        weight = torch.full((len(columns),), 1 / len(chosen), dtype=torch.float32, device=chosen.device)
        if not len(columns):  # any column, with no weight: not every network takes an empty batch
            return columns.new_zeros(1), weight.new_zeros(1)
        return columns, weight

    def alike(self, count: int, device: torch.device) -> Tensor | None:
        """What each of so many columns weighs where every process has as many; as of `columns`."""
        return (
            None
            if self.size == 1
            else torch.full((count,), 1 / (count * self.size), dtype=torch.float32, device=device)
        )

    def agree(self, *wishes: bool) -> list[bool]:
        """Of each wish, whether any process has it."""
        if self.size == 1:
            return list(wishes)
        flags = torch.tensor(wishes, dtype=torch.int32)
        self._together(distributed.all_reduce, flags, op=distributed.ReduceOp.MAX)
        return [bool(flag) for flag in flags.tolist()]

    def same(self, value: Any) -> Any:
        """The leader's value, of plain types, in every process."""
        if self.size == 1:
            return value
        text = torch.tensor(list(json.dumps(value).encode()), dtype=torch.uint8)
        length = torch.tensor(len(text))
        self._together(distributed.broadcast, length, src=0)
        text = text if self.leads else torch.empty(int(length), dtype=torch.uint8)
        self._together(distributed.broadcast, text, src=0)
        return json.loads(bytes(text.tolist()))

    def _together(self, call: Callable[..., Any], *arguments: Any, **settings: Any) -> None:
        try:
            call(*arguments, **settings)
        except (RuntimeError, ValueError) as error:
            raise Lost(
                f"process {self.rank} of {self.size}: another process has ended, so this one ends too"
            ) from error


ALONE = Processes()


def mean(values: Tensor, weight: Tensor | None) -> Tensor:
    """() the mean of values (..., N); where they are a process's share, what it adds to the mean over the whole.

    Args:
        values: (..., N), of N columns.
        weight: (N,) of each column among those of all processes, see `Processes.columns`; None where there are no more.
    """
    return values.mean() if weight is None else (values * weight).sum() / values.shape[:-1].numel()


def share(num_envs: int, processes: Processes) -> int:
    """The environments that each process has of so many.

    Raises:
        InvalidInput: they cannot be shared out evenly.
    """
    if num_envs % processes.size:
        raise InvalidInput(f"num_envs must be a multiple of the {processes.size} processes; got {num_envs}")
    return num_envs // processes.size


def join(device: str = "auto", environment: Mapping[str, str] | None = None) -> Processes:
    """Joins the processes that this one was started with, by ``torchrun`` or ``palaestra train --gpus``.

    On CUDA each takes the device of its own number, and NCCL sums; on the CPU Gloo does. A process that was started by
    itself is alone.

    Args:
        device: on which they learn: "auto" is CUDA where there is one.
        environment: where ``RANK``, ``WORLD_SIZE``, ``LOCAL_RANK`` and the address stand; None for the process's own.

    Raises:
        InvalidInput: more processes than CUDA devices.
    """
    values = os.environ if environment is None else environment
    size = int(values.get("WORLD_SIZE", "1"))
    if size == 1:
        return ALONE
    rank, local = int(values["RANK"]), int(values.get("LOCAL_RANK", values["RANK"]))
    backend = "gloo"
    if torch.device(device).type == "cuda" if device != "auto" else torch.cuda.is_available():
        if local >= torch.cuda.device_count():
            raise InvalidInput(f"processes must be at most one a GPU, {torch.cuda.device_count()}; got {local + 1}")
        torch.cuda.set_device(local)
        backend = "cpu:gloo,cuda:nccl"
    if not distributed.is_initialized():
        distributed.init_process_group(backend, rank=rank, world_size=size, timeout=PATIENCE)
    return Processes(rank, size)
