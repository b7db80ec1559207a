"""Checks of a task's options: each returns the value, or raises one line naming it and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..neural_blocks.errors import InvalidInput, unknown_name


def choice(what: str, value: object, allowed: Iterable[str]) -> str:
    """`value`, if it is one of `allowed`; `what` names the task and the option (``"DigitBandit: split"``)."""
    names = list(allowed)
    if not isinstance(value, str) or value not in names:
        raise unknown_name(what, value, names)
    return value


def integer(what: str, value: object, low: int, high: int | None = None) -> int:
    """`value`, if it is a whole number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low or (high is not None and value > high):
        limits = f"from {low} to {high}" if high is not None else f"of at least {low}"
        raise InvalidInput(f"{what} must be a whole number {limits}; got {value!r}")
    return value


def number(what: str, value: object, low: float, high: float = math.inf) -> float:
    """`value` as a float, if it is a finite number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high or math.isinf(value):
        limits = f"from {low} to {high}" if math.isfinite(high) else f"of at least {low}"
        raise InvalidInput(f"{what} must be a number {limits}; got {value!r}")
    return float(value)
