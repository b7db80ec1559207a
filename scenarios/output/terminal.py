"""What the command line prints: lines, and tables that fit the terminal or, piped, keep a row on a line."""

from __future__ import annotations

import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from ...envs.drawing.wording import number
from ...neural_blocks.errors import printable

GAP = 2
NARROWEST = 24
"""Columns of text that is worth wrapping beside the others; with less it goes below them."""


def say(text: object = "", *, error: bool = False) -> None:
    """Prints one line, of which nothing steers the terminal."""
    print(printable(text), file=sys.stderr if error else sys.stdout, flush=error)


def width() -> int | None:
    """Columns of the terminal; None where there is none, and lines are as long as they are."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def paragraph(text: str, indent: int = 0) -> None:
    """Prints text, wrapped to the terminal."""
    columns = width()
    for line in [printable(text)] if columns is None else _wrapped(printable(text), max(columns - indent, 20)):
        print(" " * indent + line)


def cell(value: Any) -> str:
    """A value as a table shows it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return number(value)
    return printable(value)


def table(
    lines: Sequence[Mapping[str, Any]],
    columns: int | None = None,
    *,
    right: Sequence[str] | None = None,
    spare: Sequence[str] = (),
) -> list[str]:
    """Lines that all have the same keys, as the lines of a table.

    Nothing but the last column is ever wrapped, and that only between words. Where there is too little room for it, it
    goes below the others; where even the others are wider than the terminal, each goes below the first, with its name.

    Args:
        lines: at least one.
        columns: of the terminal; None for no limit.
        right: columns that are set to the right; None for those of numbers.
        spare: columns that are left out, the last first, as long as there is no room for the others beside each other.
    """
    names = list(lines[0])
    if right is None:
        right = [name for name in names if all(isinstance(line[name], int | float) for line in lines)]
    cells = [[cell(line[name]) for name in names] for line in lines]
    widths = [max(_width(row[i]) for row in [names, *cells]) for i in range(len(names))]
    before = sum(widths[:-1]) + GAP * (len(names) - 1)
    on_the_right = [name in right for name in names]
    if columns is None or before + widths[-1] <= columns:
        return [_row(row, widths, on_the_right) for row in [names, *cells]]
    wraps = names[-1] not in right
    if wraps and before + NARROWEST <= columns:
        told = []
        for row in [names, *cells]:
            first, *rest = _wrapped(row[-1], columns - before) or [""]
            told += [_row([*row[:-1], first], widths, on_the_right), *(" " * before + line for line in rest)]
        return told
    for name in reversed([name for name in spare if name in names]):
        kept = [{key: value for key, value in line.items() if key != name} for line in lines]
        return table(kept, columns, right=right, spare=spare)
    if wraps and before - GAP <= columns:
        told = [_row(names[:-1], widths[:-1], on_the_right[:-1])]
        for row in cells:
            told.append(_row(row[:-1], widths[:-1], on_the_right[:-1]))
            told += [f"    {line}" for line in _wrapped(row[-1], columns - 4)]
        return told
    return _below(names, cells, columns)


def _below(names: list[str], cells: list[list[str]], columns: int) -> list[str]:
    told = []
    for first, *others in cells:
        told.append(first)
        for name, text in zip(names[1:], others, strict=True):
            told += [f"    {line}" for line in _wrapped(f"{name}: {text}", max(columns - 4, 20))] if text else []
    return told


def _row(cells: list[str], widths: list[int], right: Sequence[bool]) -> str:
    padded = [
        " " * (width - _width(text)) + text if on_the_right else text + " " * (width - _width(text))
        for text, width, on_the_right in zip(cells, widths, right, strict=True)
    ]
    return (" " * GAP).join(padded).rstrip()


def _width(text: str) -> int:
    """Columns that a terminal takes for the text."""
    wide = sum(unicodedata.east_asian_width(sign) in "WF" for sign in text)
    return len(text) + wide - sum(unicodedata.combining(sign) > 0 for sign in text)


def _wrapped(text: str, columns: int) -> list[str]:
    return textwrap.wrap(text, columns, break_long_words=False, break_on_hyphens=False)
