"""Building something of one's own: `palaestra check` and `palaestra new`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from .options import AllowImport, AsJson, parse_settings

app = typer.Typer()


class Kind(StrEnum):
    """What `palaestra new` writes."""

    env = "env"
    agent = "agent"
    block = "block"
    scenario = "scenario"


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="module:Class, a registered name, or a scenario's .yaml file.")],
    options: Annotated[
        list[str] | None, typer.Argument(help="Options of the environment or settings of the agent, key=value.")
    ] = None,
    env: Annotated[str | None, typer.Option(help="Where an agent is tried: an id or module:Class.")] = None,
    as_json: AsJson = False,
    allow_import: AllowImport = False,
) -> None:
    """Hold your environment, agent, block or scenario to the contract of its kind; exit code 1 if it fails."""
    from ..workshop import checking

    report = checking.check(name, parse_settings(options or [], "check: option"), env)
    if as_json:
        import json
        from dataclasses import asdict

        print(json.dumps({"passed": report.passed, **asdict(report)}, indent=1))
    else:
        from ..output.terminal import say

        for line in str(report).splitlines():
            say(line)
    if not report.passed:
        raise typer.Exit(1)


@app.command()
def new(
    kind: Annotated[Kind, typer.Argument(help="What to write.")],
    name: Annotated[str, typer.Argument(help="What to call it, such as maze or my-maze.")],
    folder: Annotated[Path, typer.Option(help="Where to write it.")] = Path("."),
) -> None:
    """Write a working environment, agent, block or scenario of your own to begin with, and a test of it."""
    from ..output.terminal import say
    from ..workshop import scaffold

    written = scaffold.write(kind.value, name, folder)
    say(f"wrote {' and '.join(map(str, written.files))}")
    for line in written.following:
        say(line)
