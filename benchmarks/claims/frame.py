"""What a claim is, and what can be said of its measurements: means, intervals, and what lies apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from scipy import stats

Place = str | int | float
Cell = tuple[str, Place]
Lines = Mapping[str, Mapping[Any, float]]  # by line and `Place`


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and the ends of its 95 % interval, by Student's t; of one value the ends are NaN."""
    if len(values) < 2:
        return mean(values), math.nan, math.nan
    half = float(stats.t.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return mean(values), mean(values) - half, mean(values) + half


@dataclass(frozen=True)
class Measured:
    """The values of all seeds, by line and place.

    Attributes:
        lines: line to place to one value a seed, in the order of the seeds.
        logarithmic: the values span orders of magnitude: means are geometric, differences are ratios.
    """

    lines: Mapping[str, Mapping[str, Sequence[float]]]
    logarithmic: bool = False

    def values(self, line: str, place: Place) -> Sequence[float]:
        """One value a seed."""
        return self.lines[line][named(place)]

    def interval(self, line: str, place: Place) -> tuple[float, float, float]:
        """Mean and the ends of its 95 % interval; geometric where the values are logarithmic."""
        values = self.values(line, place)
        if not self.logarithmic:
            return interval(values)
        middle, low, high = interval([math.log(value) for value in values])
        return math.exp(middle), math.exp(low), math.exp(high)

    def mean(self, line: str, place: Place) -> float:
        """The mean over seeds."""
        return self.interval(line, place)[0]

    def above(self, one: Cell, other: Cell, by: float | None = None) -> bool:
        """Whether the one lies above the other seed by seed: the 95 % interval of the difference lies above `by`.

        Where values are logarithmic, `by` is a factor that the ratio's interval lies above; by default 1, else 0.
        """
        pairs = list(zip(self.values(*one), self.values(*other), strict=True))
        if self.logarithmic:
            return interval([math.log(x) - math.log(y) for x, y in pairs])[1] > math.log(by or 1.0)
        return interval([x - y for x, y in pairs])[1] > (by or 0.0)

    def contrast(self, one: Cell, other: Cell, third: Cell, fourth: Cell) -> bool:
        """Whether one less other lies above third less fourth, seed by seed, as in `above`; not for logarithms."""
        four = zip(*(self.values(*cell) for cell in (one, other, third, fourth)), strict=True)
        return interval([(a - b) - (c - d) for a, b, c, d in four])[1] > 0

    def slope(self, line: str) -> tuple[float, float, float]:
        """The exponent with which the values grow with their places: mean and 95 % interval over the seeds' slopes.

        The slope of each seed is least squares of log value on log place.
        """
        at = [math.log(float(place)) for place in self.lines[line]]
        seeds = zip(*self.lines[line].values(), strict=True)
        return interval([stats.linregress(at, [math.log(value) for value in seed]).slope for seed in seeds])


@dataclass(frozen=True)
class Claim:
    """An experiment that the field makes a claim about.

    Attributes:
        title: what it compares.
        says: what the field claims, and who does.
        how: what is measured, in a sentence or two.
        measure: the values of one seed, by line of the picture and place along it.
        statements: what must be so for the claim to hold, each with its test.
        value, across: what values and places are, units included; without `across` places are names.
        logarithmic: see `Measured`.
        seeds: how many, at least 3.
    """

    title: str
    says: str
    how: str
    measure: Callable[[int], Lines]
    statements: Sequence[tuple[str, Callable[[Measured], bool]]]
    value: str
    across: str = ""
    logarithmic: bool = False
    seeds: int = 5


def named(place: Place) -> str:
    """A place as it is written."""
    return place if isinstance(place, str) else f"{place:g}"


def gather(found: Sequence[Lines], logarithmic: bool) -> Measured:
    """The seeds' values side by side."""
    lines = {
        line: {named(place): [one[line][place] for one in found] for place in places}
        for line, places in found[0].items()
    }
    return Measured(lines, logarithmic)
