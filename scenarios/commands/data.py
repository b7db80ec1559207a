"""Data sets to learn from: `palaestra dataset`."""

from __future__ import annotations

from typing import Annotated

import typer

from ...envs.checks.options import MOST_EPISODES
from .options import AllowImport, EnvSettings, ScenarioName, parse_settings, whole

app = typer.Typer()


@app.command()
def dataset(
    scenario: ScenarioName,
    name: Annotated[str, typer.Argument(help="Of the data set, such as digits/expert-v0.")],
    agent: Annotated[
        str,
        typer.Option(help="Who plays: expert, random, or the folder of a run; several, with commas between, in turn."),
    ] = "expert",
    episodes: Annotated[int, typer.Option(parser=whole(1, MOST_EPISODES), metavar="N", help="How many.")] = 100,
    seed: Annotated[
        int, typer.Option(parser=whole(0, 2**31 - 1), metavar="N", help="Of the first episode, from 0.")
    ] = 0,
    env_settings: EnvSettings = None,
    allow_import: AllowImport = False,
) -> None:
    """Make a Minari data set of episodes, to be imitated with 'train --demonstrations minari:NAME' or elsewhere.

    They are played with the training's options and with seeds that no agent is scored with.
    """
    from .. import catalogue
    from ..datasets.writing import write_dataset
    from ..output.progress import working
    from ..output.terminal import say

    chosen = catalogue.get(scenario).with_options(parse_settings(env_settings or [], "--env-set"))
    with working(f"playing for {name}") as on_episode:
        mean = write_dataset(name, chosen, agent, episodes, seed, on_episode)
    say(f"{name}: {episodes} episodes with a mean return of {mean:.6g}")
