"""What something is and takes: `palaestra describe`."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import AsJson, agent_names, scenario_names

app = typer.Typer()


def described_names(incomplete: str) -> list[str]:
    """Scenarios, environments and agents that a shell may complete a word to."""
    from ...envs.registry import ids

    return [*scenario_names(incomplete), *agent_names(incomplete), *(id for id in ids() if id.startswith(incomplete))]


@app.command()
def describe(
    name: Annotated[
        str,
        typer.Argument(help="A scenario, an environment's id or an agent.", autocompletion=described_names),
    ],
    as_json: AsJson = False,
) -> None:
    """Tell what a scenario, an environment or an agent is, with every option or setting, its default and meaning."""
    from ..output import description

    description.show(name, as_json)
