"""Checkpoints: an agent's tensors and plain values in one file that knows when it is damaged.

A file is what `torch.save` writes, a zip archive, whose comment is the SHA-256 of everything before it.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor, nn

from ...envs.core.task import Task
from ...neural_blocks.errors import InvalidInput
from .whole_file import write_whole

LABEL = b"sha256:"
TRAILER = len(LABEL) + 64  # bytes of the comment
ADVICE = "what else is in the folder still counts: use another checkpoint, or delete this one to start again"


def write_checkpoint(path: str | Path, content: dict[str, Any]) -> None:
    """Writes tensors and plain values with their checksum; the old file stays whole until the new one is.

    Raises:
        OSError: the file cannot be written.
    """

    def write(file: BinaryIO) -> None:
        torch.save(content, file)
        file.seek(-2, os.SEEK_END)
        file.write(struct.pack("<H", TRAILER))  # the length of the archive's comment
        file.write(LABEL + _digest(file, file.tell()).encode())

    write_whole(path, write)


def read_checkpoint(path: str | Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """The content of a checkpoint, tensors on `device`; no code is loaded.

    Raises:
        InvalidInput: the file is missing, truncated, changed by as much as a bit, or no checkpoint of this suite.
    """
    try:
        with open(path, "rb") as file:
            size = max(0, file.seek(0, os.SEEK_END) - TRAILER)
            file.seek(size)
            comment = file.read()
            if not comment.startswith(LABEL):
                raise ValueError("it is cut off, or was not written by this suite")
            if comment != LABEL + _digest(file, size).encode():
                raise ValueError("its content and its checksum differ")
            file.seek(0)
            content = torch.load(file, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise InvalidInput(f"{path}: no such checkpoint") from None
    except Exception as error:  # torch.load has no exception of its own for a damaged file
        raise InvalidInput(f"{path}: not a readable checkpoint: {_one_line(error)}; {ADVICE}") from error
    parts = {"agent": str, "config": dict, "spaces": dict, "state": dict, "extra": dict}
    if not isinstance(content, dict) or not all(isinstance(content.get(part), kind) for part, kind in parts.items()):
        raise InvalidInput(f"{path}: not a checkpoint of this suite: it must hold {', '.join(parts)}")
    return content


def not_finite(owner: object) -> tuple[str, float] | None:
    """The first weight of an agent's networks that is NaN or infinite (a buffer: NaN): its name and the value."""
    for name, module in _modules(owner):
        for key, weight in module.named_parameters():
            if not bool(weight.isfinite().all()):
                return f"{name}.{key}", float(weight.detach()[~weight.isfinite()][0])
        for key, buffer in module.named_buffers():
            if buffer.is_floating_point() and bool(buffer.isnan().any()):
                return f"{name}.{key}", float("nan")
    return None


def _modules(owner: object, depth: int = 2) -> Iterator[tuple[str, nn.Module]]:
    """The networks among an object's attributes, also in lists, dicts and the objects it is made of."""
    for name, value in vars(owner).items():
        parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for place, part in [(name, value), *((f"{name}.{key}", part) for key, part in parts)]:
            if isinstance(part, Task):  # whose tables may hold NaN
                continue
            if isinstance(part, nn.Module):
                yield place, part
            elif depth and hasattr(part, "__dict__") and not isinstance(part, type) and not hasattr(part, "reset"):
                yield from ((f"{place}.{inner}", module) for inner, module in _modules(part, depth - 1))


def require_dtypes(state: object, own: object, told: str) -> None:
    """Refuses a state in which a tensor has another dtype than an agent's own has in its place.

    Raises:
        InvalidInput: beginning with `told`.
    """
    if found := _other_dtype(state, own):
        raise InvalidInput(f"{told}: {found}")


def _other_dtype(state: object, own: object, path: str = "state") -> str | None:
    """What is wrong with the first tensor of another dtype; parts that one side lacks are passed over."""
    if isinstance(own, Tensor):
        wanted, got = own.dtype, state.dtype if isinstance(state, Tensor) else type(state).__name__
        return None if got == wanted or state is None else f"{path} must be {wanted}; got {got}"
    pairs: list[tuple[Any, Any, Any]] = []
    if isinstance(own, dict) and isinstance(state, dict):
        pairs = [(key, state[key], own[key]) for key in own if key in state]
    elif isinstance(own, list | tuple) and isinstance(state, list | tuple):
        pairs = [(key, *both) for key, both in enumerate(zip(state, own, strict=False))]
    found = (_other_dtype(given, mine, f"{path}.{key}") for key, given, mine in pairs)
    return next((complaint for complaint in found if complaint is not None), None)


def fingerprint(space: spaces.Space[Any]) -> str:
    """A space in one line that is the same for equal spaces only: a shortened text, and a digest of the whole."""
    digest = hashlib.sha256(repr(_whole(space)).encode()).hexdigest()
    return f"{_one_line(space)} #{digest[:16]}"


def _whole(space: Any) -> Any:
    """Everything that makes a space what it is, as plain values; long arrays as digests."""
    kind = type(space).__name__
    if isinstance(space, spaces.Box):
        return kind, space.dtype.str, space.shape, _array(space.low), _array(space.high)
    if isinstance(space, spaces.Discrete):
        return kind, int(space.n), int(space.start)
    if isinstance(space, spaces.MultiDiscrete):
        return kind, space.shape, _array(space.nvec), _array(space.start)
    if isinstance(space, spaces.Dict):
        return kind, [(key, _whole(part)) for key, part in sorted(space.items())]
    if isinstance(space, spaces.Tuple):
        return kind, [_whole(part) for part in space]
    return kind, space.shape, repr(space)


def _array(values: Any) -> str:
    values = np.ascontiguousarray(values)
    values = values + 0.0 if np.issubdtype(values.dtype, np.floating) else values  # -0.0 equals 0.0
    return hashlib.sha256(values.tobytes()).hexdigest()


def _digest(file: BinaryIO, size: int) -> str:
    """The SHA-256 of a file's first `size` bytes; leaves the file at their end."""
    file.seek(0)
    digest = hashlib.sha256()
    while size:
        block = file.read(min(size, 2**20))
        if not block:
            raise OSError("the file grew shorter while it was read")
        digest.update(block)
        size -= len(block)
    return digest.hexdigest()


def _one_line(told: object, length: int = 160) -> str:
    text = " ".join(str(told).split())
    return text if len(text) <= length else f"{text[:length]}..."
