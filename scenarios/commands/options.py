"""Options that several commands take, and how their values are read. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ...neural_blocks.errors import InvalidInput, shown, unknown_name
from ...neural_blocks.registry import allowing_imports

MOST_SEEDS = 10_000
LARGEST_SEED = 2**31 - 1


def scenario_names(incomplete: str) -> list[str]:
    """The scenarios that a shell may complete a word to."""
    from .. import catalogue

    return [name for name in catalogue.names() if name.startswith(incomplete)]


def agent_names(incomplete: str) -> list[str]:
    """The agents that a shell may complete a word to."""
    from ...agents import names

    return [name for name in names() if name.startswith(incomplete)]


def player_names(incomplete: str) -> list[str]:
    """Who can play, beside runs and recordings, that a shell may complete a word to."""
    return [name for name in ("expert", "human", "random") if name.startswith(incomplete)]


def whole(low: int, high: int) -> Callable[[str], int]:
    """Reads a whole number, also one such as 4e4 or 40_000."""

    def read(text: str | int) -> int:
        from ..files import strict_yaml

        try:
            value = strict_yaml.read(str(text), "")
        except InvalidInput:
            value = text
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise typer.BadParameter(f"must be a whole number from {low:,} to {high:,}; got {shown(text)}")
        return value

    return read


def among(*allowed: str) -> Callable[[str], str]:
    """Reads one of some words."""

    def read(text: str) -> str:
        if text not in allowed:
            raise typer.BadParameter(str(unknown_name("it", text, allowed)).removeprefix("it "))
        return text

    return read


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
ScenarioName = Annotated[
    str, typer.Argument(help="A scenario's name, or your own .yaml file.", autocompletion=scenario_names)
]
Settings = Annotated[list[str] | None, typer.Option("--set", help="A setting of the agent, key=value; repeatable.")]
EnvSettings = Annotated[
    list[str] | None, typer.Option("--env-set", help="An option of the environment, key=value; repeatable.")
]


def parse_settings(pairs: list[str], option: str = "--set") -> dict[str, Any]:
    """``["key=value", ...]`` as a dict; values are read as YAML, and ``64,64`` as a list.

    Args:
        pairs: as they were typed.
        option: what they were typed after, for messages.

    Raises:
        InvalidInput: a pair without "=", a key that stands twice, or a value that is not YAML.
    """
    from ..files import strict_yaml

    settings: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        key = key.strip()
        if not equals or not key:
            raise InvalidInput(f"{option} must be key=value; got {shown(pair)}")
        if key in settings:
            raise InvalidInput(f"{option} {key} stands twice")
        listed = "," in value and not value.lstrip().startswith(("[", "{", "'", '"'))
        settings[key] = strict_yaml.read(f"[{value}]" if listed else value, f"{option} {key}={value:.60}")
    return settings
