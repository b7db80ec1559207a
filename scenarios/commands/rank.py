"""Comparing: `palaestra leaderboard`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import AsJson, Root

app = typer.Typer()


@app.command()
def leaderboard(
    scenario: Annotated[str | None, typer.Argument(help="One scenario; all of them together if left out.")] = None,
    as_json: AsJson = False,
    root: Root = Path("runs"),
) -> None:
    """Rank the agents: interquartile mean of the normalised score (0 trivial, 1 expert) with its 95 % interval."""
    from .. import listing
    from ..board import Leaderboard

    listing.show_standings(Leaderboard(root / "leaderboard.sqlite"), scenario, as_json)
