"""Learning curves and scores as PNG pictures, for those who only want a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...agents.core.whole_file import write_whole
from ...envs.drawing.canvas import COLOURS, INK, MUTED, Canvas
from ...envs.drawing.wording import fixed
from ...neural_blocks.errors import InvalidInput, shown
from ..board import Row
from ..board.standings import standings_and_runs
from ..runner.folder import RunFolder
from ..runner.keeping import find_run
from ..runner.plan import read_plan
from .curves import AXES, CHECKED, Series, curve, folder_of, read_metrics

WIDTH, PLOT, LINE = 1100, 560, 34
MOST = len(COLOURS)
NAMES = {"steps": "environment steps", "seconds": "seconds of training"}


@dataclass(frozen=True)
class Drawn:
    """A line of the picture.

    Attributes:
        name: of it.
        x: (points,) where.
        values: (3, points) the middle, the lowest and the highest.
        score: told beside the name; None where there is none.
    """

    name: str
    x: NDArray[np.float64]
    values: NDArray[np.float64]
    score: float | None


def draw_curves(
    rows: Sequence[Row], scenario: str, root: Path, path: Path, axis: str = "steps", checks: bool = False
) -> int:
    """Draws the learning curves of a scenario's standings, best first: mean, lowest and highest seed.

    With `checks` each is followed by that of its checks on the validation split, where there were two or more.

    Returns:
        How many are drawn: those that learned, ten at most, checks included.

    Raises:
        InvalidInput: no finished run of the scenario has learned, or another ending than .png.
    """
    found = []
    for standing, runs in standings_and_runs(rows, scenario):
        score = None if math.isnan(standing.score) else standing.score
        for told, value in (("", "return"), (", checks", CHECKED))[: 1 + checks]:
            series = [read_metrics(folder_of(row, root), row.seconds, value) for row in runs[scenario]]
            known = [one for one in series if one is not None]
            if known:
                found.append(_drawn(f"{standing.label}{told}, {len(known)} seeds", known, axis, score))
    if not found:
        raise InvalidInput(f"no finished run of scenario {scenario!r} below {root} has learned")
    draw(f"{scenario}: mean return of the seeds, between the lowest and the highest", found[:MOST], path, axis)
    return min(len(found), MOST)


def draw_runs(
    runs: Sequence[str], root: Path, path: Path, axis: str = "steps", checks: bool = False
) -> list[Row | None]:
    """Draws the learning curves of runs, which may be of several scenarios and need not be finished.

    Args:
        runs: their folders, or their ids.
        root: where ids are looked for.
        path: of the .png file.
        axis: "steps" or "seconds".
        checks: draw those on the validation split too, where there were two or more.

    Returns:
        The result of each run; None for one that is not finished.

    Raises:
        InvalidInput: no such run, one that has not learned, more than ten, or another ending than .png.
    """
    if not 1 <= len(runs) <= MOST:
        raise InvalidInput(f"a picture compares 1 to {MOST} runs; got {len(runs)}")
    found, results = [], []
    for run in runs:
        folder = find_run(run, root)
        plan = read_plan(folder, to_use=False)
        result = RunFolder(folder, plan).result(plan)
        seconds = math.nan if result is None else result.seconds
        series = read_metrics(folder, seconds)
        if series is None:
            raise InvalidInput(f"{folder}: has not learned, so it has no curve")
        results.append(result)
        name = f"{plan.scenario.name}: {plan.label or plan.agent}, seed {plan.seed}"
        score = None if result is None else result.score
        found.append(_drawn(name, [series], axis, score))
        if checks and (checked := read_metrics(folder, seconds, CHECKED)) is not None:
            found.append(_drawn(f"{name}, checks", [checked], axis, score))
    draw("Mean return of the last hundred episodes", found[:MOST], path, axis)
    return results


def _drawn(name: str, series: list[Series], axis: str, score: float | None) -> Drawn:
    told = curve(series, axis)
    values = np.array([told["mean"], told["low"], told["high"]], dtype=np.float64)
    return Drawn(name, np.array(told["x"], dtype=np.float64), values, score)


def draw(title: str, found: Sequence[Drawn], path: Path, axis: str) -> None:
    """Draws lines, each with a number at its end that the list below names."""
    if axis not in AXES:
        raise InvalidInput(f"by must be one of {', '.join(map(repr, AXES))}; got {shown(axis)}")
    if path.suffix.lower() != ".png":
        raise InvalidInput(f"a picture must end in .png; got {shown(str(path))}")
    canvas = Canvas(WIDTH, 60 + PLOT + LINE * len(found) + 20)
    canvas.text(title, (20, 16), 24)
    values = np.concatenate([one.values.ravel() for one in found])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    low, high = (low, high) if high > low else (low - 0.5, low + 0.5)
    ends = min(float(one.x[0]) for one in found), max(float(one.x[-1]) for one in found)
    box = canvas.axes((20, 60, WIDTH - 60, PLOT - 20), ends, (low, high), (NAMES[axis], "return"))
    for place, one in enumerate(found):
        colour, span = COLOURS[place], (ends[1] - ends[0]) or 1.0
        left, right = (box[0] + (at - ends[0]) / span * (box[2] - 1) for at in (one.x[0], one.x[-1]))
        rect = left, box[1], max(right - left, 2.0), box[3]
        for row, width in ((1, 1), (2, 1), (0, 4)):
            canvas.curve(one.values[row], rect, colour, low, high, width=width, framed=False)
        end = box[1] + (high - one.values[0, -1]) / (high - low) * box[3]
        canvas.text(str(place + 1), (right + 12, end), 20, INK, "midleft")
        y = 60 + PLOT + LINE * place
        canvas.fill((24, y + 8, 40, 8), colour)
        score = "" if one.score is None else f", score {fixed(one.score, 3)}"
        canvas.text(f"{place + 1}  {one.name}{score}", (78, y), 20, INK, max_width=WIDTH - 100)
    canvas.text("bold: mean, thin: lowest and highest", (WIDTH - 20, 22), 16, MUTED, "topright")
    write_whole(path, lambda file: file.write(canvas.png()))
