"""Looking into a trained agent: `palaestra inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import AllowImport, whole

app = typer.Typer()


@app.command()
def inspect(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    best: Annotated[bool, typer.Option(help="The best checkpoint in training's own checks, not the last.")] = False,
    num_envs: Annotated[
        int, typer.Option(parser=whole(2, 4096), metavar="N", help="How many episodes are looked at.")
    ] = 256,
    allow_import: AllowImport = False,
) -> None:
    """Draw what an agent looks at, its filters, attention and features, and its gradients, into RUN/inspection.

    'palaestra report' shows the pictures beside the run.
    """
    from ..inspecting import inspect as look
    from ..output.progress import working
    from ..output.terminal import say

    with working(f"looking into {run}") as on_kind:
        found = look(run, best=best, num_envs=num_envs, on_kind=on_kind)
    for one in found:
        say(f"{one.title}: {run / one.file}" if one.file else f"{one.title}: left out, {one.reason}")
