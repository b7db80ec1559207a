"""The one command: `palaestra`. Nothing heavy is imported before a command needs it, so that --help is quick."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

import typer

from ..neural_blocks.errors import InvalidInput
from .commands import demo, look, play, rank, train

app = typer.Typer(
    name="palaestra",
    help="Every deep-learning task as an environment: train agents on it, watch them play, rank them.\n\n"
    "Start with 'palaestra demo', then 'palaestra list scenarios' and 'palaestra train digits'.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for group in (look, train, play, rank, demo):  # in the order in which --help names their commands
    app.add_typer(group.app)


def main() -> None:
    """The console script: one line and exit code 2 for what the caller can mend."""
    with suppress(OSError):  # a folder that is gone
        here = os.getcwd()
        sys.path += [] if here in sys.path else [here]  # last: where a user's own "module:Class" is looked for
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
