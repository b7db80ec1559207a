"""What was measured: the committed tables of scores, of what agents reach, and of speed."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from palaestra.scenarios import catalogue

from .markdown import code, plain, table

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"


@cache
def measured(name: str) -> list[dict[str, Any]]:
    """The rows of a file of `benchmarks/results`; none where it has not been made."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []


@cache
def scenarios() -> list[catalogue.Scenario]:
    """The whole catalogue, in alphabetical order."""
    return [catalogue.get(name) for name in catalogue.names() if "/" not in name]


def scores_table(id: str) -> str:
    """What random play, the best constant action and the expert return, for each set of options that was measured."""
    rows = []
    for key, found in json.loads((ROOT / "envs" / "scores.json").read_text(encoding="utf-8")).items():
        name, _, options = key.partition(" ")
        if name == id:
            told = ", ".join(f"{option}={json.dumps(value)}" for option, value in json.loads(options or "{}").items())
            numbers = (_number(found[column]) for column in ("random", "trivial", "expert"))
            rows.append((code(told) if told else "the defaults", *numbers))
    rows.sort(key=lambda row: (row[0] != "the defaults", row[0]))
    return table(("options", "random:", "best constant:", "expert:"), rows) if rows else ""


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.4g}"


def solved_table(rows: list[dict[str, Any]], up: str = "..") -> str:
    """What agents reached, a row for each claim of `benchmarks/solve.py`."""
    lines = []
    for row in rows:
        name = row["agent"].partition(" ")[0]
        settings = row["agent"][len(name) + 1 :]
        agent = f"[{name}]({up}/agents/{page_name(name)}.md)" + (f" {code(settings)}" if settings else "")
        reached = ", ".join(_number(value) for value in row["measured"])
        seconds = ", ".join(f"{value:.0f}" for value in row["seconds"])
        verdict = "yes" if row["holds"] else "no"
        scenario = f"[{row['scenario']}]({up}/scenarios.md#{row['scenario']})"
        lines.append((scenario, agent, f"{row['steps']:,}", plain(row["claim"]), reached, seconds, verdict))
    heads = ("scenario", "agent", "steps:", "claim", "measured, a value a seed", "CPU seconds", "holds")
    return table(heads, lines) if lines else ""


def speed_table(id: str) -> str:
    """Environment steps a second on one core, by how many run at once."""
    rows = sorted((row for row in measured("env_speed") if row["id"] == id), key=lambda row: row["size"])
    lines = [
        (f"{row['size']:,}", *(f"{row[way]:,}" if row.get(way) else "–" for way in ("eager", "compiled")))
        for row in rows
    ]
    return table(("environments at once:", "steps/s eager:", "steps/s compiled:"), lines) if lines else ""


def page_name(agent: str) -> str:
    """The file name of an agent's page."""
    return agent.replace(":", "-").lower()
