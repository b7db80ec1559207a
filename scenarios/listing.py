"""What the command line prints: lists, outcomes and standings, as tables or as JSON."""

from __future__ import annotations

import ast
import json
import math
from pathlib import Path
from typing import Any

from ..neural_blocks.errors import InvalidInput
from .board import ALL, Leaderboard, Row

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
    """Every public class and function of the neural blocks: name, file, and the first line of what it says of itself.

    Read from the source, so that nothing has to be imported, and nothing be listed twice.
    """
    lines = []
    for path in sorted((Path(__file__).parents[1] / "neural_blocks").rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if path.stem in ("errors", "__init__") or not isinstance(node, ast.ClassDef | ast.FunctionDef):
                continue
            if not node.name.startswith("_"):
                summary = (ast.get_docstring(node) or "").split("\n\n")[0].replace("\n", " ")
                lines.append({"name": node.name, "file": path.name, "summary": summary})
    return lines


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
        **{name: round(value, 4) for name, value in known.items()},
        "folder": row.folder,
    }


def show(lines: Lines, as_json: bool) -> None:
    """Prints lines that all have the same keys."""
    if as_json:
        print(json.dumps(lines, indent=1))
        return
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for name in lines[0]:
        table.add_column(name, overflow="fold")
    for line in lines:
        cells = [f"{value:,}" if isinstance(value, int) else str(value) for value in line.values()]
        table.add_row(*map(Text, cells))
    _print(table)


def show_standings(board: Leaderboard, scenario: str | None, as_json: bool) -> None:
    """Prints the standings of one scenario; or of each, and then of all together."""
    from .tables import render

    standings = board.table(scenario)
    if as_json:
        print(json.dumps([standing.to_json() for standing in standings], indent=1))
        return
    if not standings:
        print(f"no finished runs in {board.path}" + (f" for scenario {scenario!r}" if scenario else ""))
        return
    names = list(dict.fromkeys(standing.scenario for standing in standings))
    for name in sorted(names, key=lambda name: name == ALL):
        _print(render([standing for standing in standings if standing.scenario == name]))


def _print(table: Any) -> None:
    from rich.console import Console

    console = Console()
    console.print(table, soft_wrap=not console.is_terminal)
