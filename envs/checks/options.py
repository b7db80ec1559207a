"""Checks of what a caller passes: each returns the value, or raises one line naming it and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from secrets import randbits
from typing import TYPE_CHECKING, Any

import numpy as np

from ...neural_blocks.errors import InvalidInput, shown, unknown_name

if TYPE_CHECKING:
    import torch

LARGEST_SEED = 2**62
MOST = 1_000_000
"""The highest whole number that an option takes where nothing smaller is said."""
MOST_ENVIRONMENTS = 2**24
MOST_EPISODES = 10_000_000
MOST_CHECKS = 1000
MOST_STEPS = 10**15


def choice(what: str, value: object, allowed: Iterable[str]) -> str:
    """`value`, if it is one of `allowed`; `what` names the task and the option (``"DigitBandit: split"``)."""
    names = list(allowed)
    if not isinstance(value, str) or value not in names:
        raise unknown_name(what, value, names)
    return value


def integer(what: str, value: Any, low: int, high: int = MOST) -> int:
    """`value`, if it is a whole number from `low` to `high`."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < low or value > high:
        raise InvalidInput(f"{what} must be a whole number from {low} to {high}; got {shown(value)}")
    return int(value)


def number(what: str, value: Any, low: float, high: float = math.inf) -> float:
    """`value` as a float, if it is a finite number from `low` to `high`."""
    real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    try:
        found = float(value) if real else math.nan
    except OverflowError:
        found = math.inf
    if not low <= found <= high or math.isinf(found):
        limits = f"from {low} to {high}" if math.isfinite(high) else f"of at least {low}"
        raise InvalidInput(f"{what} must be a number {limits}; got {shown(value)}")
    return found


def flag(what: str, value: Any) -> bool:
    """`value`, if it is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise InvalidInput(f"{what} must be True or False; got {shown(value)}")
    return bool(value)


def seed_or_none(name: str, seed: object) -> int | None:
    """A seed as Gymnasium takes it: None, or a whole number that is not negative; `name` is the environment's."""
    return None if seed is None else integer(f"{name}: seed", seed, 0, LARGEST_SEED)


def torch_device(what: str, device: Any) -> torch.device:
    """The device of that name, if PyTorch finds it here and values can be computed on it."""
    import torch

    try:
        found = torch.device(device) if isinstance(device, str | torch.device) else None
        if found is not None and found.type != "meta":
            torch.empty(0, device=found)
            return found
        reason = "" if found is None else " (it holds no values)"
    except (RuntimeError, AssertionError, NotImplementedError, ValueError) as error:
        reason = f" ({str(error).splitlines()[0]:.100})"
    allowed = "'cpu' or one that PyTorch finds here, such as 'cuda'"
    raise InvalidInput(f"{what} must be {allowed}; got {shown(device)}{reason}")


def fresh_seed() -> int:
    """A seed that nobody chose, from 0 to 2**31 - 1."""
    return randbits(31)
