"""Options that several commands take, and how ``key=value`` is read. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ...neural_blocks.errors import InvalidInput

Root = Annotated[Path, typer.Option("--root", help="Folder of all runs and of the leaderboard.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


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
