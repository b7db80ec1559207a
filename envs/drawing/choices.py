"""What a person can press: keys with a name, and the action that each stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

DIGITS = "0123456789"
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Choice:
    """One action of a person.

    Attributes:
        key: the key's name, as pygame has it: "a", "3", "left", "space", ...; or the character it types: "A", "?".
        label: what the action is called, in a word or two.
        action: of the action space, as Python numbers or lists of them.
    """

    key: str
    label: str
    action: Any


def numbered(names: Sequence[str]) -> list[Choice]:
    """A number key for each of the first ten names, then letters; the actions are 0, 1, 2, ..."""
    return [Choice(key, name, action) for action, (key, name) in enumerate(zip(DIGITS + LETTERS, names, strict=False))]


def lettered(count: int) -> list[Choice]:
    """The keys a, b, c, ... for the symbols A, B, C, ...; the actions are 0, 1, 2, ..."""
    return [Choice(letter, letter.upper(), action) for action, letter in enumerate(LETTERS[:count])]
