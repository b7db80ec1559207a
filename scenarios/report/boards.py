"""The leaderboards that the page can show: one for each set of scenarios that its filters can choose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..board import Row, Standing
from ..board.comparing import Comparison, compare_all, places, scores_by_seed
from ..board.rows import finite
from ..board.standings import standings_and_runs
from ..statistics import performance_profile, profile_interval

THRESHOLDS = np.linspace(-0.2, 1.2, 57)
PERCENTILES = (5, 25, 50, 75, 95)
Kind = Mapping[str, Any]


def boards(rows: Sequence[Row], kinds: Mapping[str, Kind]) -> dict[str, Any]:
    """Every leaderboard by its scenarios' places among `kinds`, joined by commas, such as "0,3".

    Args:
        rows: all finished runs.
        kinds: of every scenario of theirs, its "family" and its "tags".
    """
    names = list(kinds)
    return {
        ",".join(str(names.index(name)) for name in chosen): board(rows, chosen)
        for chosen in dict.fromkeys(_sets(kinds))
    }


def _sets(kinds: Mapping[str, Kind]) -> Iterator[tuple[str, ...]]:
    """The scenarios that are left by each choice of a family, of a capability, and of a single scenario."""
    yield tuple(kinds)
    families = dict.fromkeys(kind["family"] for kind in kinds.values())
    tags = dict.fromkeys(tag for kind in kinds.values() for tag in kind["tags"])
    for family in (None, *families):
        for tag in (None, *tags):
            chosen = tuple(
                name
                for name, kind in kinds.items()
                if family in (None, kind["family"]) and (not tag or tag in kind["tags"])
            )
            if chosen:
                yield chosen
    yield from ((name,) for name in kinds)


def board(rows: Sequence[Row], scenarios: Sequence[str]) -> dict[str, Any]:
    """One leaderboard, as plain values: its standings best first, and the comparison of every two of them."""
    chosen = [row for row in rows if row.scenario in scenarios]
    found = standings_and_runs(chosen, scenarios[0] if len(scenarios) == 1 else None)
    scores = [scores_by_seed(runs) for _, runs in found]
    comparisons = compare_all(scores)
    ranks = places(len(found), comparisons)
    lines = []
    for rank, ((standing, runs), own, place) in enumerate(zip(found, scores, ranks, strict=True), 1):
        counted = [row for some in runs.values() for row in some]
        line = _line(standing, counted) | _spread(list(own.values()))
        lines.append(line | {"rank": rank, "best": place.best, "worst": place.worst, "group": place.group})
    return {"standings": lines, "pairs": _pairs(len(found), comparisons)}


def key(row: Row) -> str:
    """What an agent with a configuration is known by over all scenarios: its name and its label."""
    _, agent, label, _ = row.standing
    return f"{agent}\n{label}"


def _line(standing: Standing, runs: Sequence[Row]) -> dict[str, Any]:
    values = standing.to_json()
    names = (
        "agent", "label", "scenario", "scenarios", "scenarios_in_all", "seeds", "score", "low", "high", "return_mean",
        "metrics", "steps", "seconds", "configuration",
    )  # fmt: skip
    told = {name: _rounded(values[name]) for name in names}
    return told | {"key": key(runs[0]), "runs": [row.run_id for row in runs]}


def _spread(strata: list[list[float]]) -> dict[str, Any]:
    """How the runs' scores lie: themselves, their percentiles, and the performance profile with its interval."""
    if not strata:
        return {"scores": [], "percentiles": None, "profile": None}
    scores = [score for runs in strata for score in runs]
    weights = [1 / len(runs) for runs in strata for _ in runs]
    profile = performance_profile(strata, THRESHOLDS), *profile_interval(strata, THRESHOLDS)
    return {
        "scores": [_rounded(score) for score in scores],
        "percentiles": [_rounded(_percentile(scores, weights, at)) for at in PERCENTILES],
        "profile": [[_rounded(value) for value in part.tolist()] for part in profile],
    }


def _percentile(scores: list[float], weights: list[float], at: float) -> float:
    """The percentile of weighted scores; with equal weights `np.percentile`, linear between two scores."""
    order = np.argsort(scores)
    share = np.asarray(weights)[order]
    middle = share.cumsum() - share / 2
    ends = middle[0], middle[-1]
    place = ends[0] + at / 100 * (ends[1] - ends[0])
    return float(np.interp(place, middle, np.asarray(scores)[order]))


def _pairs(count: int, comparisons: Mapping[tuple[int, int], Comparison]) -> list[list[Any]]:
    """By row and column: probability that the row's runs beat the column's, its interval, and on how many scenarios."""

    def told(one: int, other: int) -> list[Any] | None:
        if (found := comparisons.get((one, other))) is None:
            return None
        ends = found.improvement, found.improvement_low, found.improvement_high
        return [*(_rounded(value) for value in ends), found.scenarios]

    return [[told(one, other) for other in range(count)] for one in range(count)]


def _rounded(value: Any) -> Any:
    """Plain values with floats of five digits, which is more than a page shows; what is not finite is None."""
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, float):
        return None if finite(value) is None else float(f"{value:.5g}")
    return value
