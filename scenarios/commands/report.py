"""Publishing: `palaestra report`, `compare` and `curves`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from .options import Root, whole

app = typer.Typer()


@app.command()
def report(
    out: Annotated[Path, typer.Option(help="Folder of the page; a report in it is replaced.")] = Path("site"),
    films: Annotated[
        int, typer.Option(parser=whole(0, 1000), metavar="N", help="How many runs of each standing are filmed.")
    ] = 1,
    root: Root = Path("runs"),
) -> None:
    """Write a page that opens from disk: leaderboard, comparisons, learning curves, capabilities, runs and films."""
    from ..output.progress import working
    from ..output.terminal import say
    from ..report import write_report

    with working(f"writing {out}") as on_film:
        page = write_report(out, root, films, lambda line: say(line, error=True), on_film)
    say(f"wrote {page}")


class Axis(StrEnum):
    """What a learning curve runs over."""

    steps = "steps"
    seconds = "seconds"


By = Annotated[Axis, typer.Option("--by", help="What the curves run over.")]
Checks = Annotated[bool, typer.Option("--checks", help="Draw what checks on the validation split found, too.")]
Picture = Annotated[Path, typer.Option("--out", help="The .png file.")]


@app.command()
def compare(
    runs: Annotated[list[str], typer.Argument(help="Runs' folders, or their ids.")],
    out: Picture = Path("compare.png"),
    by: By = Axis.steps,
    checks: Checks = False,
    root: Root = Path("runs"),
) -> None:
    """Draw the learning curves of some runs in one picture, and list what they came to."""
    from .. import listing
    from ..output.terminal import say
    from ..report.pictures import draw_runs

    results = draw_runs(runs, root, out, by.value, checks)
    names = ("scenario", "agent", "seed", "steps", "return", "score", "folder")
    told = [listing.outcome(row) for row in results if row is not None]
    if told:
        listing.show([{name: one.get(name) for name in names} for one in told], as_json=False)
    say(f"wrote {out}")


@app.command()
def curves(
    scenario: Annotated[str, typer.Argument(help="A scenario with finished runs.")],
    out: Picture = Path("curves.png"),
    by: By = Axis.steps,
    checks: Checks = False,
    root: Root = Path("runs"),
) -> None:
    """Draw the learning curves of a scenario's standings: mean of the seeds, lowest and highest."""
    from ..board import Leaderboard
    from ..output.terminal import say
    from ..report.pictures import draw_curves

    rows = Leaderboard(root / "leaderboard.sqlite").rows()
    count = draw_curves(rows, scenario, root, out, by.value, checks)
    say(f"wrote {out} with {count} {'curve' if count == 1 else 'curves'}")
