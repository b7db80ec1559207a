"""Watching and playing: `palaestra play`."""

from __future__ import annotations

from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ...neural_blocks.errors import InvalidInput
from .options import LARGEST_SEED, AllowImport, EnvSettings, ScenarioName, parse_settings, player_names, whole

app = typer.Typer()


class View(StrEnum):
    """Which pictures are drawn."""

    player = "player"
    spectator = "spectator"


class Options(StrEnum):
    """Whose environment options and episodes are played."""

    training = "training"
    evaluation = "evaluation"


@app.command()
def play(
    scenario: ScenarioName,
    agent: Annotated[
        str,
        typer.Option(
            help="random, expert, human, a run's folder, or a recording (.json).", autocompletion=player_names
        ),
    ] = "expert",
    video: Annotated[Path | None, typer.Option(help="Write .mp4, .gif, .png or .html, open no window.")] = None,
    episodes: Annotated[int, typer.Option(parser=whole(1, 100_000), metavar="N", help="How many episodes.")] = 5,
    seed: Annotated[
        int, typer.Option(parser=whole(0, LARGEST_SEED), metavar="N", help="Seed of the first episode.")
    ] = 0,
    fps: Annotated[float, typer.Option(min=0.1, max=60, help="Frames per second.")] = 2.0,
    view: Annotated[
        View | None, typer.Option(help="What is drawn; by default a person gets the player's, others the spectator's.")
    ] = None,
    options: Annotated[
        Options | None,
        typer.Option(help="Whose environment options; by default a run's video has the evaluation's, else training's."),
    ] = None,
    details: Annotated[
        bool, typer.Option("--details", help="Also what is seen, intended, expected and remembered (F1 in the window).")
    ] = False,
    env_settings: EnvSettings = None,
    opponent: Annotated[
        str | None, typer.Option(help="human for a second person at the keyboard; a run: --env-set opponent=RUN.")
    ] = None,
    record: Annotated[Path | None, typer.Option(help="Keep what was played in this .json file.")] = None,
    allow_import: AllowImport = False,
) -> None:
    """Watch an agent play, in a window or as a video file, or play yourself with --agent human.

    With --record what was played is kept, to be watched again or imitated (train --demonstrations).
    """
    if record is not None and opponent is not None:
        raise InvalidInput("a game of two people is not recorded: --record is for one of them against an agent")
    from ...envs.drawing.wording import number, several
    from .. import catalogue
    from ..output.progress import working
    from ..output.terminal import say
    from ..playback import watch

    changed = catalogue.get(scenario).with_options(parse_settings(env_settings or [], "--env-set"))
    purpose = options or (Options.training if record is not None else None)  # a recording is there to learn from
    with working(f"filming {video}") if video else nullcontext():
        played = watch(
            changed,
            agent,
            video=video,
            episodes=episodes,
            seed=seed,
            frames_per_second=fps,
            view=None if view is None else view.value,
            options=None if purpose is None else purpose.value,
            details=details,
            opponent=opponent,
        )
    if not any(played.episodes):
        say("nothing was played" + (f"; {record} was not written" if record else ""))
        return
    if record is not None:
        played.save(record)
    told = several(len(played.returns), "episode")
    told += f", {'return' if len(played.returns) == 1 else 'returns'} {', '.join(map(number, played.returns))}"
    say(told + "".join(f"; wrote {path}" for path in (video, record) if path))
