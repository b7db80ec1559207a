"""Standings: what the runs of one configuration come to, and in which order they rank."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from ..statistics import interquartile_mean, stratified_bootstrap
from .ranking import rank_by_common
from .rows import Row, finite

ALL = "all"
"""The scenario of a standing over all scenarios."""


@dataclass(frozen=True)
class Standing:
    """How one configuration of an agent does on a scenario, over all its seeds.

    Attributes:
        scenario: name of the scenario, or "all".
        agent: name of the agent.
        scenarios: how many scenarios the score covers.
        seeds: how many seeds were run; over all scenarios, the fewest that any of them has.
        score: interquartile mean of the normalised scores, each scenario weighing the same; NaN where there is none.
        low, high: its 95 % stratified bootstrap interval; NaN where a scenario has a single seed.
        return_mean: mean over seeds; NaN over all scenarios, whose returns have no common unit.
        metrics: mean over seeds; empty over all scenarios.
        steps: mean training steps of a run.
        seconds: mean training time of a run.
        label: the configuration's name, unique on the scenario.
        configuration: its digest; empty over all scenarios.
        scenarios_in_all: how many scenarios any standing of the table has a score for.
    """

    scenario: str
    agent: str
    scenarios: int
    seeds: int
    score: float
    low: float
    high: float
    return_mean: float
    steps: int
    seconds: float
    metrics: dict[str, float] = field(default_factory=dict)
    label: str = ""
    configuration: str = ""
    scenarios_in_all: int = 1

    def to_json(self) -> dict[str, Any]:
        """The attributes by name, ready for `json.dumps`; what is not finite is None."""
        values = asdict(self)
        values["metrics"] = {name: finite(value) for name, value in self.metrics.items()}
        return {name: finite(value) for name, value in values.items()}


def standings(rows: Iterable[Row], scenario: str | None) -> list[Standing]:
    """The standings on a scenario, best first; over all scenarios together if none is named.

    Runs count together only where they are of one configuration; of several with the same seed the newest counts. Over
    all scenarios, where a label has several configurations on a scenario, that of the newest run counts.
    """
    return [standing for standing, _ in standings_and_runs(rows, scenario)]


def standings_and_runs(rows: Iterable[Row], scenario: str | None) -> list[tuple[Standing, dict[str, list[Row]]]]:
    """The `standings`, each with the runs by scenario that it counts."""
    groups = grouped(rows)
    if scenario is not None:
        chosen = [(_standing(scenario, key, runs), runs) for key, runs in groups.items() if key[0] == scenario]
        found = sorted(chosen, key=lambda one: _by_score(one[0]))
        named = _unlike([standing for standing, _ in found])
        return [(standing, {scenario: runs}) for standing, (_, runs) in zip(named, found, strict=True)]
    newest: dict[tuple[str, str], dict[str, list[Row]]] = defaultdict(dict)
    for (name, agent, label, _), runs in sorted(groups.items(), key=lambda item: max(row.age for row in item[1])):
        newest[agent, label][name] = runs
    over_all = {
        key: _standing(ALL, (ALL, *key, ""), [row for runs in by_scenario.values() for row in runs])
        for key, by_scenario in newest.items()
    }
    scores = {
        key: {name: told for name, runs in by_scenario.items() if (told := _scores(runs))}
        for key, by_scenario in newest.items()
    }
    covered = len({name for by_scenario in scores.values() for name in by_scenario})
    first = sorted(over_all, key=lambda key: _by_score(over_all[key]))
    ranked = rank_by_common({key: scores[key] for key in first}, _middle)
    named = _unlike([replace(over_all[key], scenarios_in_all=covered) for key in ranked])
    return [(standing, newest[key]) for standing, key in zip(named, ranked, strict=True)]


def grouped(rows: Iterable[Row]) -> dict[tuple[str, str, str, str], list[Row]]:
    """The runs that count, by `Row.standing`: of those with the same seed only the newest."""
    newest: dict[tuple[Any, ...], Row] = {}
    for row in sorted(rows, key=lambda row: row.age):
        newest[(*row.standing, row.seed)] = row
    groups: dict[tuple[str, str, str, str], list[Row]] = defaultdict(list)
    for row in newest.values():
        groups[row.standing].append(row)
    return groups


def _standing(scenario: str, key: tuple[str, str, str, str], rows: list[Row]) -> Standing:
    """The standing of one configuration from its rows, which are of one or of several scenarios."""
    by_scenario: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_scenario[row.scenario].append(row)
    strata = [found for runs in by_scenario.values() if (found := _scores(runs))]
    score, low, high = math.nan, math.nan, math.nan
    if strata:
        score = _middle(strata)
        low, high = stratified_bootstrap(strata, _statistic(strata))
    measured: dict[str, list[float]] = defaultdict(list)
    for row in rows if scenario != ALL else []:
        for name, value in row.metrics.items():
            measured[name].append(value)
    return Standing(
        scenario=scenario,
        agent=key[1],
        scenarios=len(strata),
        seeds=min(map(len, by_scenario.values())),
        score=score,
        low=low,
        high=high,
        return_mean=_mean(row.return_mean for row in rows) if scenario != ALL else math.nan,
        steps=round(_mean(row.steps for row in rows)),
        seconds=_mean(row.seconds for row in rows),
        metrics={name: _mean(values) for name, values in measured.items()},
        label=key[2],
        configuration=key[3],
    )


def _unlike(found: list[Standing]) -> list[Standing]:
    """The same standings under labels that tell them apart: by the steps where these differ, else by the digest."""
    shared = Counter(standing.label for standing in found)
    told = [
        replace(standing, label=f"{standing.label} steps={standing.steps}") if shared[standing.label] > 1 else standing
        for standing in found
    ]
    still = Counter(standing.label for standing in told)
    return [
        replace(standing, label=f"{before.label} #{standing.configuration[:6]}")
        if still[standing.label] > 1 and standing.configuration
        else standing
        for standing, before in zip(told, found, strict=True)
    ]


def _scores(rows: Iterable[Row]) -> list[float]:
    return [row.score for row in rows if row.score is not None]


def _statistic(strata: list[list[float]]) -> Any:
    """The interquartile mean of the pooled scores, each scenario weighing the same."""
    weights = np.concatenate([np.full(len(runs), 1 / len(runs)) for runs in strata])
    return partial(interquartile_mean, weights=weights)


def _middle(strata: list[list[float]]) -> float:
    return float(_statistic(strata)(np.concatenate(strata)))


def _by_score(standing: Standing) -> tuple[float, float, str, str]:
    """Sorts from the best to the worst."""
    return -_or_least(standing.score), -_or_least(standing.return_mean), standing.label, standing.configuration


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _or_least(value: float) -> float:
    """A sort key that puts NaN below everything."""
    return -math.inf if math.isnan(value) else value
