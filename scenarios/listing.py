"""What the command line prints: lists, outcomes and standings, as tables or as JSON."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..neural_blocks.errors import InvalidInput, unknown_name
from .board import ALL, Leaderboard, Row
from .board.standings import standings as ranked
from .output.terminal import paragraph, say, table, width

Lines = list[dict[str, Any]]


def envs() -> Lines:
    """Every environment: id, family and one line about it."""
    from ..envs.registry import family, ids, summary

    return [{"id": id, "family": family(id), "summary": summary(id)} for id in ids()]


def agents() -> Lines:
    """Every agent: name, the spaces it serves, and one line about it."""
    from ..agents import agent_class, summaries
    from ..agents.core.agent import served

    lines = []
    for name, summary in summaries().items():
        try:
            cls = agent_class(name)
        except InvalidInput as error:  # somebody else's that cannot be imported hides no other
            lines.append({"name": name, "observations": "", "actions": "", "summary": str(error)})
            continue
        observations, actions = served(cls, "observation"), served(cls, "action")
        lines.append({"name": name, "observations": observations, "actions": actions, "summary": summary})
    return lines


def blocks() -> Lines:
    """Every public class and function of the neural blocks: what agents take by name, and then the others.

    Read from the source, so that nothing has to be imported, and nothing be listed twice.
    """
    from ..neural_blocks.named_blocks import ENCODERS, MEMORIES

    lines = [
        {"name": name, "use": f"--set {option}={name}", "summary": registry.summary(name)}
        for option, registry in (("encoder", ENCODERS), ("memory", MEMORIES))
        for name in registry
    ]
    folder = Path(__file__).parents[1] / "neural_blocks"
    for path in sorted(folder.glob("*/*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if path.stem == "__init__" or not isinstance(node, ast.ClassDef | ast.FunctionDef):
                continue
            if not node.name.startswith("_"):
                summary = (ast.get_docstring(node) or "").split("\n\n")[0].replace("\n", " ")
                use = path.relative_to(folder).with_suffix("").as_posix()
                lines.append({"name": node.name, "use": use, "summary": summary})
    return lines


def show_blocks() -> None:
    """Prints the blocks that agents take by name, one a line, and the others by the file they are in."""
    named = [line for line in blocks() if line["use"].startswith("--set ")]
    files: dict[str, list[str]] = {}
    for line in blocks()[len(named) :]:
        files.setdefault(line["use"], []).append(line["name"])
    show([{"use": line["use"], "summary": line["summary"]} for line in named], as_json=False)
    say()
    paragraph("For your own code, from palaestra.neural_blocks (what each is: palaestra list blocks --json):")
    say()
    show([{"file": file, "names": ", ".join(names)} for file, names in files.items()], as_json=False)


def scenarios() -> Lines:
    """Every scenario of the catalogue: name, environment, agent, steps and title."""
    from . import catalogue

    found = [catalogue.get(name) for name in catalogue.names()]
    return [
        {"name": s.name, "environment": s.environment, "agent": s.agent, "steps": s.steps, "title": s.title}
        for s in found
    ]


def outcome(row: Row) -> dict[str, Any]:
    """A run's result: what the leaderboard keeps of it, without the book-keeping."""
    numbers = {"return": row.return_mean, "deviation": row.return_std, "score": row.score, **row.metrics}
    known = {name: value for name, value in numbers.items() if value is not None and math.isfinite(value)}
    return {
        "scenario": row.scenario,
        "agent": row.agent,
        "seed": row.seed,
        "steps": row.steps,
        "episodes": row.episodes,
        **known,
        "folder": row.folder,
    }


def show(lines: Lines, as_json: bool) -> None:
    """Prints lines that all have the same keys."""
    if as_json or not lines:
        print(json.dumps(lines, indent=1))
        return
    print(*table(lines, width(), spare=("environment", "actions", "observations")), sep="\n")


def show_standings(
    board: Leaderboard,
    scenario: str | None,
    as_json: bool,
    *,
    rows: Sequence[Row] | None = None,
    where: str | None = None,
) -> None:
    """Prints the standings of one scenario; or of all together.

    Args:
        board: whose runs are ranked.
        scenario: None for all together.
        as_json: instead of a table.
        rows: the finished runs, where they are not the board's alone.
        where: they are kept, in words; None for the board's file.

    Raises:
        InvalidInput: a scenario that is neither in the catalogue nor on the leaderboard, with the nearest one that is.
    """
    from . import catalogue
    from .output.tables import render

    rows, where = board.rows() if rows is None else rows, where or str(board.path)
    if scenario is not None and scenario not in catalogue.names():
        known = sorted({row.scenario for row in rows})
        if scenario not in known:
            raise unknown_name("scenario", scenario, list(dict.fromkeys([*known, *catalogue.names()])))
    standings = ranked(rows, scenario)
    if as_json:
        print(json.dumps([standing.to_json() for standing in standings], indent=1))
        return
    if not standings:
        say(f"no finished runs in {where}" + (f" for scenario {scenario!r}" if scenario else ""))
        return
    names = list(dict.fromkeys(standing.scenario for standing in standings))
    for name in sorted(names, key=lambda name: name == ALL):
        print(*render([standing for standing in standings if standing.scenario == name], width()), "", sep="\n")
