"""On what a run trained, in words."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch


def hardware(device: str) -> str:
    """The machine behind a device, such as "Intel Xeon Gold 6330, 8 cores" or "NVIDIA H100 80GB HBM3"."""
    kind = torch.device(device).type
    if kind == "cuda" and torch.cuda.is_available():
        return torch.cuda.get_device_name(device)
    return f"{_processor()}, {os.cpu_count() or 1} cores" if kind == "cpu" else device


def _processor() -> str:
    """The processor's own name where the system tells it, else its architecture."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name" and value.strip():
                return " ".join(value.split())
    except OSError:
        pass
    return platform.processor() or platform.machine() or "processor"
