"""The canvas that every environment draws on: charts, cards, grids and verdicts on a surface."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...neural_blocks.errors import InvalidInput, unknown_name
from .surface import (
    ACCENT,
    BACKGROUND,
    BAD,
    COLOURS,
    GOOD,
    INK,
    MUTED,
    PANEL,
    SMALLEST_TEXT,
    Colour,
    Input,
    Limits,
    Palette,
    Place,
    Rect,
    Surface,
    _array,
    _printable,
)

if TYPE_CHECKING:
    from .surface import Array

__all__ = ["ACCENT", "BACKGROUND", "BAD", "COLOURS", "GOOD", "INK", "MUTED", "PANEL", "Canvas", "Colour", "Input"]
MARKS = ("dot", "ring", "cross", "square", "triangle")


class Canvas(Surface):
    """A picture of one environment's state, `width` × `height` pixels, kept in memory or shown in a window.

    Rectangles are (x, y, width, height) in pixels with y downwards. Arrays are torch tensors on any device or NumPy
    arrays. A sequence of `colours` is used in turn and repeats. `spectator` says which of its two views a task draws.
    """

    def grid(self, cells: Array, rect: Rect, colours: Palette = None, labels: Array | None = None) -> Place:
        """Square cells, as large as fit in `rect` and centred there; returns where they lie.

        cells: (rows, columns) integers, each the index of its colour; a negative one is an empty cell.
        labels: (rows, columns) strings.
        """
        array = _array("grid", cells, 2)
        if array.size == 0 or array.dtype.kind not in "iub":
            raise InvalidInput(f"Canvas.grid: cells must be (rows, columns) integers; got {array.dtype} {array.shape}")
        texts = np.full(array.shape, "") if labels is None else np.asarray(labels)
        if texts.shape != array.shape:
            raise InvalidInput(f"Canvas.grid: labels must have the shape of cells, {array.shape}; got {texts.shape}")
        (rows, columns), palette = array.shape, colours or COLOURS
        area = self._area("grid", rect)
        side = max(1, min(area.width // columns, area.height // rows))
        place = self._pygame.Rect(0, 0, side * columns, side * rows)
        place.center = area.center
        size = self._common_size(texts.ravel().tolist(), round(0.8 * side), side - 4)
        for (row, column), index in np.ndenumerate(array):
            colour = palette[int(index) % len(palette)] if index >= 0 else PANEL
            slot = (place.x + column * side, place.y + row * side, side, side)
            self._cell(slot, 1 if side >= 6 else 0, 0, colour, str(texts[row, column]), size)
        return tuple(place)

    def bars(
        self,
        values: Array,
        rect: Rect,
        labels: Sequence[str] | None = None,
        colours: Palette = None,
        highlight: int | None = None,
        maximum: float | None = None,
    ) -> None:
        """A bar chart of `values` (K,), each value at the tip of its bar and each label beneath.

        The axis spans 0 and the lowest value to `maximum` (by default the highest value), where longer bars stop.
        Values, and labels between others, that have no room are left out. `highlight` is the index of a bar to frame.
        """
        heights, area, palette = _array("bars", values, 1).astype(float), self._area("bars", rect), colours or (ACCENT,)
        count = len(heights)
        if labels is not None and len(labels) != count:
            raise InvalidInput(f"Canvas.bars: labels must be {count} strings, one per value; got {len(labels)}")
        if count == 0:
            return
        slot, tallest = area.width / count, max(SMALLEST_TEXT, min(20, area.height // 6))
        numbers = _numbers(heights.tolist())
        size = self._common_size(numbers, tallest, slot - 4)
        readable = max(self._font(size).size(number)[0] for number in numbers) <= slot
        label_size = self._common_size([_printable(label) for label in labels or [""]], tallest, slot - 4)
        every = math.ceil(self._font(label_size).size("000")[0] / slot)
        heights = np.where(np.isfinite(heights), heights, 0.0)
        highest = max(0.0, float(heights.max()) if maximum is None else maximum)
        lowest = min(0.0, float(heights.min()))
        line, bottom = self._font(tallest).get_height() + 2, area.bottom
        area.height -= line * (readable + (readable and lowest < 0) + (labels is not None))
        area.y += line * readable
        scale = max(1, area.height - 1) / ((highest - lowest) or 1.0)
        baseline = area.y + round(highest * scale) if highest > lowest else area.bottom - 1
        for i, value in enumerate(heights.tolist()):
            length = round(min(value, highest) * scale)
            left, right = (area.x + round((i + edge) * slot) for edge in (0.1, 0.9))
            bar = self._pygame.Rect(left, baseline - max(length, 0), max(1, right - left), abs(length))
            self._surface.fill(palette[i % len(palette)], bar)
            if i == highlight:
                self.outline(tuple(bar.inflate(4, 4)))
            if readable:
                tip, anchor = (bar.bottom + 2, "midtop") if length < 0 else (bar.top - 2, "midbottom")
                self.text(numbers[i], (bar.centerx, tip), size, INK, anchor)
            if labels is not None and i % every == 0:
                colour = INK if highlight in (None, i) else MUTED
                self.text(labels[i], (bar.centerx, bottom), label_size, colour, "midbottom", every * slot - 2)
        self._surface.fill(INK, (area.x, baseline, area.width, 1))

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
        """A framed line through `values` (T,), from the left edge to the right one; gaps where they are not finite.

        The frame spans `minimum` to `maximum`, by default those of the values. With a `label`, a line above the frame
        gives it and the span. Values beyond the span run along the frame; curves without labels share a rectangle, in
        which a line of greater `width` stays visible beneath another. Not `framed`, it fills `rect`, as between `axes`.
        """
        heights, area = _array("curve", values, 1).astype(float), self._area("curve", rect)
        finite = heights[np.isfinite(heights)]
        lowest = float(finite.min(initial=math.inf)) if minimum is None else minimum
        highest = float(finite.max(initial=-math.inf)) if maximum is None else maximum
        if label is not None:
            size = max(SMALLEST_TEXT, min(20, area.height // 6))
            span = ": " + " to ".join(_numbers([lowest, highest])) if lowest <= highest else ""
            self.text(label + span, area.topleft, size, colour, max_width=area.width)
            line = self._font(size).get_height() + 2
            area = self._pygame.Rect(area.x, area.y + line, area.width, max(1, area.height - line))
        if framed:
            self._pygame.draw.rect(self._surface, MUTED, area, 1)
        if len(finite) == 0:
            return
        if highest <= lowest:  # a constant runs through the middle
            lowest, highest = lowest - 1.0, lowest + 1.0
        plot = area.inflate(-8, -8) if framed else area
        x = np.linspace(plot.left, plot.right - 1, len(heights))
        y = plot.bottom - 1 - np.clip((heights - lowest) / (highest - lowest), 0.0, 1.0) * (plot.height - 1)
        for run in np.ma.clump_unmasked(np.ma.masked_invalid(heights)):
            path = list(zip(x[run], y[run], strict=True))
            if len(path) == 1:
                self._pygame.draw.aacircle(self._surface, colour, path[0], 3)
            else:
                self._pygame.draw.lines(self._surface, colour, False, path, width)

    def points(
        self,
        xy: Array,
        rect: Rect,
        colours: Palette = None,
        radius: int = 3,
        limits: Limits = None,
        mark: str = "dot",
    ) -> None:
        """A framed scatter of `xy` (N, 2), y upwards; what lies below stays visible.

        `mark` is the shape of each point: "dot", "ring", "cross", "square" or "triangle".

        limits: (xmin, xmax, ymin, ymax) at the edges of `rect`; what lies beyond them is left out.
        """
        array, area, palette = _array("points", xy, 2).astype(float), self._area("points", rect), colours or (ACCENT,)
        if mark not in MARKS:
            raise unknown_name("Canvas.points: mark", mark, MARKS)
        if array.shape[1] != 2:
            raise InvalidInput(f"Canvas.points: xy must have shape (N, 2); got {array.shape}")
        self._pygame.draw.rect(self._surface, MUTED, area, 1)
        finite = np.isfinite(array).all(axis=1)
        if limits is None:
            inside = array[finite] if finite.any() else np.zeros((1, 2))
            margin = np.maximum(0.06 * np.ptp(inside, axis=0), 1e-6)
            low, high = inside.min(axis=0) - margin, inside.max(axis=0) + margin
        else:
            low, high = np.array(limits, dtype=float).reshape(2, 2).T
            if not (low < high).all():
                raise InvalidInput(f"Canvas.points: limits must be (xmin, xmax, ymin, ymax), increasing; got {limits}")
        for i in np.flatnonzero(finite & ((array >= low) & (array <= high)).all(axis=1)):
            x, y = np.round((array[i] - low) / (high - low) * (area.width - 1, area.height - 1))
            self._mark(mark, (area.x + x, area.bottom - 1 - y), palette[int(i) % len(palette)], radius)

    def _mark(self, mark: str, centre: tuple[float, float], colour: Colour, radius: int) -> None:
        (x, y), draw, width = centre, self._pygame.draw, max(2, radius // 3)
        if mark == "dot":
            draw.aacircle(self._surface, colour, centre, radius)
        elif mark == "ring":
            draw.aacircle(self._surface, colour, centre, radius, width)
        elif mark == "square":
            draw.rect(self._surface, colour, (x - radius, y - radius, 2 * radius + 1, 2 * radius + 1))
        elif mark == "triangle":
            draw.polygon(self._surface, colour, [(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)])
        else:
            for way in (1, -1):
                ends = (x - radius, y - way * radius), (x + radius, y + way * radius)
                draw.line(self._surface, colour, *ends, width)

    def axes(
        self,
        rect: Rect,
        x: tuple[float, float],
        y: tuple[float, float],
        names: tuple[str, str],
        ticks: tuple[int, int] = (5, 3),
    ) -> Place:
        """Axes with numbers and names, units included; returns the rectangle (x, y, width, height) between them.

        x: what the left and the right edge stand for.
        y: what the lower and the upper edge stand for.
        names: what the axes show; that of y stands above, that of x below.
        ticks: how many numbers along each.
        """
        area, size = self._area("axes", rect), 18
        line = self._font(size).get_height()
        labels = [_numbers(np.linspace(*ends, count).tolist()) for ends, count in zip((x, y), ticks, strict=True)]
        left = max(self._font(size).size(text)[0] for text in labels[1]) + 8
        right = self._font(size).size(labels[0][-1])[0] // 2
        top = line + 4
        inner = self._pygame.Rect(
            area.x + left, area.y + top, area.width - left - right, area.height - top - 2 * line - 8
        )
        if inner.width < 1 or inner.height < 1:
            raise InvalidInput(f"Canvas.axes: rect must leave room between the axes; got {rect}")
        self.text(names[1], (inner.left, area.y), size, INK, max_width=inner.width)
        self.text(names[0], (inner.centerx, area.bottom), size, INK, "midbottom", area.width)
        for text, place in zip(labels[0], np.linspace(inner.left, inner.right - 1, ticks[0]), strict=True):
            self._surface.fill(MUTED, (round(place), inner.bottom, 1, 4))
            self.text(text, (round(place), inner.bottom + 5), size, MUTED, "midtop")
        for text, place in zip(labels[1], np.linspace(inner.bottom - 1, inner.top, ticks[1]), strict=True):
            self._surface.fill(MUTED, (inner.left - 4, round(place), 4, 1))
            self.text(text, (inner.left - 6, round(place)), size, MUTED, "midright")
        self._pygame.draw.rect(self._surface, MUTED, inner, 1)
        return tuple(inner)

    def cards(
        self,
        symbols: Sequence[str],
        rect: Rect,
        highlight: int | None = None,
        colours: Palette = None,
        verdicts: Sequence[bool | None] | None = None,
    ) -> None:
        """A sequence of boxes with a symbol in each, on as many rows as keep the boxes large, centred in `rect`.

        `highlight` is the index of a box to frame (one beyond the end frames none); `colours` fill the boxes;
        `verdicts` put a tick, a cross or, for None, nothing into a corner of each.
        """
        count, area, palette = len(symbols), self._area("cards", rect), colours or (PANEL,)
        if count == 0:
            return
        texts = [_printable(str(symbol)) for symbol in symbols]
        reference = self._font(100)
        aspect = max(1.0, 0.4 + 0.7 * max(reference.size(text)[0] for text in texts) / reference.get_height())
        heights = [
            min(area.width / math.ceil(count / rows) / aspect, area.height / rows) for rows in range(1, count + 1)
        ]
        height, columns = max(1, int(max(heights))), math.ceil(count / (1 + heights.index(max(heights))))
        width, gap = int(height * aspect), max(1, round(0.06 * height))
        left, top = area.centerx - columns * width // 2, area.centery - math.ceil(count / columns) * height // 2
        size = self._common_size(texts, height, width - 3 * gap)
        for i, text in enumerate(texts):
            slot = (left + i % columns * width, top + i // columns * height, width, height)
            box = self._cell(slot, gap, gap, palette[i % len(palette)], text, size)
            if i == highlight:
                self._pygame.draw.rect(self._surface, ACCENT, box, max(2, gap), border_radius=gap)
            if verdicts is not None and (correct := verdicts[i]) is not None:
                radius = max(6, min(box.width, box.height) // 7)
                self._sign(correct, (box.right - radius - 2, box.y + radius + 2), radius)

    def verdict(self, correct: bool, rect: Rect) -> None:
        """A green frame with a tick, or a red one with a cross, along the inside of `rect`."""
        area = self._area("verdict", rect)
        self.outline(rect, GOOD if correct else BAD, 4)
        radius = max(4, min(16, min(area.width, area.height) // 6))
        self._sign(correct, (area.right - radius - 6, area.y + radius + 6), radius)

    def _sign(self, correct: bool, centre: tuple[int, int], radius: int) -> None:
        """A tick on a green disc, or a cross on a red one, with a pale rim."""
        (x, y), draw = centre, self._pygame.draw
        draw.aacircle(self._surface, BACKGROUND, centre, radius + 1)
        draw.aacircle(self._surface, GOOD if correct else BAD, centre, radius)
        tick, cross = (
            [(-0.5, 0), (-0.15, 0.4), (0.5, -0.4)],
            [(-0.4, -0.4), (0.4, 0.4), (0, 0), (-0.4, 0.4), (0.4, -0.4)],
        )
        path = [(x + radius * dx, y + radius * dy) for dx, dy in (tick if correct else cross)]
        draw.lines(self._surface, BACKGROUND, False, path, max(2, radius // 4))


def _numbers(values: list[float]) -> list[str]:
    """Each value with as many decimals as the largest one needs for two digits, and at least two below 100."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0) or 1.0
    decimals = 0 if largest >= 100 else max(2, 1 - math.floor(math.log10(largest)))
    return [f"{round(value, decimals) + 0.0:g}" for value in values]
