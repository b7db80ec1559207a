"""Whether there is room: memory is reckoned before it is taken, so that a number too large is one line and no crash."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch

from ...neural_blocks.errors import InvalidInput

_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
"""Files of a container's limit and of what it has taken, in version 2 and 1."""


def require_room(what: str, size: float, device: torch.device | str = "cpu", hint: str = "") -> None:
    """Nothing, where `size` bytes are free on the device.

    Args:
        what: needs them, for the message, such as "DigitBandit: num_envs 16777216".
        size: bytes.
        device: where.
        hint: what to do instead.

    Raises:
        InvalidInput: there is less.
    """
    free = free_memory(torch.device(device))
    if size > free:
        told = f"; {hint}" if hint else ""
        raise InvalidInput(f"{what} needs about {_bytes(size)} of memory; {_bytes(free)} are free on {device}{told}")


def free_memory(device: torch.device) -> float:
    """Bytes that are free on the device; infinite where nothing tells."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    found = [_available(), *(_left(*files) for files in _CGROUPS)]
    return min(found)


def space_bytes(space: spaces.Space[Any]) -> int:
    """Bytes of one value of the space as a tensor."""
    if isinstance(space, spaces.Dict):
        return sum(space_bytes(part) for part in space.values())
    if isinstance(space, spaces.Tuple):
        return sum(space_bytes(part) for part in space.spaces)
    size = int(np.prod(space.shape or (1,), dtype=np.float64))
    return size * (space.dtype.itemsize if space.dtype is not None else 8)


def _available() -> float:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024.0 * int(line.split()[1])
    except (OSError, ValueError):
        pass
    try:  # no Linux: all that the machine has
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return float("inf")


def _left(limit: str, usage: str) -> float:
    try:
        return float(int(Path(limit).read_text()) - int(Path(usage).read_text()))
    except (OSError, ValueError):  # no such file, or "max"
        return float("inf")


def _bytes(size: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.3g} PiB"
