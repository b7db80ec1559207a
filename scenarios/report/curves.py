"""Learning curves: the returns of a standing's seeds on one grid, by steps and by seconds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..board import Row
from ..board.rows import finite
from ..board.standings import standings_and_runs
from ..runner.adapting import read_adaptation
from ..runner.folder import METRICS
from .boards import key

POINTS = 80
CHECKED = "evaluation_return"  # of the checks while an agent trains
AXES = ("steps", "seconds")
Series = NDArray[np.float64]


def read_metrics(folder: Path, seconds: float, value: str = "return") -> Series | None:
    """A run's logged steps, seconds and returns, (3, reports); None where it has logged fewer than two.

    Args:
        folder: of the run.
        seconds: of its training, spread evenly over the steps where the metrics do not tell.
        value: what is read: "return", or `CHECKED`, that of the checks on the validation split.
    """
    found = []
    try:
        with (folder / METRICS).open(encoding="utf-8") as file:
            for line in file:
                report = json.loads(line)
                values = report.get("steps"), report.get("seconds", np.nan), report.get(value)
                if values[0] is not None and values[2] is not None:
                    found.append([float(value) for value in values])
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None
    if len(found) < 2:
        return None
    series = np.array(found).T
    if np.isnan(series[1]).any():
        series[1] = series[0] / series[0, -1] * seconds
    return series


def curve(runs: Sequence[Series], axis: str) -> dict[str, Any]:
    """The mean of several runs' returns with the lowest and the highest, on a grid as far as all of them go."""
    across = AXES.index(axis)
    grid = np.linspace(max(run[across, 0] for run in runs), min(run[across, -1] for run in runs), POINTS)
    values = np.stack([np.interp(grid, run[across], run[2]) for run in runs])  # (runs, points)
    told = {"x": grid, "mean": values.mean(0), "low": values.min(0), "high": values.max(0)}
    return {name: [finite(float(f"{value:.5g}")) for value in part] for name, part in told.items()}


def curves(rows: Sequence[Row], root: Path) -> dict[str, list[dict[str, Any]]]:
    """The curves of every scenario's standings, best first, for those that learned.

    Args:
        rows: finished runs.
        root: of their folders.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for scenario in dict.fromkeys(row.scenario for row in rows):
        for standing, runs in standings_and_runs(rows, scenario):
            series = [read_metrics(folder_of(row, root), row.seconds) for row in runs[scenario]]
            known = [one for one in series if one is not None]
            if known:
                told = {axis: curve(known, axis) for axis in AXES}
                name = {"key": key(runs[scenario][0]), "label": standing.label, "agent": standing.agent}
                found.setdefault(scenario, []).append(name | told | {"seeds": len(known)})
    return found


def adaptations(rows: Sequence[Row], root: Path) -> dict[str, list[dict[str, Any]]]:
    """What each episode of a trial brings to every scenario's standings, best first: mean, lowest and highest seed."""
    found: dict[str, list[dict[str, Any]]] = {}
    for scenario in dict.fromkeys(row.scenario for row in rows):
        for standing, runs in standings_and_runs(rows, scenario):
            kept = [read_adaptation(folder_of(row, root)) for row in runs[scenario]]
            known = [one for one in kept if one is not None and len(one) > 1]
            if not known or len({len(one) for one in known}) > 1:
                continue
            values = np.array(known)  # (runs, episodes)
            told = {"mean": values.mean(0), "low": values.min(0), "high": values.max(0)}
            line = {name: [finite(float(f"{value:.5g}")) for value in part] for name, part in told.items()}
            line |= {"x": list(range(1, values.shape[1] + 1))}
            name = {"key": key(runs[scenario][0]), "label": standing.label, "agent": standing.agent}
            found.setdefault(scenario, []).append(name | line | {"seeds": len(known)})
    return found


def folder_of(row: Row, root: Path) -> Path:
    """A run's folder below a root, wherever the root was when it ran."""
    return root.joinpath(*Path(row.folder).parts[-3:])
