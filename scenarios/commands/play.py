"""Watching and playing: `palaestra play`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import AllowImport

app = typer.Typer()


@app.command()
def play(
    scenario: Annotated[str, typer.Argument(help="A scenario's name, or your own .yaml file.")],
    agent: Annotated[
        str, typer.Option(help="random, expert, human, a run's folder, or a recording (.json).")
    ] = "expert",
    video: Annotated[Path | None, typer.Option(help="Write .mp4, .gif or .png instead of opening a window.")] = None,
    episodes: Annotated[int, typer.Option(min=1, help="How many episodes.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first episode.")] = 0,
    fps: Annotated[float, typer.Option(min=0.1, max=60, help="Frames per second.")] = 2.0,
    record: Annotated[Path | None, typer.Option(help="Keep what was played in this .json file.")] = None,
    allow_import: AllowImport = False,
) -> None:
    """Watch an agent play, in a window or as a video file, or play yourself with --agent human."""
    from .. import catalogue
    from ..playback import watch

    played = watch(catalogue.get(scenario), agent, video=video, episodes=episodes, seed=seed, frames_per_second=fps)
    if record is not None:
        played.save(record)
    returns = ", ".join(f"{value:g}" for value in played.returns)
    typer.echo(f"{len(played.returns)} episodes, returns {returns}" + (f"; wrote {video}" if video else ""))
