"""Blocks chosen by name with arguments of their classes' own, such as layers and dropout of a transformer."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import InvalidInput, unknown_name

Value = bool | int | float | str | list[int]


@dataclass(frozen=True)
class Configured:
    """A block's name, and further arguments that its class is called with."""

    name: str
    settings: Mapping[str, Value]


def require_settings(setting: str, cls: type, settings: Mapping[str, Any], decided: Iterable[str]) -> None:
    """Nothing, where a class takes arguments of these names.

    Args:
        setting: what they are called where they are set, for the message.
        cls: of the block; where it has a `network_class`, what that takes is meant.
        settings: the arguments.
        decided: names of those that are decided elsewhere.

    Raises:
        InvalidInput: a name that it does not take.
    """
    if not settings:
        return
    taken = inspect.signature(getattr(cls, "network_class", cls)).parameters.values()
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    names = [one.name for one in taken if one.kind in named and one.name not in decided]
    for name in settings:
        if not names:
            raise InvalidInput(f"{setting}: {cls.__name__} has no settings of its own; got {name!r}")
        if name not in names:
            raise unknown_name(f"{setting}: setting of {cls.__name__}", name, names)
