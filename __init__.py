"""Palaestra: every deep-learning task as a batched, GPU-native Gymnasium environment.

Importing it registers every environment with Gymnasium as ``palaestra/<Name>-v0``, and what installed packages add
through the entry-point group `palaestra`. Its parts, `envs`, `agents`, `neural_blocks` and `scenarios`, are imported
when they are first used.
"""

from importlib import import_module
from typing import Any

from .envs.registry import read_opponents_with, register_all
from .neural_blocks.plugins import load_plugins

__version__ = "0.1.0"
_PARTS = ("agents", "envs", "neural_blocks", "scenarios")

register_all()
read_opponents_with("palaestra.scenarios.rival:saved_opponent")
load_plugins()


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PARTS})
