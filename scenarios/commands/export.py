"""Taking a policy along: `palaestra export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...neural_blocks.errors import InvalidInput
from .options import AllowImport

app = typer.Typer()


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    out: Annotated[Path, typer.Argument(help="A .pt2 file for torch.export.load, or an .onnx file.")],
    best: Annotated[bool, typer.Option(help="The best checkpoint in training's own checks, not the last.")] = False,
    allow_import: AllowImport = False,
) -> None:
    """Write a trained policy as one program, to be used where this suite is not installed."""
    from ...agents.core import export as exporting
    from ..output import progress
    from ..output.terminal import say
    from ..runner import load_agent, read_plan
    from ..runner.scoring import evaluation_environment

    kinds = [f".{kind}" for kind in exporting.FORMATS]
    if out.suffix not in kinds:
        raise InvalidInput(f"{out}: the name of an exported policy must end in {' or '.join(kinds)}")
    with progress.working(f"exporting {run}"):
        env = evaluation_environment(read_plan(run), "cpu")
        agent = load_agent(run, env, best=best)
        agent.attach(env)
        exporting.export(agent, out, out.suffix.removeprefix("."))
    say(f"{run}: the policy is written to {out}")
