"""Runs: `palaestra train`, `resume` and `evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import AllowImport, AsJson, Root, parse_settings

app = typer.Typer()


@app.command()
def train(
    scenario: Annotated[str, typer.Argument(help="A scenario's name, or your own .yaml file.")],
    agent: Annotated[str | None, typer.Option(help="Agent to train; the scenario names a default.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many runs, with seeds 0, 1, 2, ...")] = 1,
    first_seed: Annotated[int, typer.Option(min=0, help="Seed of the first run.")] = 0,
    steps: Annotated[int | None, typer.Option(min=0, help="Environment steps; the scenario has a default.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the agent, key=value; repeatable.")
    ] = None,
    track: Annotated[str | None, typer.Option(help="wandb: log to Weights & Biases too.")] = None,
    demonstrations: Annotated[
        Path | None, typer.Option(help="A recording (.json) for behaviour_cloning or gail to imitate.")
    ] = None,
    root: Root = Path("runs"),
    allow_import: AllowImport = False,
) -> None:
    """Train an agent on a scenario, score it, and add it to the leaderboard.

    A run that was stopped goes on with 'palaestra resume'.
    """
    from .. import progress

    chosen, runs = parse_settings(settings or []), range(first_seed, first_seed + seeds)
    progress.train(scenario, agent, runs, steps, chosen, device, root, track, demonstrations)


@app.command()
def resume(
    run: Annotated[Path, typer.Argument(help="Folder of a run that was stopped.")], allow_import: AllowImport = False
) -> None:
    """Carry on a run that was stopped or killed; the result is that of a run that was not."""
    from .. import progress

    progress.resume(run)


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    episodes: Annotated[int | None, typer.Option(min=1, help="Episodes; the scenario has a default.")] = None,
    best: Annotated[bool, typer.Option(help="The best checkpoint in training's own checks, not the last.")] = False,
    as_json: AsJson = False,
    allow_import: AllowImport = False,
) -> None:
    """Score a trained agent again by its scenario's protocol. The leaderboard is left as it is."""
    from .. import listing, runner

    listing.show([listing.outcome(runner.score_run(run, episodes, best=best))], as_json)
