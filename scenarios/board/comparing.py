"""Which standings the runs can tell apart: two at a time, on the scenarios that both have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from ..statistics import improvement_interval, paired_bootstrap, probability_of_improvement
from .rows import Row

Scores = dict[str, list[float]]


@dataclass(frozen=True)
class Comparison:
    """What two standings come to, beside each other.

    Attributes:
        scenarios: how many both have scores of.
        low, high: 95 % interval of the difference of their interquartile means, the first's less the second's.
        improvement: probability that a run of the first beats one of the second.
        improvement_low, improvement_high: its 95 % interval.
    """

    scenarios: int
    low: float
    high: float
    improvement: float
    improvement_low: float
    improvement_high: float

    @property
    def reverse(self) -> Comparison:
        """The same, with the second one first."""
        ends = 1 - self.improvement_high, 1 - self.improvement_low
        return Comparison(self.scenarios, -self.high, -self.low, 1 - self.improvement, *ends)


@dataclass(frozen=True)
class Place:
    """Where a standing is, and where it may be.

    Attributes:
        group: 1 for the first and for those that are not clearly below it, 2 for the first of the others, and so on.
        best, worst: the ranks that no comparison with another speaks against.
    """

    group: int
    best: int
    worst: int


def scores_by_seed(runs: Mapping[str, Sequence[Row]]) -> Scores:
    """The scores of a standing's runs by scenario, each ordered by seed; what has no score is left out."""
    known = {name: [row for row in rows if row.score is not None] for name, rows in runs.items()}
    ordered = {name: sorted(rows, key=lambda row: row.seed) for name, rows in known.items() if rows}
    return {name: [row.score for row in rows if row.score is not None] for name, rows in ordered.items()}


def compare(x: Scores, y: Scores, resamples: int = 1000) -> Comparison | None:
    """Two standings on the scenarios that both have scores of; None where there is none."""
    common = [name for name in x if name in y]
    if not common:
        return None
    sides = [x[name] for name in common], [y[name] for name in common]
    return Comparison(
        len(common),
        *paired_bootstrap(*sides, resamples=resamples),
        probability_of_improvement(*sides),
        *improvement_interval(*sides, resamples=resamples),
    )


def compare_all(scores: Sequence[Scores], resamples: int = 1000) -> dict[tuple[int, int], Comparison]:
    """Every two of several standings, by their places in the sequence, both ways round."""
    found: dict[tuple[int, int], Comparison] = {}
    for one, other in combinations(range(len(scores)), 2):
        if (comparison := compare(scores[one], scores[other], resamples)) is not None:
            found[one, other], found[other, one] = comparison, comparison.reverse
    return found


def places(count: int, comparisons: Mapping[tuple[int, int], Comparison]) -> list[Place]:
    """Tie groups and rank intervals of standings that come best first.

    One is clearly above another where the interval of their difference lies above 0. A rank interval leaves out the
    ranks of those that are clearly above or below. A group begins with the best one that is in none, and goes on with
    those that it is not clearly above, until the first that it is.
    """

    def above(one: int, other: int) -> bool:
        comparison = comparisons.get((one, other))
        return comparison is not None and not math.isnan(comparison.low) and comparison.low > 0

    found, group, leader = [], 0, -1
    for k in range(count):
        if leader < 0 or above(leader, k):
            group, leader = group + 1, k
        better = sum(above(other, k) for other in range(count))
        worse = sum(above(k, other) for other in range(count))
        found.append(Place(group, 1 + better, count - worse))
    return found
