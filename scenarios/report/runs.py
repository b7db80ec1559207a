"""What the page tells of a run: its result, its configuration, the command that reproduces it, and its film."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...neural_blocks.errors import InvalidInput
from .. import catalogue
from ..board import Row
from ..board.rows import as_json
from ..board.standings import grouped
from ..catalogue import Scenario
from ..files import strict_yaml
from ..inspecting.inspecting import kept
from ..playback import watch
from ..recording import Recording
from ..runner import Plan, read_plan
from ..runner.folder import DEMONSTRATIONS, RECORDING
from .boards import key
from .curves import folder_of

FILM_SECONDS = 20.0
SLOWEST, FASTEST = 2.0, 30.0  # frames per second
LONGEST_FILM = 3000  # frames


def plan_of(row: Row, root: Path) -> Plan | None:
    """The plan of a finished run; None where its folder is gone or damaged."""
    try:
        return read_plan(folder_of(row, root), to_use=False)
    except InvalidInput:
        return None


def scenario_of(name: str, plans: Sequence[Plan | None]) -> Scenario | None:
    """A scenario as a run has kept it, or as it is in the catalogue."""
    kept = next((plan.scenario for plan in plans if plan is not None and plan.scenario.name == name), None)
    return kept or (catalogue.get(name) if name in catalogue.names() else None)


def details(row: Row, plan: Plan | None, root: Path) -> dict[str, Any]:
    """A run as plain values."""
    told = as_json(row) | {"key": key(row), "folder": str(folder_of(row, root)), "film": None, "unfilmed": None}
    told |= {"inspection": [{"title": one.title, "file": one.file} for one in kept(folder_of(row, root))]}
    if plan is None:
        return told | {"config": None, "options": None, "device": "", "hardware": "", "command": None, "sheet": None}
    own = plan.scenario.name not in catalogue.names()
    sheet = f"scenarios/{plan.configuration}.yaml" if own else None
    try:
        line = command(plan, sheet, folder_of(row, root))
    except InvalidInput:  # somebody's agent that is not to be had here
        line = None
    return told | {
        "config": plan.config,
        "options": plan.scenario.options,
        "device": plan.device,
        "hardware": plan.hardware,
        "command": line,
        "sheet": sheet,
    }


def command(plan: Plan, sheet: str | None, folder: Path) -> str:
    """The lines for a shell that train such a run again.

    Args:
        plan: of the run.
        sheet: the scenario's file; None for one of the catalogue.
        folder: of the run.
    """
    words = ["palaestra", "train", sheet or plan.scenario.name, "--agent", plan.agent]
    words += ["--first-seed", str(plan.seed)] if plan.seed else []
    budgets = [*plan.budgets, plan.steps]
    if plan.learns and budgets[0] != plan.scenario.steps:
        words += ["--steps", str(budgets[0])]
    for name, value in plan.changed_settings().items():
        words += ["--set", f"{name}={_typed(value)}"]
    for name, value in plan.changed_options().items() if sheet is None else ():
        words += ["--env-set", f"{name}={_typed(value)}"]
    for name, value in plan.early_stopping.changes().items() if plan.early_stopping else ():
        words += [f"--{name}", _typed(value)]
    words += ["--execution", plan.execution] if plan.execution != "eager" else []
    words += ["--demonstrations", str(folder / DEMONSTRATIONS)] if plan.demonstrations else []
    words += ["--label", plan.label] if plan.named else []
    lines = [shlex.join(words)]
    return "\n".join(lines + [f"palaestra resume RUN --steps {steps}" for steps in budgets[1:]])


def _typed(value: Any) -> str:
    """A value as `--set` reads it."""
    if isinstance(value, str):
        try:
            plain = "," not in value and strict_yaml.read(value, "") == value
        except InvalidInput:
            plain = False
        return value if plain else json.dumps(value)
    return json.dumps(value)


def filmed(rows: Sequence[Row], each: int) -> list[Row]:
    """Of the runs of every standing, those with the lowest seeds."""
    return [row for runs in grouped(rows).values() for row in sorted(runs, key=lambda row: row.seed)[:each]]


def film(row: Row, plan: Plan, root: Path, path: Path) -> None:
    """Writes the recorded episodes of a run as a video; one that is newer than the recording stays.

    Raises:
        InvalidInput: there is no recording, it is too long, or it does not fit what is installed.
        NotImplementedError: the environment cannot be drawn.
    """
    source = folder_of(row, root) / RECORDING
    read_plan(source.parent)  # what it makes may be named
    recording = Recording.load(source)
    frames = sum(len(actions) + 1 for actions in recording.episodes)
    if frames > LONGEST_FILM:
        raise InvalidInput(f"{source}: has {frames:,} pictures, of which a film may have {LONGEST_FILM:,}")
    if path.exists() and path.stat().st_mtime >= source.stat().st_mtime:
        return
    rate = min(max(frames / FILM_SECONDS, SLOWEST), FASTEST)
    watch(plan.scenario, str(source), video=path, frames_per_second=rate)
