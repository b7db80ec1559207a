"""Leaderboards at Weights & Biases: the local one published, and a team's runs pulled."""

from __future__ import annotations

import json
import queue
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ...neural_blocks.errors import InvalidInput, printable, shown
from ..board import ALL, Row, Standing
from ..board.rows import as_json, read
from ..board.standings import standings
from ..configuration import digest
from ..output.terminal import say
from .contract import ROW
from .reachable import refusal
from .wandb_run import WandbTracker, api_key

FILE = "leaderboard.json"
KINDS = ("train", "leaderboard")
PATIENCE, PAGE = 30.0, 100
Tell = Callable[[str], None]


def checked_project(project: str) -> str:
    """ "ENTITY/PROJECT" as it is.

    Raises:
        InvalidInput: anything else.
    """
    parts = project.split("/")
    if len(parts) != 2 or not all(part.strip() == part and part.isprintable() and part for part in parts):
        raise InvalidInput(f"wandb must be ENTITY/PROJECT; got {shown(project)}")
    return project


def publish(
    rows: Sequence[Row], project: str, root: str | Path, tell: Tell | None = None, timeout: float = 30.0
) -> str:
    """Publishes finished runs as one run of job type "leaderboard", the same one whenever it is done from this folder.

    It has a table of the runs and one of the standings, a bar chart of the scores on every scenario and on all of them
    together, an artifact "leaderboard" with the rows as JSON, and the same file, from which `pull` reads.

    Args:
        rows: what is published.
        project: "ENTITY/PROJECT".
        root: of the runs; the files of Weights & Biases are kept in `root/wandb`.
        tell: prints one line: where the server does not serve, how what is kept is uploaded later.
        timeout: seconds that connecting may take, and at the end uploading what is left.

    Returns:
        The address of the page, or the folder of what is kept for a later `wandb sync`.

    Raises:
        InvalidInput: no rows, or another kind of project.
        OSError: nothing could be recorded.
    """
    if not rows:
        raise InvalidInput(f"publish needs finished runs; got none in {root}")
    told: list[str] = []

    def hear(line: str) -> None:
        told.append(line)
        (tell or (lambda line: say(line, error=True)))(line)

    place = f"{socket.gethostname()}:{Path(root).resolve()}"
    id = f"leaderboard-{digest(place)}"
    config = {"machine": socket.gethostname(), "root": str(root), "version": rows[-1].version}
    run = WandbTracker(
        id, f"leaderboard of {socket.gethostname()}", "leaderboard", config, root, timeout, hear,
        job_type="leaderboard", project=checked_project(project),
    )  # fmt: skip
    found = run.where
    whole = standings(rows, None)
    each = {name: standings(rows, name) for name in sorted({row.scenario for row in rows})}
    run.call(lambda one: _record(one, rows, {ALL: whole, **each}))
    run.finish({"runs": len(rows), "scenarios": len(each)})
    if found is None or run.lost:
        raise OSError(told[-1] if told else "wandb: nothing was recorded")
    return run.where or found


def _record(run: Any, rows: Sequence[Row], boards: dict[str, list[Standing]]) -> None:
    import wandb

    lines = [as_json(row) | {"metrics": json.dumps(as_json(row)["metrics"])} for row in rows]
    told: dict[str, Any] = {"runs": _table(lines)}
    told["standings"] = _table(
        [
            standing.to_json() | {"metrics": json.dumps(standing.to_json()["metrics"]), "rank": rank}
            for board in boards.values()
            for rank, standing in enumerate(board, 1)
        ]
    )
    for name, board in boards.items():
        scored = [[one.label, one.score] for one in board if one.score == one.score]
        if scored:
            chart = wandb.Table(columns=["agent", "score"], data=scored)
            told[f"scores/{name}"] = wandb.plot.bar(chart, "agent", "score", title=f"{name}: score (IQM)")
    run.log(told)
    path = Path(run.dir) / FILE
    path.write_text(json.dumps([as_json(row) for row in rows], allow_nan=False), encoding="utf-8")
    run.save(str(path), base_path=run.dir, policy="now")
    artifact = wandb.Artifact("leaderboard", type="leaderboard")
    artifact.add_file(str(path), name=FILE)
    run.log_artifact(artifact)


def _table(lines: list[dict[str, Any]]) -> Any:
    import wandb

    names: list[str | int] = list(lines[0])
    return wandb.Table(columns=names, data=[list(line.values()) for line in lines], allow_mixed_types=True)


def pull(project: str, tell: Tell | None = None, patience: float = PATIENCE) -> list[Row]:
    """The rows of a project's runs: of those that were tracked to their end, and of published leaderboards.

    A run that is there several times counts once. What cannot be read is left out, and told of in one line.

    Args:
        project: "ENTITY/PROJECT".
        tell: prints one line.
        patience: seconds without an answer after which it is given up.

    Raises:
        InvalidInput: another kind of project, no key, or no such project.
        OSError: the server refuses, hangs, or answers with rubbish; one line.
    """
    checked_project(project)
    rows: dict[str, Row] = {}
    bad: list[str] = []
    for place, values in _within(patience, lambda: _found(project, patience)):
        try:
            row = read({"score": None} | values, place)
        except (InvalidInput, TypeError) as error:
            bad.append(printable(str(error)))
            continue
        if row.run_id not in rows or rows[row.run_id].age <= row.age:
            rows[row.run_id] = row
    if bad:
        (tell or (lambda line: say(line, error=True)))(f"wandb: {len(bad)} runs of {project} left out: {bad[0]:.200}")
    return list(rows.values())


def together(local: Sequence[Row], pulled: Sequence[Row]) -> list[Row]:
    """Both machines' rows, oldest first; of a run that both have, the local row."""
    rows = {row.run_id: row for row in (*pulled, *local)}
    return sorted(rows.values(), key=lambda row: row.age)


def _found(project: str, patience: float) -> Iterator[tuple[str, Any]]:
    """What stands for rows in a project's runs: where, and the values."""
    import wandb

    known = wandb.setup(settings=wandb.Settings(silent=True)).settings
    key = api_key(known)
    if key is None:
        raise InvalidInput("wandb: there is no API key; 'wandb login' asks for one, or set WANDB_API_KEY")
    if (reason := refusal(known.base_url, key or None, patience / 2)) is not None:
        raise OSError(f"wandb: {reason}")
    api = wandb.Api(timeout=max(1, int(patience)), api_key=key or None)
    filters = {"jobType": {"$in": list(KINDS)}}
    for run in api.runs(project, filters=filters, per_page=PAGE, lazy=False):
        place = f"{project}/{run.id}"
        if run.job_type == "leaderboard":
            with tempfile.TemporaryDirectory() as folder:
                run.file(FILE).download(root=folder, replace=True).close()
                content = Path(folder, FILE).read_text(encoding="utf-8")
            yield from ((place, values) for values in _rows(content, list))
        elif (text := run.summary_metrics.get(ROW)) is not None:
            yield from ((place, values) for values in [_rows(text, dict)])


def _rows(text: Any, kind: type) -> Any:
    """The JSON of a row or of several; what is none of them is left for whoever reads rows to refuse."""
    try:
        found = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        found = None
    if isinstance(found, kind):
        return found
    return [{}] if kind is list else {}


def _within(patience: float, work: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    """What an iterator yields in a thread that is left behind where it hangs."""
    line: queue.Queue[tuple[str, Any]] = queue.Queue()

    def go() -> None:
        try:
            for one in work():
                line.put(("one", one))
        except BaseException as error:
            line.put(("error", error))
        else:
            line.put(("end", None))

    threading.Thread(target=go, daemon=True).start()
    while True:
        try:
            kind, value = line.get(timeout=2 * patience)
        except queue.Empty:
            raise OSError(f"wandb: no answer within {2 * patience:g} s") from None
        if kind == "end":
            return
        if kind == "error":
            if isinstance(value, InvalidInput | OSError):
                raise value
            raise OSError(f"wandb: {type(value).__name__}: {' '.join(str(value).split())[:200]}") from None
        yield value
