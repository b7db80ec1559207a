"""The tour: `palaestra demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def demo(
    root: Annotated[Path | None, typer.Option(help="Folder of the demo's runs; a new one if left out.")] = None,
) -> None:
    """The tour: train PPO to read digits from right-or-wrong alone, rank it, and film it. Takes a minute or two."""
    from .. import tour
    from ..output.progress import Left
    from ..output.terminal import say

    try:
        tour.demo(root)
    except Left as error:
        say(f"palaestra: {error}", error=True)
        raise SystemExit(130) from None  # which typer passes on, where it swallows an interrupt
