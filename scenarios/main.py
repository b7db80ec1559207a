"""The one command: `palaestra`. Nothing heavy is imported before a command needs it, so that --help is quick."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ..neural_blocks.errors import InvalidInput

app = typer.Typer(
    name="palaestra",
    help="Every deep-learning task as an environment: train agents on it, watch them play, rank them.\n\n"
    "Start with 'palaestra demo', then 'palaestra list scenarios' and 'palaestra train digits'.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Root = Annotated[Path, typer.Option("--root", help="Folder of all runs and of the leaderboard.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


class Kind(StrEnum):
    """What `palaestra list` lists."""

    envs = "envs"
    agents = "agents"
    blocks = "blocks"
    scenarios = "scenarios"


@app.command("list")
def list_(
    kind: Annotated[Kind, typer.Argument(help="What to list.")] = Kind.scenarios,
    as_json: AsJson = False,
    images: Annotated[Path | None, typer.Option(help="With envs: draw each of them on this .png sheet.")] = None,
) -> None:
    """List the environments, the agents, the neural blocks or the scenarios, one line each."""
    from . import listing

    if images is not None:
        from .playback import draw_environments

        if kind is not Kind.envs:
            raise InvalidInput(f"--images draws environments: use it with 'list envs'; got {kind.value!r}")
        draw_environments(images)
    listing.show(getattr(listing, kind.value)(), as_json)


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
) -> None:
    """Train an agent on a scenario, score it, and add it to the leaderboard.

    A run that was stopped goes on with 'palaestra resume'.
    """
    from . import progress

    chosen, runs = parse_settings(settings or []), range(first_seed, first_seed + seeds)
    progress.train(scenario, agent, runs, steps, chosen, device, root, track, demonstrations)


@app.command()
def resume(run: Annotated[Path, typer.Argument(help="Folder of a run that was stopped.")]) -> None:
    """Carry on a run that was stopped or killed; the result is that of a run that was not."""
    from . import progress

    progress.resume(run)


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    episodes: Annotated[int | None, typer.Option(min=1, help="Episodes; the scenario has a default.")] = None,
    best: Annotated[bool, typer.Option(help="The best checkpoint in training's own checks, not the last.")] = False,
    as_json: AsJson = False,
) -> None:
    """Score a trained agent again by its scenario's protocol. The leaderboard is left as it is."""
    from . import listing, runner

    listing.show([listing.outcome(runner.score_run(run, episodes, best=best))], as_json)


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
) -> None:
    """Watch an agent play, in a window or as a video file, or play yourself with --agent human."""
    from . import catalogue
    from .playback import watch

    played = watch(catalogue.get(scenario), agent, video=video, episodes=episodes, seed=seed, frames_per_second=fps)
    if record is not None:
        played.save(record)
    returns = ", ".join(f"{value:g}" for value in played.returns)
    typer.echo(f"{len(played.returns)} episodes, returns {returns}" + (f"; wrote {video}" if video else ""))


@app.command()
def leaderboard(
    scenario: Annotated[str | None, typer.Argument(help="One scenario; all of them together if left out.")] = None,
    as_json: AsJson = False,
    root: Root = Path("runs"),
) -> None:
    """Rank the agents: interquartile mean of the normalised score (0 random, 1 expert) with its 95 % interval."""
    from . import listing
    from .board import Leaderboard

    listing.show_standings(Leaderboard(root / "leaderboard.sqlite"), scenario, as_json)


@app.command()
def demo(
    root: Annotated[Path | None, typer.Option(help="Folder of the demo's runs; a new one if left out.")] = None,
) -> None:
    """The tour: train PPO to read digits from right-or-wrong alone, rank it, and film it. Takes a minute or two."""
    from . import tour

    tour.demo(root)


def parse_settings(pairs: list[str]) -> dict[str, Any]:
    """``["key=value", ...]`` as a dict; values are read as YAML.

    Raises:
        InvalidInput: a pair without "=", or a value that is not YAML.
    """
    import yaml

    settings = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise InvalidInput(f"--set must be key=value; got {pair!r}")
        try:
            settings[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise InvalidInput(f"--set {key}: value must be YAML; got {value!r}") from error
    return settings


def main() -> None:
    """The console script: one line and exit code 2 for what the caller can mend."""
    try:
        app()
    except (InvalidInput, OSError) as error:
        typer.echo(f"palaestra: {' '.join(str(error).split())}", err=True)
        sys.exit(2)
    except NotImplementedError as error:  # NoExpert, without importing torch for its name
        typer.echo(f"palaestra: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("palaestra: stopped", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
