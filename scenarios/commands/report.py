"""Publishing: `palaestra report`."""

from __future__ import annotations

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

    with working(f"writing {out}"):
        page = write_report(out, root, films, lambda line: say(line, error=True))
    say(f"wrote {page}")
