"""Options that several commands take, and how ``key=value`` is read. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.registry import allowing_imports

Root = Annotated[Path, typer.Option("--root", help="Folder of all runs and of the leaderboard.")]


def _allow_import(context: typer.Context, allow: bool) -> bool:
    context.with_resource(allowing_imports(allow))
    return allow


AllowImport = Annotated[
    bool,
    typer.Option(
        "--allow-import",
        help="Let the files that are read name code to import (module:Class). Only for files you trust.",
        callback=_allow_import,
        expose_value=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def parse_settings(pairs: list[str], flag: str = "--set") -> dict[str, Any]:
    """``["key=value", ...]`` as a dict; values are read as YAML, and ``64,64`` as a list.

    Args:
        pairs: as they were typed.
        flag: the option they were typed after, for messages.

    Raises:
        InvalidInput: a pair without "=", a key that stands twice, or a value that is not YAML.
    """
    from .. import strict_yaml

    settings: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        key = key.strip()
        if not equals or not key:
            raise InvalidInput(f"{flag} must be key=value; got {pair!r:.80}")
        if key in settings:
            raise InvalidInput(f"{flag} {key} stands twice")
        listed = "," in value and not value.lstrip().startswith(("[", "{", "'", '"'))
        settings[key] = strict_yaml.read(f"[{value}]" if listed else value, f"{flag} {key}={value:.60}")
    return settings
