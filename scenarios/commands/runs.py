"""Looking after runs: `palaestra runs list`, `show`, `remove`, `relabel` and `export`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ...neural_blocks.errors import InvalidInput
from .options import AsJson, Root

app = typer.Typer()
runs = typer.Typer(help="List, show, remove, relabel and export runs. To extend one: 'palaestra resume RUN --steps N'.")
app.add_typer(runs, name="runs", no_args_is_help=True)

Run = Annotated[str, typer.Argument(help="A run's folder, or its id.")]
Runs = Annotated[list[str], typer.Argument(help="Runs' folders, or their ids.")]
Scenario = Annotated[str | None, typer.Argument(help="Only those of this scenario.")]


@runs.command("list")
def list_(scenario: Scenario = None, as_json: AsJson = False, root: Root = Path("runs")) -> None:
    """List the runs: finished, stopped half way, or damaged."""
    from .. import listing
    from ..runner.keeping import kept_runs

    lines = [
        {
            "run": run.run_id,
            "scenario": run.scenario,
            "label": run.label or run.agent,
            "seed": run.seed,
            "steps": run.steps,
            "of": run.total,
            "score": run.score,
            "state": run.state,
            "folder": str(run.folder),
        }
        for run in kept_runs(root, scenario)
    ]
    if not lines and not as_json:
        raise InvalidInput(f"no runs in {root}" + (f" of scenario {scenario!r}" if scenario else ""))
    listing.show(lines, as_json)


@runs.command()
def show(run: Run, root: Root = Path("runs")) -> None:
    """Show all that is known of a run: its settings, its result and its files, as JSON."""
    from ..runner.keeping import run_details

    print(json.dumps(run_details(run, root), indent=1))


@runs.command()
def remove(
    run: Runs,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    root: Root = Path("runs"),
) -> None:
    """Delete runs: their folders and their rows of the leaderboard. Deleted is deleted."""
    from ..output.terminal import say
    from ..runner.keeping import remove_run

    if not yes:
        typer.confirm(f"Delete {', '.join(map(repr, run))} for good?", abort=True)
    for one in run:
        say(f"deleted {remove_run(one, root)}")


@runs.command()
def relabel(
    run: Runs,
    label: Annotated[str, typer.Option(help="The new label; '' for the one that the settings give.")],
    root: Root = Path("runs"),
) -> None:
    """Give runs another label, under which their standing is listed."""
    from ..output.terminal import say
    from ..runner.keeping import relabel_run

    for one in run:
        say(f"{one} is now {relabel_run(one, label or None, root).label!r}")


@runs.command()
def export(
    out: Annotated[Path, typer.Argument(help="A .csv, .json or .jsonl file.")],
    scenario: Annotated[str | None, typer.Option(help="Only the rows of this scenario.")] = None,
    root: Root = Path("runs"),
) -> None:
    """Write the leaderboard's rows, one for each finished run, to a file."""
    from ..output.terminal import say
    from ..runner.keeping import export_rows

    say(f"{export_rows(out, root, scenario)} rows written to {out}")
