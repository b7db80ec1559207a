"""Runs: `palaestra train`, `pretrain`, `resume`, `evaluate` and `verify`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...envs.checks.options import MOST_CHECKS, MOST_EPISODES, MOST_STEPS
from ..output.terminal import say
from .options import (
    LARGEST_SEED,
    MOST_SEEDS,
    AllowImport,
    AsJson,
    EnvSettings,
    Root,
    ScenarioName,
    Settings,
    agent_names,
    among,
    parse_settings,
    whole,
)

if TYPE_CHECKING:
    from ...agents.core.processes import Processes

app = typer.Typer()

MOST_GPUS = 1024
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, ...; its own by default, or what there is here.")]
Gpus = Annotated[
    int | None,
    typer.Option(
        parser=whole(1, MOST_GPUS),
        metavar="N",
        help="Train each run in N processes, one a GPU, as one batch; torchrun does it on the CPU and over machines.",
    ),
]
Track = Annotated[
    str | None,
    typer.Option(
        parser=among("wandb", "tensorboard"),
        metavar="wandb|tensorboard",
        help="Log to Weights & Biases, or write TensorBoard's event files, too.",
    ),
]


@app.command()
def train(
    scenario: ScenarioName,
    agent: Annotated[
        str | None, typer.Option(help="Agent to train; the scenario names a default.", autocompletion=agent_names)
    ] = None,
    seeds: Annotated[
        int, typer.Option(parser=whole(1, MOST_SEEDS), metavar="N", help="How many runs, with seeds 0, 1, 2, ...")
    ] = 1,
    first_seed: Annotated[
        int, typer.Option(parser=whole(0, LARGEST_SEED), metavar="N", help="Seed of the first run.")
    ] = 0,
    steps: Annotated[
        int | None,
        typer.Option(
            parser=whole(0, MOST_STEPS), metavar="N", help="Environment steps, such as 4e4; the scenario has a default."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    execution: Annotated[str, typer.Option(help="auto, eager, compiled, or captured (on CUDA).")] = "auto",
    settings: Settings = None,
    env_settings: EnvSettings = None,
    track: Track = None,
    upload: Annotated[
        str, typer.Option(help="What '--track wandb' uploads beside numbers: film, checkpoint, or film,checkpoint.")
    ] = "",
    demonstrations: Annotated[
        Path | None, typer.Option(help="A recording (.json) or minari:NAME, for behaviour_cloning, gail, iql or cql.")
    ] = None,
    init: Annotated[
        Path | None, typer.Option(help="A run whose weights it begins with, as far as they fit; transfer.")
    ] = None,
    gpus: Gpus = None,
    patience: Annotated[
        int | None,
        typer.Option(
            parser=whole(1, MOST_CHECKS),
            metavar="N",
            help="Stop early: after N checks on the validation options, none better than the best before them.",
        ),
    ] = None,
    target: Annotated[
        float | None,
        typer.Option(metavar="RETURN", help="Stop early: at a check whose mean return is at least that."),
    ] = None,
    checks: Annotated[
        int | None,
        typer.Option(
            parser=whole(1, MOST_CHECKS), metavar="N", help="With --patience or --target: checks over all the steps."
        ),
    ] = None,
    together: Annotated[
        bool, typer.Option("--together", help="Train the seeds as one batch of networks: ppo, rl2 and a2c, on the CPU.")
    ] = False,
    label: Annotated[
        str | None, typer.Option(help="Name of the standing; by default made of what differs from the scenario's own.")
    ] = None,
    root: Root = Path("runs"),
    allow_import: AllowImport = False,
) -> None:
    """Train an agent on a scenario, score it, and add it to the leaderboard.

    Ctrl-C saves; a run that was stopped goes on with 'palaestra resume'.

    Several processes share the environments of a run and sum their gradients; the result is that of one process, but
    for rounding: 'palaestra train SCENARIO --gpus 4', or 'torchrun --nproc-per-node 4 -m palaestra.scenarios.main train
    SCENARIO'. ppo, rl2, a2c, reinforce and dqn learn so.
    """
    if together and (gpus is not None or demonstrations is not None or init is not None):
        raise typer.BadParameter("--together goes with none of --gpus, --demonstrations and --init")
    stopping = {"patience": patience, "target": target, "checks": checks}
    if together and any(value is not None for value in stopping.values()):
        raise typer.BadParameter("--together goes without --patience, --target and --checks")
    if gpus is not None:
        _in_processes(gpus)
    from .. import catalogue
    from ..output import progress

    processes = _joined(device)
    if together and processes.size > 1:
        raise typer.BadParameter("--together is for one process")

    chosen, runs = parse_settings(settings or []), range(first_seed, first_seed + seeds)
    changed = catalogue.get(scenario).with_options(parse_settings(env_settings or [], "--env-set"))
    try:
        progress.train(
            changed,
            agent,
            runs,
            steps,
            chosen,
            device,
            root,
            track,
            demonstrations,
            label,
            execution,
            processes,
            together,
            [name.strip() for name in upload.split(",") if name.strip()],
            stopping,
            init,
        )
    except progress.Left as error:
        _stopped(f"{error}{_rest(error.seeds)}")


def method_names(incomplete: str) -> list[str]:
    """The methods of pretraining that a shell may complete a word to."""
    from ...agents.representation.registry import METHODS

    return [name for name in METHODS.names() if name.startswith(incomplete)]


@app.command()
def pretrain(
    method: Annotated[
        str,
        typer.Argument(
            help="autoencoder, vae, simclr, moco, byol, dino, rotation, jigsaw, cpc, language_model, "
            "masked_language_model, elmo, skip_gram, glove, svd, clip; 'describe METHOD' tells its settings.",
            autocompletion=method_names,
        ),
    ],
    scenario: ScenarioName,
    seed: Annotated[int, typer.Option(parser=whole(0, LARGEST_SEED), metavar="N", help="Of all that is drawn.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the method, key=value; repeatable.")
    ] = None,
    env_settings: EnvSettings = None,
    root: Root = Path("runs"),
    near: Annotated[
        list[str] | None, typer.Option(help="Tell the words nearest to this one, of vectors of words; repeatable.")
    ] = None,
    analogy: Annotated[
        list[str] | None,
        typer.Option(help="As dog:dogs::cat, tell what is to the third as the second to the first; repeatable."),
    ] = None,
    allow_import: AllowImport = False,
) -> None:
    """Fit an encoder without labels to what a scenario's training split shows; 'train --set encoder=FILE' takes it.

    Ctrl-C saves; the same command again goes on from there.
    """
    from .. import catalogue
    from ..output.progress import working
    from ..pretraining import CODES
    from ..pretraining import pretrain as fit

    changed = catalogue.get(scenario).with_options(parse_settings(env_settings or [], "--env-set"))
    chosen = parse_settings(settings or [])
    with working(f"{changed.name} · {method}") as on_part:
        path, loss = fit(method, changed, settings=chosen, seed=seed, device=device, root=root, on_part=on_part)
    say(f"{changed.name} · {method}: loss {loss:.4g} → {path}")
    if (codes := path.with_name(CODES)).exists():
        say(f"a map of its codes → {codes}")
    if near or analogy:
        from ..likeness import likeness

        for line in likeness(path, changed, near or [], analogy or []):
            say(line)


def _in_processes(gpus: int) -> None:
    """Runs this command in a process for each GPU, and leaves with what came of them."""
    from ..runner.launching import launch, require_gpus, this_command

    require_gpus(gpus)
    raise typer.Exit(launch(this_command("--gpus"), gpus))


def _joined(device: str) -> Processes:
    """The processes that this one was started with."""
    from ...agents.core.processes import join

    return join(device)


def _stopped(told: str) -> None:
    """Says which run was stopped and how it goes on; typer would swallow the interrupt's own words."""
    say(f"palaestra: {told}", error=True)
    raise SystemExit(130)  # which typer passes on, where it swallows an interrupt


def _rest(seeds: range) -> str:
    """The command for the seeds that were not begun; "" where there are none."""
    kept, words = [], iter(sys.argv[1:])
    for word in words:
        if word in ("--seeds", "--first-seed"):
            next(words, None)
        elif not word.startswith(("--seeds=", "--first-seed=")):
            kept.append(word)
    command = ["palaestra", *kept, "--first-seed", str(seeds.start), "--seeds", str(len(seeds))]
    return f"; the other seeds with: {shlex.join(command)}" if seeds else ""


@app.command()
def resume(
    run: Annotated[Path, typer.Argument(help="Folder of a run that was stopped.")],
    steps: Annotated[
        int | None,
        typer.Option(parser=whole(1, MOST_STEPS), metavar="N", help="More steps than it had; extends a finished run."),
    ] = None,
    device: Device = None,
    gpus: Gpus = None,
    allow_import: AllowImport = False,
) -> None:
    """Carry on a run that was stopped or killed; the result is that of a run that was not."""
    if gpus is not None:
        _in_processes(gpus)
    from .. import runner
    from ..output import progress

    try:
        progress.resume(run, steps, device, _joined(device or "auto"))
    except runner.Stopped as error:
        _stopped(str(error))


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    episodes: Annotated[
        int | None,
        typer.Option(parser=whole(1, MOST_EPISODES), metavar="N", help="Episodes; the scenario has a default."),
    ] = None,
    best: Annotated[bool, typer.Option(help="The best checkpoint in training's own checks, not the last.")] = False,
    device: Device = None,
    track: Track = None,
    as_json: AsJson = False,
    allow_import: AllowImport = False,
) -> None:
    """Score a trained agent again by its scenario's protocol. The leaderboard is left as it is."""
    from .. import listing, runner
    from ..output import progress

    with progress.working(f"scoring {run}") as on_episodes:
        row = runner.score_run(run, episodes, best=best, device=device, track=track, on_episodes=on_episodes)
    listing.show([listing.outcome(row)], as_json)


@app.command()
def verify(
    runs: Annotated[list[Path], typer.Argument(help="Folders of finished runs.")],
    device: Device = None,
    allow_import: AllowImport = False,
) -> None:
    """Confirm finished runs: the recording plays as it was, and the checkpoint scores what the result tells."""
    from ..output import progress
    from ..runner.verifying import verify as confirm

    for run in runs:
        with progress.working(f"verifying {run}") as on_episodes:
            found = confirm(run, device=device, on_episodes=on_episodes)
        score = "" if found.score is None else f", score {found.score:.3f}"
        told = f"{found.episodes} recorded episodes and a mean return of {found.return_mean:.6g}{score}"
        say(f"{run}: {told} are confirmed")
