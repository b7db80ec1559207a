"""The one command: `palaestra`. Nothing heavy is imported before a command needs it, so that --help is quick."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import suppress
from typing import Annotated

import typer

from .. import __version__
from ..neural_blocks.errors import InvalidInput
from .commands import assess, build, data, demo, export, inspect, look, play, rank, report, runs, sweep, train
from .output.terminal import say

app = typer.Typer(name="palaestra", pretty_exceptions_enable=False, rich_markup_mode=None)
GROUPS = (  # as --help names their commands
    *(look, train, sweep, play, data, rank),
    *(assess, report, inspect, runs, export, build, demo),
)
for group in GROUPS:
    app.add_typer(group.app)
STOPPED = 130  # what typer makes of Ctrl-C; a command that says itself how it goes on raises SystemExit
Refusal: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
"""What typer raises for a word that it cannot place; it does not export the name."""


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    """Every deep-learning task as an environment: train agents on it, watch them play, rank them.

    Start with 'palaestra demo', then 'palaestra list scenarios' and 'palaestra train digits'.
    """
    if version:
        say(f"palaestra {__version__}")
    elif context.invoked_subcommand is None:
        print(context.get_help())
    else:
        return
    raise typer.Exit


def main() -> None:
    """The console script: one line and exit code 2 for what the caller can mend."""
    with suppress(OSError):  # a folder that is gone
        here = os.getcwd()
        sys.path += [] if here in sys.path else [here]  # last: where a user's own "module:Class" is looked for
    try:
        code = app(standalone_mode=False)
    except Refusal as error:
        told = error.format_message().replace("Value error, ", "")  # type: ignore[attr-defined]
        say(f"palaestra: {told}", error=True)
        code = 2
    except (InvalidInput, OSError) as error:
        if _speaks(error):
            say(f"palaestra: {error}", error=True)
        code = 2
    except NotImplementedError as error:  # NoExpert, without importing torch for its name
        say(f"palaestra: {error}", error=True)
        code = 2
    except (KeyboardInterrupt, typer.Abort):
        code = STOPPED
    if code == STOPPED:
        say(f"palaestra: stopped; again with: {shlex.join(['palaestra', *sys.argv[1:]])}", error=True)
    sys.exit(code if isinstance(code, int) else 0)


def _speaks(error: Exception) -> bool:
    """Whether this process says what went wrong: all that were started together fail alike, unless one was lost.

    Process 1 then speaks too, in case that it was process 0.
    """
    return int(os.environ.get("RANK", "0")) <= (type(error).__name__ == "Lost")


if __name__ == "__main__":
    main()
