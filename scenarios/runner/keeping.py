"""Looking after runs: listing, removing, relabelling and exporting them. Extending one is `resume(steps=...)`."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...agents.core.whole_file import write_text
from ...neural_blocks.errors import InvalidInput
from ..board import Leaderboard, Row
from ..board.rows import COLUMNS, as_json
from .folder import METRICS, RESULT, RunFolder, resolved
from .plan import PLAN, Plan, read_plan

ROOT = Path("runs")
FORMATS = (".csv", ".json", ".jsonl")
LAST = 65_536  # bytes at the end of the metrics in which their last line is looked for


@dataclass(frozen=True)
class Kept:
    """A run as its folder tells it.

    Attributes:
        run_id, scenario, agent, label, seed: of its plan; of a folder that cannot be read only its name.
        steps: environment steps that it has logged.
        total: steps it is to take; None where its plan cannot be read.
        state: "finished", "stopped" (it can be resumed) or "unreadable: " and why.
        score, return_mean: of a finished run.
        folder: where it is.
    """

    run_id: str
    scenario: str
    agent: str
    label: str
    seed: int | None
    steps: int
    total: int | None
    state: str
    score: float | None
    return_mean: float | None
    folder: Path


def kept_runs(root: str | Path = ROOT, scenario: str | None = None) -> list[Kept]:
    """The runs whose folders are below a root, by scenario, agent and seed; a damaged one is among them and says so."""
    found = [kept_run(path.parent) for path in sorted(Path(root).glob(f"*/*/*/{PLAN}"))]
    chosen = [run for run in found if scenario in (None, run.scenario)]
    return sorted(chosen, key=lambda run: (run.scenario, run.agent, run.label, run.seed or 0, run.run_id))


def kept_run(folder: Path) -> Kept:
    """What a run's folder tells about it."""
    try:
        plan = read_plan(folder, to_use=False)
        result = RunFolder(folder, plan).result(plan)
    except InvalidInput as error:
        scenario, agent, name = folder.parts[-3:] if len(folder.parts) >= 3 else ("", "", folder.name)
        run_id = name.rpartition("-")[2]
        return Kept(run_id, scenario, agent, "", None, 0, None, f"unreadable: {error}", None, None, folder)
    steps = result.steps if result else logged_steps(folder)
    known = (plan.run_id, plan.scenario.name, plan.agent, plan.label or plan.agent, plan.seed, steps, plan.steps)
    if result is None:
        return Kept(*known, "stopped", None, None, folder)
    return Kept(*known, "finished", result.score, result.return_mean, folder)


def logged_steps(folder: Path) -> int:
    """Environment steps of the last whole line of a run's metrics."""
    try:
        with (folder / METRICS).open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - LAST))
            lines = file.read().split(b"\n")[:-1]
        return int(json.loads(lines[-1])["steps"])
    except (OSError, ValueError, LookupError, TypeError):
        return 0


def find_run(run: str | Path, root: str | Path = ROOT) -> Path:
    """The folder of a run, named by the folder or by its id.

    Raises:
        InvalidInput: there is none.
    """
    if (Path(run) / PLAN).exists():
        return Path(run)
    found = [
        path.parent for path in Path(root).glob(f"*/*/*/{PLAN}") if path.parent.name.rpartition("-")[2] == str(run)
    ]
    if len(found) != 1:
        raise InvalidInput(f"run must be the folder of one, or the id of one in {root}; got {str(run)!r}")
    return found[0]


def run_details(run: str | Path, root: str | Path = ROOT) -> dict[str, Any]:
    """All that is known of a run, as plain values: its plan, its result, and its files with their bytes."""
    folder = find_run(run, root)
    plan = read_plan(folder, to_use=False)
    result = RunFolder(folder, plan).result(plan)
    return {
        "folder": str(folder),
        "state": kept_run(folder).state,
        "plan": plan.model_dump(mode="json"),
        "configuration": plan.configuration,
        "result": None if result is None else as_json(result),
        "files": {path.name: path.lstat().st_size for path in sorted(folder.iterdir()) if path.is_file()},
    }


def remove_run(run: str | Path, root: str | Path = ROOT) -> str:
    """Deletes a run: its row of the leaderboard and its folder, whichever there are. Links are not followed.

    Returns:
        What was deleted, in words.

    Raises:
        InvalidInput: there is no such run, or a process is at work on it.
    """
    try:
        folder = find_run(run, root)
    except InvalidInput:
        if Leaderboard(Path(root) / "leaderboard.sqlite").remove(str(run)):
            return f"the row of {run}, whose folder is gone"
        raise
    plan = read_plan(folder, to_use=False)
    with RunFolder(resolved(folder, plan), plan) as place:
        place.board.remove(plan.run_id)
        place.discard()
    return str(folder)


def relabel_run(run: str | Path, label: str | None, root: str | Path = ROOT) -> Plan:
    """Gives a run, its result and its row another label; None for the one that its settings give.

    Raises:
        InvalidInput: there is no such run, a process is at work on it, or it is no label.
    """
    folder = find_run(run, root)
    plan = read_plan(folder, to_use=False)
    with RunFolder(resolved(folder, plan), plan) as place:
        result, renamed = place.result(plan), plan.with_label(label)
        renamed.write(place.path)
        if result is not None:
            values = as_json(result) | {"label": renamed.label}
            write_text(place.path / RESULT, json.dumps(values, indent=1, allow_nan=False) + "\n")
        place.board.relabel(plan.run_id, renamed.label)
    return renamed


def export_rows(path: str | Path, root: str | Path = ROOT, scenario: str | None = None) -> int:
    """Writes the rows of the leaderboard, oldest first, as .csv, .json or .jsonl; returns how many.

    Metrics are columns ``metric.NAME`` in a .csv file, where what is not finite is left empty, and objects elsewhere.

    Raises:
        InvalidInput: another ending.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise InvalidInput(f"export must end in {', '.join(FORMATS)}; got {str(path)!r}")
    rows = Leaderboard(Path(root) / "leaderboard.sqlite").rows(scenario)
    values = [as_json(row) for row in rows]
    if path.suffix.lower() == ".json":
        write_text(path, json.dumps(values, indent=1, allow_nan=False) + "\n")
    elif path.suffix.lower() == ".jsonl":
        write_text(path, "".join(json.dumps(one, allow_nan=False) + "\n" for one in values))
    else:
        write_text(path, _csv(rows, values))
    return len(rows)


def _csv(rows: list[Row], values: list[dict[str, Any]]) -> str:
    metrics = dict.fromkeys(name for row in rows for name in row.metrics)
    told = io.StringIO()
    columns = [name for name in COLUMNS if name != "metrics"]
    writer = csv.writer(told, lineterminator="\n")
    writer.writerow([*columns, *(f"metric.{name}" for name in metrics)])
    for one in values:
        writer.writerow([*(one[name] for name in columns), *(one["metrics"].get(name) for name in metrics)])
    return told.getvalue()
