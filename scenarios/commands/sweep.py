"""Trying settings: `palaestra sweep`."""

from __future__ import annotations

import shlex
import sys
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...envs.checks.options import MOST_STEPS
from ...neural_blocks.errors import InvalidInput
from .options import AllowImport, AsJson, EnvSettings, Root, parse_settings, scenario_names, whole

if TYPE_CHECKING:
    from ..sweep.engines import Engine

app = typer.Typer()


class Method(StrEnum):
    """How settings are searched for."""

    grid = "grid"
    random = "random"
    optuna = "optuna"


class Prune(StrEnum):
    """By what a run is ended early."""

    median = "median"
    halving = "halving"


class Where(StrEnum):
    """What runs the cells."""

    local = "local"
    ray = "ray"
    slurm = "slurm"


@app.command()
def sweep(
    scenarios: Annotated[
        list[str], typer.Argument(help="Scenarios' names, or your own .yaml files.", autocompletion=scenario_names)
    ],
    agents: Annotated[
        str, typer.Option(help="Agents, with commas between them; by default the one each scenario names.")
    ] = "",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="key=a,b,c to try these, key=log(1e-4,1e-2) or key=linear(0,1) for a range; repeatable."
        ),
    ] = None,
    method: Annotated[Method, typer.Option("--search", help="How; optuna needs the extra 'sweep'.")] = Method.grid,
    samples: Annotated[
        int, typer.Option(parser=whole(1, 100_000), metavar="N", help="Settings that random and optuna try.")
    ] = 20,
    prune: Annotated[
        Prune | None,
        typer.Option(help="End runs of optuna early whose checks are worse than others': median, successive halving."),
    ] = None,
    seeds: Annotated[
        int, typer.Option(parser=whole(1, 100), metavar="N", help="Runs that are reported, with seeds 0, 1, 2, ...")
    ] = 3,
    tuning_seeds: Annotated[
        int, typer.Option(parser=whole(1, 100), metavar="N", help="Runs for each of the settings, seeds 100, 101, ...")
    ] = 1,
    steps: Annotated[int | None, typer.Option(parser=whole(1, MOST_STEPS), metavar="N", help="Of training.")] = None,
    jobs: Annotated[
        int, typer.Option(parser=whole(1, 1000), metavar="N", help="Runs at the same time: processes, tasks or jobs.")
    ] = 1,
    engine: Annotated[
        Where, typer.Option(help="Processes here; ray needs the extra 'distributed', slurm the extra 'slurm'.")
    ] = Where.local,
    address: Annotated[
        str | None, typer.Option(help="Of a Ray cluster, such as auto or ray://host:10001; else one starts here.")
    ] = None,
    gpus: Annotated[float, typer.Option(min=0, help="GPUs of each run on ray or slurm; on ray also 0.25.")] = 0.0,
    partition: Annotated[str | None, typer.Option(help="Slurm's.")] = None,
    minutes: Annotated[
        int, typer.Option(parser=whole(1, 100_000), metavar="N", help="That Slurm gives each run.")
    ] = 240,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Run nothing: show what would be, and how it would be submitted.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    env_settings: EnvSettings = None,
    as_json: AsJson = False,
    root: Root = Path("runs"),
    allow_import: AllowImport = False,
) -> None:
    """Try settings on validation data, and report the best: scenarios x agents x seeds x settings.

    Settings are chosen on the validation split and seeds of their own; the best are trained anew and scored as always.
    A run that fails is a line with its error. The same command again does what is missing.
    """
    from .. import catalogue, listing
    from ..output import progress
    from ..output.terminal import say
    from ..sweep.cells import Cell
    from ..sweep.engines import Engine
    from ..sweep.space import parse_space
    from ..sweep.sweeping import sweep as start

    options = parse_settings(env_settings or [], "--env-set")
    chosen = [catalogue.get(name).with_options(options) for name in scenarios]
    where = Engine(engine.value, address, gpus, partition, minutes, dry_run)

    def told(on_part: progress.OnPart, cell: Cell, done: int, total: int) -> None:
        on_part(done, total)
        values = " ".join(f"{name}={value}" for name, value in cell.settings.items())
        result = cell.error if cell.state == "failed" else f"return {cell.return_mean:.4g}"
        result = f"ended early at {result}" if cell.state == "pruned" else result
        what = f"{cell.scenario.name} · {cell.agent} {values} · seed {cell.seed}"
        say(f"{done}/{total} {cell.stage}: {what}: {result}", error=True)

    try:
        with progress.working("sweeping") as on_part:
            found = start(
                chosen,
                [name.strip() for name in agents.split(",") if name.strip()],
                parse_space(settings or []),
                seeds=seeds,
                tuning_seeds=tuning_seeds,
                steps=steps,
                method=method.value,
                samples=samples,
                prune=None if prune is None else prune.value,
                jobs=jobs,
                root=root,
                device=device,
                engine=where,
                on_cell=(lambda *_: None) if dry_run else partial(told, on_part),
            )
    except KeyboardInterrupt:
        again = shlex.join(["palaestra", *sys.argv[1:]])
        say(f"palaestra: stopped; what was trained is saved. Carry on with: {again}", error=True)
        raise SystemExit(130) from None  # which typer passes on, where it swallows an interrupt
    if dry_run:
        _show_planned(where, root, as_json)
        return
    cells = [cell.to_json() for outcome in found for cell in outcome.cells]
    if as_json:
        listing.show(cells, as_json=True)
        return
    for line in cells:
        line["settings"] = " ".join(f"{name}={value}" for name, value in line["settings"].items())
    names = ("stage", "scenario", "agent", "settings", "seed", "state", "return_mean", "score", "error")
    listing.show([{name: line[name] for name in names} for line in cells], as_json=False)
    failed = [outcome for outcome in found if outcome.chosen is None]
    if failed:
        told_failed = ", ".join(f"{outcome.agent} on {outcome.scenario}" for outcome in failed)
        raise InvalidInput(f"every run has failed of {told_failed}")


def _show_planned(engine: Engine, root: Path, as_json: bool) -> None:
    """The cells that would be run now; later ones depend on what these come to."""
    from .. import listing
    from ..output.terminal import say

    lines = [cell.to_json() for cell in engine.planned]
    if as_json:
        listing.show(lines, as_json=True)
        return
    for line in lines:
        line["settings"] = " ".join(f"{name}={value}" for name, value in line["settings"].items())
    names = ("stage", "scenario", "agent", "settings", "seed")
    say(f"{len(lines)} runs would be given to {engine.name} now; those that follow depend on what they come to")
    if lines:
        listing.show([{name: line[name] for name in names} for line in lines], as_json=False)
    if engine.name == "slurm":
        from ..sweep.slurm_pool import script

        say()
        say("each as a job with this script:")
        folder = root.resolve() / "sweeps" / "slurm"
        print(script(folder, int(engine.gpus), engine.partition, engine.minutes))
