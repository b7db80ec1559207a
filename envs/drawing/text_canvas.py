"""A canvas that is read instead of looked at: what is drawn on it becomes lines of text, from top to bottom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from .canvas import Canvas
from .surface import ACCENT, INK, Colour, Limits, Palette, Place, Rect, _array, _pixels, _printable
from .wording import number

if TYPE_CHECKING:
    from .surface import Array

SHADES = " .:-=+*#%@"  # of a pixel, from black to white
WIDEST = 32  # pixels of an image in a line; larger ones are thinned out
MOST = 64  # numbers of bars or of a curve that are written out
NEAR = 14  # pixels between two things that stand on one line


class TextCanvas(Canvas):
    """A `Canvas` whose drawing is also kept as text: words as they are, charts as numbers, images as characters.

    The text holds what is written and shown, not colours and frames; `lines` gives it in reading order.
    """

    def __init__(self, width: int = 480, height: int = 480, spectator: bool = True) -> None:
        self._told: list[tuple[float, float, list[str]]] = []  # (y, x, lines)
        self._depth = 0  # of a drawing within a drawing, which is told by the outer one
        super().__init__(width, height, spectator=spectator)

    def clear(self) -> None:
        """Fills the canvas with the background colour and forgets the text."""
        super().clear()
        self._told = []

    def lines(self) -> list[str]:
        """What was drawn, in reading order: what stands at one height on one line, but for blocks of several lines."""
        rows: list[tuple[float, list[tuple[float, list[str]]]]] = []
        for y, x, block in sorted(self._told, key=lambda one: one[:2]):
            if rows and y - rows[-1][0] < NEAR:
                rows[-1][1].append((x, block))
            else:
                rows.append((y, [(x, block)]))
        found: list[str] = []
        for _, parts in rows:
            blocks = [block for _, block in sorted(parts, key=lambda one: one[0])]
            if all(len(block) == 1 for block in blocks):
                found.append("   ".join(block[0] for block in blocks))
            else:
                found += _side_by_side(blocks)
        return [line.rstrip() for line in found if line.strip()]

    @contextmanager
    def _untold(self) -> Iterator[None]:
        """Within, a drawing is part of an outer one, which tells of it; also after one that was refused."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1

    def _tell(self, rect: Rect, *lines: str) -> None:
        if self._depth == 0:
            self._told.append((rect[1], rect[0], list(lines)))

    def text(
        self,
        string: str,
        position: tuple[float, float],
        size: int = 20,
        colour: Colour = INK,
        anchor: str = "topleft",
        max_width: float = float("inf"),
    ) -> Place:
        """One line of text."""
        place = super().text(string, position, size, colour, anchor, max_width)
        if string.strip():
            self._tell((place[0], place[1] + place[3] / 2, 0, 0), _printable(string).strip())
        return place

    def image(self, pixels: Array, rect: Rect, border: Colour | None = None) -> Place:
        """An image, a character a pixel, or every other pixel's where it is large."""
        with self._untold():
            place = super().image(pixels, rect, border)
        grey = _pixels(pixels).astype(float) @ np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
        every = max(1, -(-max(grey.shape) // WIDEST))
        levels = np.round(grey[::every, ::every]).astype(int) * len(SHADES) // 256
        self._tell(place, *("".join(SHADES[level] for level in row) for row in levels))
        return place

    def grid(self, cells: Array, rect: Rect, colours: Palette = None, labels: Array | None = None) -> Place:
        """Cells as their labels, or as their numbers; "." for an empty one."""
        with self._untold():
            place = super().grid(cells, rect, colours, labels)
        numbers = _array("grid", cells, 2)
        told = [
            ["" if labels is None else str(np.asarray(labels)[row, column]).strip() for column in range(len(line))]
            for row, line in enumerate(numbers)
        ]
        for row, line in enumerate(numbers):
            for column, index in enumerate(line):
                told[row][column] = told[row][column] or ("." if index < 0 else str(int(index)))
        wide = max(len(text) for line in told for text in line)
        self._tell(place, *(" ".join(text.rjust(wide) for text in line) for line in told))
        return place

    def bars(
        self,
        values: Array,
        rect: Rect,
        labels: Sequence[str] | None = None,
        colours: Palette = None,
        highlight: int | None = None,
        maximum: float | None = None,
    ) -> None:
        """Each value with its label."""
        with self._untold():
            super().bars(values, rect, labels, colours, highlight, maximum)
        told = [number(float(value)) for value in _array("bars", values, 1)[:MOST]]
        if labels is not None:
            told = [f"{label}: {value}" for label, value in zip(labels, told, strict=False)]
        if highlight is not None and 0 <= highlight < len(told):
            told[highlight] = f">{told[highlight]}<"
        self._tell(rect, "  ".join(told))

    def curve(
        self,
        values: Array,
        rect: Rect,
        colour: Colour = ACCENT,
        minimum: float | None = None,
        maximum: float | None = None,
        label: str | None = None,
        width: int = 2,
        framed: bool = True,
    ) -> None:
        """The last values of the line, with its label."""
        with self._untold():
            super().curve(values, rect, colour, minimum, maximum, label, width, framed)
        known = [number(float(value)) for value in _array("curve", values, 1) if np.isfinite(value)]
        if known:
            before = "... " if len(known) > MOST else ""
            self._tell(rect, f"{f'{label}: ' if label else ''}{before}{' '.join(known[-MOST:])}")

    def points(
        self,
        xy: Array,
        rect: Rect,
        colours: Palette = None,
        radius: int = 3,
        limits: Limits = None,
        mark: str = "dot",
    ) -> None:
        """The points' coordinates."""
        with self._untold():
            super().points(xy, rect, colours, radius, limits, mark)
        known = [point for point in _array("points", xy, 2).astype(float) if np.isfinite(point).all()]
        if known:
            told = " ".join(f"({number(x)}, {number(y)})" for x, y in known[:MOST])
            self._tell(rect, f"{mark}s at {told}" if len(known) > 1 else f"{mark} at {told}")

    def axes(
        self,
        rect: Rect,
        x: tuple[float, float],
        y: tuple[float, float],
        names: tuple[str, str],
        ticks: tuple[int, int] = (5, 3),
    ) -> Place:
        """What the axes show, and from where to where."""
        with self._untold():
            place = super().axes(rect, x, y, names, ticks)
        spans = (
            f"{name} from {number(low)} to {number(high)}" for name, (low, high) in zip(names, (x, y), strict=True)
        )
        self._tell(rect, "; ".join(spans))
        return place

    def cards(
        self,
        symbols: Sequence[str],
        rect: Rect,
        highlight: int | None = None,
        colours: Palette = None,
        verdicts: Sequence[bool | None] | None = None,
    ) -> None:
        """The symbols in brackets, the framed one between arrows, each with its verdict."""
        with self._untold():
            super().cards(symbols, rect, highlight, colours, verdicts)
        told = []
        for place, symbol in enumerate(symbols):
            sign = "" if verdicts is None else {True: " right", False: " wrong"}.get(verdicts[place], "")  # type: ignore[arg-type]
            text = f"[{_printable(str(symbol)).strip() or ' '}]{sign}"
            told.append(f">{text}<" if place == highlight else text)
        self._tell(rect, " ".join(told))

    def verdict(self, correct: bool, rect: Rect) -> None:
        """The verdict in a word."""
        with self._untold():
            super().verdict(correct, rect)
        self._tell((rect[0] + rect[2], rect[1] + rect[3] / 2, 0, 0), "right" if correct else "wrong")


def _side_by_side(blocks: list[list[str]]) -> list[str]:
    """Blocks of lines beside each other, their upper edges in one line."""
    told = []
    for row in range(max(map(len, blocks))):
        parts = [(block[row] if row < len(block) else "").ljust(max(map(len, block))) for block in blocks]
        told.append("   ".join(parts))
    return told
