"""What there is, and what it takes: `palaestra list` and `describe`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ...neural_blocks.errors import InvalidInput
from .options import AsJson, agent_names, scenario_names

app = typer.Typer()


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
    from .. import listing

    if images is not None:
        from ..output.progress import working
        from ..playback import draw_environments

        if kind is not Kind.envs:
            raise InvalidInput(f"--images draws environments: use it with 'list envs'; got {kind.value!r}")
        with working(f"drawing {images}"):
            draw_environments(images)
    if kind is Kind.blocks and not as_json:
        listing.show_blocks()
    else:
        listing.show(getattr(listing, kind.value)(), as_json)


def described_names(incomplete: str) -> list[str]:
    """Scenarios, environments, agents and methods that a shell may complete a word to."""
    from ...agents.representation.registry import METHODS
    from ...envs.registry import ids

    others = [name for name in (*METHODS, *ids()) if name.startswith(incomplete)]
    return [*scenario_names(incomplete), *agent_names(incomplete), *others]


@app.command()
def describe(
    name: Annotated[
        str,
        typer.Argument(
            help="A scenario, an environment's id, an agent or a method of pretraining.", autocompletion=described_names
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Tell what a scenario, environment, agent or method of 'pretrain' is, with every option, default and meaning."""
    from ..output import description

    description.show(name, as_json)
