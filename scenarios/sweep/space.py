"""What a sweep tries: for each setting some values, or a range."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...neural_blocks.errors import InvalidInput, shown
from ..files import strict_yaml

Settings = dict[str, Any]
_RANGE = re.compile(r"(log|linear)\(\s*([^,()]+),\s*([^,()]+)(?:,\s*(\d+)\s*)?\)")
POINTS = 3


@dataclass(frozen=True)
class Choices:
    """Some values, of which a random search draws each as often."""

    values: tuple[Any, ...]

    def draw(self, generator: np.random.Generator) -> Any:
        """One of them."""
        return self.values[int(generator.integers(len(self.values)))]


@dataclass(frozen=True)
class Range:
    """All numbers from one to another, evenly spread, or evenly in their logarithms.

    Attributes:
        low, high: the ends.
        log: whether the logarithms are spread evenly.
        points: how many a grid takes, the ends among them.
    """

    low: float
    high: float
    log: bool
    points: int = POINTS

    @property
    def values(self) -> tuple[float, ...]:
        """What a grid takes of it."""
        spread = np.geomspace if self.log else np.linspace
        return tuple(_short(value) for value in spread(self.low, self.high, self.points))

    def draw(self, generator: np.random.Generator) -> float:
        """One of them."""
        share = generator.random()
        drawn = self.low * (self.high / self.low) ** share if self.log else self.low + (self.high - self.low) * share
        return _short(drawn)


Space = Mapping[str, Choices | Range]


def parse_space(pairs: Sequence[str], option: str = "--set") -> dict[str, Choices | Range]:
    """``["key=a,b", "key=log(1e-4,1e-2)", ...]`` as a space; a value that holds commas itself stands in brackets.

    >>> parse_space(["hidden=[64],[64, 64]"])["hidden"].values
    ([64], [64, 64])

    Raises:
        InvalidInput: a pair without "=", a key that stands twice, a value that is not YAML, or a range without width.
    """
    space: dict[str, Choices | Range] = {}
    for pair in pairs:
        key, equals, text = (part.strip() for part in pair.partition("="))
        if not equals or not key or not text:
            raise InvalidInput(f"{option} must be key=value, key=a,b,c or key=log(low,high); got {shown(pair)}")
        if key in space:
            raise InvalidInput(f"{option} {key} stands twice")
        found = _RANGE.fullmatch(text)
        if found is None:
            values = strict_yaml.read(f"[{text}]", f"{option} {pair:.60}")
            unique = {json.dumps(value, sort_keys=True): value for value in values}
            space[key] = Choices(tuple(unique.values()))
        else:
            space[key] = _range(f"{option} {key}", *found.groups())
    return space


def _range(what: str, kind: str, low: str, high: str, points: str | None) -> Range:
    try:
        ends = float(low), float(high)
    except ValueError:
        raise InvalidInput(f"{what}: {kind}(low,high) must have two numbers; got {shown(f'{low}, {high}')}") from None
    log, count = kind == "log", POINTS if points is None else int(points)
    if not (np.isfinite(ends).all() and ends[0] < ends[1] and (ends[0] > 0 or not log) and count > 1):
        wanted = "0 < low < high" if log else "low < high"
        raise InvalidInput(
            f"{what}: {kind}(low,high,points) needs {wanted} and 2 points at least; got {low}, {high}, {count}"
        )
    return Range(*ends, log, count)


def grid(space: Space) -> list[Settings]:
    """Every combination of values, the last key changing fastest; of no keys the one that changes nothing."""
    return [
        dict(zip(space, values, strict=True)) for values in itertools.product(*(one.values for one in space.values()))
    ]


def random_search(space: Space, count: int, seed: int = 0) -> list[Settings]:
    """Draws from a space; the same seed draws the same, and more of them begin with the fewer."""
    generator = np.random.default_rng(seed)
    drawn = [{key: one.draw(generator) for key, one in space.items()} for _ in range(count)]
    return list({json.dumps(one, sort_keys=True): one for one in drawn}.values())


def _short(value: float) -> float:
    """Six digits, which is more than a setting's last matters, and reads well in a label."""
    return float(f"{value:.6g}")
