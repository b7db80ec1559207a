"""Profiles: what each contender scores by capability, with intervals, as numbers and as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...agents.core.whole_file import write_text
from ...envs.drawing.wording import fixed
from ...neural_blocks.errors import InvalidInput, printable
from ..board import Row, Standing
from ..board.rows import finite
from ..board.standings import standings_and_runs
from ..report.runs import plan_of
from ..report.site import contents, page_with
from ..runner import Plan, read_plan
from ..runner.folder import RunFolder
from ..runner.keeping import find_run
from .battery import ENDS, Contender, Item

ALL = "all"


@dataclass(frozen=True)
class Level:
    """A contender's score on the scenarios of a capability.

    Attributes:
        score: interquartile mean of the runs' normalised returns.
        low, high: the ends of its 95 % interval; NaN where a scenario has one run.
        scenarios: how many have a score.
        of: how many the capability has.
    """

    score: float
    low: float
    high: float
    scenarios: int
    of: int

    def __str__(self) -> str:
        told = fixed(self.score, 2)
        told += f" [{fixed(self.low, 2)}, {fixed(self.high, 2)}]" if self.low == self.low else ""
        return told if self.scenarios == self.of else f"{told} on {self.scenarios}/{self.of}"


Profile = dict[str, Level]
"""By capability, and over all of them under "all"; one without any score is not there."""


@dataclass(frozen=True)
class Beside:
    """A run that a profile is shown beside.

    Attributes:
        row: its result, under a label of its own.
        plan: of it, with its scenario's capability for a tag.
        folder: where it is.
    """

    row: Row
    plan: Plan
    folder: Path


def beside(runs: Sequence[str], items: Sequence[Item], root: Path) -> list[Beside]:
    """The runs that a person names by folder or id.

    Raises:
        InvalidInput: no such run, one that is not finished, or one on a scenario that is not of the set.
    """
    capability = {item.scenario.name: item.capability for item in items}
    found = []
    for run in runs:
        folder = find_run(run, root)
        plan = read_plan(folder, to_use=False)
        row = RunFolder(folder, plan).result(plan)
        name = plan.scenario.name
        if row is None:
            raise InvalidInput(f"{folder}: is not finished, so there is no score to show")
        if name not in capability:
            raise InvalidInput(f"{folder}: is on {name}, which is none of the scenarios here: {', '.join(capability)}")
        tagged = plan.scenario.model_copy(update={"tags": [capability[name]]})
        row = replace(row, label=f"{row.label or row.agent} ({row.run_id})")
        found.append(Beside(row, plan.model_copy(update={"scenario": tagged}), folder))
    return found


def profiles(rows: Sequence[Row], items: Sequence[Item]) -> dict[str, Profile]:
    """The profile of every contender by its label, best first; the expert and random play last.

    Args:
        rows: finished runs, of any scenarios.
        items: the set.
    """
    capabilities: dict[str, list[str]] = {ALL: [item.scenario.name for item in items]}
    for item in items:
        capabilities.setdefault(item.capability, []).append(item.scenario.name)
    found: dict[str, Profile] = {}
    for capability, names in capabilities.items():
        chosen = [row for row in rows if row.scenario in names]
        for standing, runs in standings_and_runs(chosen, None):
            label = next(iter(runs.values()))[0].standing[2]
            profile = found.setdefault(label, {})
            if standing.score == standing.score:
                profile[capability] = _level(standing, len(names))
    ends = [one.label for one in ENDS if one.label in found]
    return {label: found[label] for label in [*(label for label in found if label not in ends), *ends]}


def _level(standing: Standing, of: int) -> Level:
    return Level(standing.score, standing.low, standing.high, standing.scenarios, of)


def lines(found: Mapping[str, Profile], items: Sequence[Item], first: Sequence[Contender]) -> list[dict[str, str]]:
    """The profiles as a table: a line for each capability, a column for each contender, those named first."""
    named = [one.label for one in first if one.label in found]
    labels = [*named, *(label for label in found if label not in named)]
    capabilities = [*dict.fromkeys(item.capability for item in items), ALL]
    return [
        {"capability": capability}
        | {printable(label): str(found[label][capability]) if capability in found[label] else "–" for label in labels}
        for capability in capabilities
    ]


def to_json(found: Mapping[str, Profile]) -> list[dict[str, Any]]:
    """The profiles as plain values."""
    return [
        {"contender": label, "capability": capability}
        | {name: finite(getattr(level, name)) for name in ("score", "low", "high", "scenarios", "of")}
        for label, profile in found.items()
        for capability, level in profile.items()
    ]


def write_page(out: Path, rows: Sequence[Row], others: Sequence[Beside], items: Sequence[Item], root: Path) -> Path:
    """Writes the report's page of the set's runs, with the radar over its capabilities.

    Raises:
        InvalidInput: there are no runs.
    """
    names = {item.scenario.name for item in items}
    own = [row for row in rows if row.scenario in names]
    if not own and not others:
        raise InvalidInput(f"no finished runs in {root}")
    plans = {row.run_id: plan_of(row, root) for row in own} | {one.row.run_id: one.plan for one in others}
    told = contents([*own, *(one.row for one in others)], plans, root)
    folders = {one.row.run_id: str(one.folder) for one in others}
    for run in told["runs"]:
        run["folder"] = folders.get(run["run_id"], run["folder"])
    write_text(out, page_with(told))
    return out
