"""What something is and takes: `palaestra describe`."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import AsJson, agent_names, scenario_names

app = typer.Typer()


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
