"""Watching and playing: `palaestra play`."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from .options import LARGEST_SEED, AllowImport, EnvSettings, ScenarioName, parse_settings, whole

app = typer.Typer()


@app.command()
def play(
    scenario: ScenarioName,
    agent: Annotated[
        str, typer.Option(help="random, expert, human, a run's folder, or a recording (.json).")
    ] = "expert",
    video: Annotated[Path | None, typer.Option(help="Write .mp4, .gif or .png instead of opening a window.")] = None,
    episodes: Annotated[int, typer.Option(parser=whole(1, 100_000), metavar="N", help="How many episodes.")] = 5,
    seed: Annotated[
        int, typer.Option(parser=whole(0, LARGEST_SEED), metavar="N", help="Seed of the first episode.")
    ] = 0,
    fps: Annotated[float, typer.Option(min=0.1, max=60, help="Frames per second.")] = 2.0,
    env_settings: EnvSettings = None,
    record: Annotated[Path | None, typer.Option(help="Keep what was played in this .json file.")] = None,
    allow_import: AllowImport = False,
) -> None:
    """Watch an agent play, in a window or as a video file, or play yourself with --agent human."""
    from ...envs.core.wording import number, several
    from .. import catalogue
    from ..playback import watch
    from ..progress import working
    from ..terminal import say

    changed = catalogue.get(scenario).with_options(parse_settings(env_settings or [], "--env-set"))
    shown = working(f"filming {video}") if video else nullcontext()
    with shown:
        played = watch(changed, agent, video=video, episodes=episodes, seed=seed, frames_per_second=fps)
    if record is not None:
        played.save(record)
    told = several(len(played.returns), "episode")
    if played.returns:
        told += f", {'return' if len(played.returns) == 1 else 'returns'} {', '.join(map(number, played.returns))}"
    say(told + (f"; wrote {video}" if video else ""))
