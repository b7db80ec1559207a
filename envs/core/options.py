"""Checks of a task's options: each returns the value, or raises one line naming it and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ...neural_blocks.errors import InvalidInput, unknown_name

LARGEST_SEED = 2**62


def choice(what: str, value: object, allowed: Iterable[str]) -> str:
    """`value`, if it is one of `allowed`; `what` names the task and the option (``"DigitBandit: split"``)."""
    names = list(allowed)
    if not isinstance(value, str) or value not in names:
        raise unknown_name(what, value, names)
    return value


def integer(what: str, value: Any, low: int, high: int | None = None) -> int:
    """`value`, if it is a whole number from `low` to `high`."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value > high):
        limits = f"from {low} to {high}" if high is not None else f"of at least {low}"
        raise InvalidInput(f"{what} must be a whole number {limits}; got {value!r}")
    return int(value)


def number(what: str, value: Any, low: float, high: float = math.inf) -> float:
    """`value` as a float, if it is a finite number from `low` to `high`."""
    real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not real or not low <= value <= high or math.isinf(value):
        limits = f"from {low} to {high}" if math.isfinite(high) else f"of at least {low}"
        raise InvalidInput(f"{what} must be a number {limits}; got {value!r}")
    return float(value)


def seed_or_none(name: str, seed: object) -> int | None:
    """A seed as Gymnasium takes it: None, or a whole number that is not negative; `name` is the environment's."""
    return None if seed is None else integer(f"{name}: seed", seed, 0, LARGEST_SEED)
