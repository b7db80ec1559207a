"""Comparing: `palaestra leaderboard` and `publish`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import AsJson, Root

app = typer.Typer()


@app.command()
def leaderboard(
    scenario: Annotated[str | None, typer.Argument(help="One scenario; all of them together if left out.")] = None,
    wandb: Annotated[
        str | None,
        typer.Option(
            metavar="ENTITY/PROJECT", help="Rank the runs of a project of Weights & Biases with the local ones."
        ),
    ] = None,
    as_json: AsJson = False,
    root: Root = Path("runs"),
) -> None:
    """Rank the agents: interquartile mean of the normalised score (0 trivial, 1 expert) with its 95 % interval."""
    from .. import listing
    from ..board import Leaderboard
    from ..output.terminal import say

    board = Leaderboard(root / "leaderboard.sqlite")
    rows, where = board.rows(), str(board.path)
    if wandb is not None:
        from ..output.progress import working
        from ..tracking.sharing import pull, together

        with working(f"reading {wandb}"):
            pulled = pull(wandb)
        local, rows = len(rows), together(rows, pulled)
        say(f"{len(pulled)} runs of {wandb}, {local} of {where}: {len(rows)} in all", error=True)
        where = f"{wandb} and {where}"
    listing.show_standings(board, scenario, as_json, rows=rows, where=where)


@app.command()
def publish(
    wandb: Annotated[
        str, typer.Option(metavar="ENTITY/PROJECT", help="Project of Weights & Biases that the team shares.")
    ],
    scenario: Annotated[str | None, typer.Option(help="Only the runs of this scenario.")] = None,
    root: Root = Path("runs"),
) -> None:
    """Publish the leaderboard: tables, bar charts and an artifact, which 'palaestra leaderboard --wandb' reads."""
    from ..board import Leaderboard
    from ..output.progress import working
    from ..output.terminal import say
    from ..tracking.sharing import publish as start

    rows = Leaderboard(root / "leaderboard.sqlite").rows(scenario)
    failed: list[str] = []
    with working(f"publishing {len(rows)} runs"):
        where = start(rows, wandb, root, failed.append)
    for line in failed:
        say(line, error=True)
    if failed:
        raise typer.Exit(2)
    say(f"{len(rows)} runs published: {where}")
