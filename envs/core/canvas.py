"""The canvas that every environment draws on: a pygame surface in memory, or a window."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...neural_blocks.errors import InvalidInput, unknown_name

if TYPE_CHECKING:
    from torch import Tensor

    Array = Tensor | np.ndarray | Sequence[Any]

Colour = tuple[int, int, int]
Palette = Sequence[Colour] | None  # None for the drawing's own colours
Rect = tuple[float, float, float, float]  # x, y, width, height in pixels, y downwards
Limits = tuple[float, float, float, float] | None  # xmin, xmax, ymin, ymax; None for what fits all
Place = tuple[int, int, int, int]  # the same, in whole pixels

BACKGROUND: Colour = (250, 249, 246)
PANEL: Colour = (232, 230, 224)
MUTED: Colour = (118, 118, 124)
INK: Colour = (38, 40, 48)
ACCENT: Colour = (32, 110, 190)
GOOD: Colour = (0, 138, 96)
BAD: Colour = (204, 51, 63)
# Apart also under colour-vision deficiency: Petroff, "Accessible color sequences for data visualization" (2021).
_PETROFF = (0x3F90DA, 0xFFA90E, 0xBD1F01, 0x94A4A2, 0x832DB6, 0xA96B59, 0xE76300, 0xB9AC70, 0x717581, 0x92DADD)
COLOURS: tuple[Colour, ...] = tuple((code >> 16, code >> 8 & 255, code & 255) for code in _PETROFF)

SMALLEST_TEXT = 14
ANCHORS = ("topleft", "midtop", "topright", "midleft", "center", "midright", "bottomleft", "midbottom", "bottomright")


class Canvas:
    """A picture of one environment's state, `width` × `height` pixels, kept in memory or shown in a window.

    Rectangles are (x, y, width, height) in pixels with y downwards. Arrays are torch tensors on any device or NumPy
    arrays. A sequence of `colours` is used in turn and repeats. With `window=True` the picture also appears in the
    process's one pygame window, each time `show` is called; InvalidInput is raised where there is no display.
    """

    def __init__(self, width: int = 480, height: int = 480, window: bool = False, caption: str = "Palaestra") -> None:
        if width < 1 or height < 1:
            raise InvalidInput(f"Canvas: width and height must be at least 1 pixel; got {width} × {height}")
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        import pygame

        self._pygame: Any = pygame
        self.width, self.height, self.window = width, height, window
        self.closed = False  # True once the window is gone
        self._surface = pygame.Surface((width, height))
        self._fonts: dict[int, Any] = {}
        self._keys: list[str] = []
        if window:
            pygame.display.init()
            if pygame.display.get_driver() == "offscreen":  # what SDL falls back to: a window nobody can see
                pygame.display.quit()
                raise InvalidInput("Canvas: window=True needs a display; got none (use window=False and save_png)")
            pygame.display.set_mode((width, height), pygame.RESIZABLE)
            pygame.display.set_caption(caption)
        self.clear()

    def clear(self) -> None:
        """Fill the canvas with the background colour."""
        self._surface.fill(BACKGROUND)

    def outline(self, rect: Rect, colour: Colour = INK, width: int = 2) -> None:
        """A box of the given line width, just inside `rect`."""
        self._pygame.draw.rect(self._surface, colour, self._area("outline", rect), width)

    def image(self, pixels: Array, rect: Rect, border: Colour | None = None) -> Place:
        """An image, as large as fits in `rect` and centred there, without smoothing; returns where it lies.

        pixels: (H, W), (1, H, W), (3, H, W) or, failing these, (H, W, 3); uint8, bool, or float in [0, 1].
        """
        array = _pixels(pixels)  # (H, W, 3)
        source = self._pygame.image.frombuffer(array.tobytes(), array.shape[1::-1], "RGB")
        place = source.get_rect().fit(self._area("image", rect))
        place.size = max(1, place.width), max(1, place.height)
        self._surface.blit(self._pygame.transform.scale(source, place.size), place)
        if border is not None:
            self.outline(tuple(place), border)
        return tuple(place)

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

    def text(
        self,
        string: str,
        position: tuple[float, float],
        size: int = 20,
        colour: Colour = INK,
        anchor: str = "topleft",
        max_width: float = math.inf,
    ) -> Place:
        """One line of text whose `anchor` point is at `position`; returns the rectangle that it covers.

        Text wider than `max_width`, or than what the canvas leaves, shrinks; at the smallest legible size it is
        shortened and ends in "…". An unprintable character appears escaped, as in a Python string.
        """
        if anchor not in ANCHORS:
            raise unknown_name("Canvas.text: anchor", anchor, ANCHORS)
        string, x = _printable(string), position[0]
        room = self.width - x if "left" in anchor else x if "right" in anchor else 2 * min(x, self.width - x)
        room = min(room, self.width, max_width)
        font = self._font(self._common_size([string], size, room))
        if font.size(string)[0] > room:
            kept = next((n for n in range(len(string) - 1, 0, -1) if font.size(string[:n] + "…")[0] <= room), 0)
            string = string[:kept] + "…"
        picture = font.render(string, True, colour)
        place = picture.get_rect(**{anchor: (round(x), round(position[1]))}).clamp(self._surface.get_rect())
        self._surface.blit(picture, place)
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
    ) -> None:
        """A framed line through `values` (T,), from the left edge to the right one; gaps where they are not finite.

        The frame spans `minimum` to `maximum`, by default those of the values. With a `label`, a line above the frame
        gives it and the span. Values beyond the span run along the frame; curves without labels share a rectangle.
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
        self._pygame.draw.rect(self._surface, MUTED, area, 1)
        if len(finite) == 0:
            return
        if highest <= lowest:  # a constant runs through the middle
            lowest, highest = lowest - 1.0, lowest + 1.0
        plot = area.inflate(-8, -8)
        x = np.linspace(plot.left, plot.right - 1, len(heights))
        y = plot.bottom - 1 - np.clip((heights - lowest) / (highest - lowest), 0.0, 1.0) * (plot.height - 1)
        for run in np.ma.clump_unmasked(np.ma.masked_invalid(heights)):
            path = list(zip(x[run], y[run], strict=True))
            if len(path) == 1:
                self._pygame.draw.aacircle(self._surface, colour, path[0], 3)
            else:
                self._pygame.draw.lines(self._surface, colour, False, path, 2)

    def points(self, xy: Array, rect: Rect, colours: Palette = None, radius: int = 3, limits: Limits = None) -> None:
        """A framed scatter of `xy` (N, 2), y upwards; what lies below stays visible.

        limits: (xmin, xmax, ymin, ymax) at the edges of `rect`; what lies beyond them is left out.
        """
        array, area, palette = _array("points", xy, 2).astype(float), self._area("points", rect), colours or (ACCENT,)
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
            centre, colour = (area.x + x, area.bottom - 1 - y), palette[int(i) % len(palette)]
            self._pygame.draw.aacircle(self._surface, colour, centre, radius)

    def cards(self, symbols: Sequence[str], rect: Rect, highlight: int | None = None, colours: Palette = None) -> None:
        """A sequence of boxes with a symbol in each, on as many rows as keep the boxes large, centred in `rect`.

        `highlight` is the index of a box to frame (one beyond the end frames none); `colours` fill the boxes.
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

    def verdict(self, correct: bool, rect: Rect) -> None:
        """A green frame with a tick, or a red one with a cross, along the inside of `rect`."""
        area, colour = self._area("verdict", rect), GOOD if correct else BAD
        self.outline(rect, colour, 4)
        radius = max(4, min(16, min(area.width, area.height) // 6))
        x, y = area.right - radius - 6, area.y + radius + 6
        self._pygame.draw.aacircle(self._surface, colour, (x, y), radius)
        tick, cross = (
            [(-0.5, 0), (-0.15, 0.4), (0.5, -0.4)],
            [(-0.4, -0.4), (0.4, 0.4), (0, 0), (-0.4, 0.4), (0.4, -0.4)],
        )
        path = [(x + radius * dx, y + radius * dy) for dx, dy in (tick if correct else cross)]
        self._pygame.draw.lines(self._surface, BACKGROUND, False, path, max(2, radius // 4))

    def frame(self) -> np.ndarray:
        """A copy of the picture: (H, W, 3) uint8."""
        content = self._pygame.image.tobytes(self._surface, "RGB")
        return np.frombuffer(content, dtype=np.uint8).reshape(self.height, self.width, 3).copy()

    def save_png(self, path: str | Path) -> None:
        """Write the picture to a PNG file."""
        with open(path, "wb") as file:
            self._pygame.image.save(self._surface, file, "picture.png")

    def show(self) -> bool:
        """Bring the picture to the window, scaled to its size; False once the user has closed the window."""
        self._read_events("show")
        if not self.closed:
            display = self._pygame.display.get_surface()
            place = self._surface.get_rect().fit(display.get_rect())
            display.blit(self._pygame.transform.smoothscale(self._surface, place.size), place)
            self._pygame.display.flip()
        return not self.closed

    def keys_pressed(self) -> list[str]:
        """The names of the keys ("a", "left", "space", ...) pressed in the window since the last call, in order."""
        self._read_events("keys_pressed")
        keys, self._keys = self._keys, []
        return keys

    def close(self) -> None:
        """Close the window, if there is one; drawing, `frame` and `save_png` go on working."""
        if self.window and not self.closed:
            self.closed = True
            self._pygame.display.quit()

    def _read_events(self, method: str) -> None:
        if not self.window:
            raise InvalidInput(f"Canvas.{method}: needs a window; got a Canvas with window=False")
        if self._pygame.display.get_surface() is None:  # also where someone else in this process has ended the display
            self.closed = True
        for event in [] if self.closed else self._pygame.event.get():
            if event.type == self._pygame.KEYDOWN:
                self._keys.append(self._pygame.key.name(event.key))
            elif event.type == self._pygame.QUIT:
                return self.close()

    def _area(self, method: str, rect: Rect) -> Any:
        """A pygame.Rect with whole pixels."""
        area = self._pygame.Rect(*(round(number) for number in rect))
        if area.width < 1 or area.height < 1:
            raise InvalidInput(f"Canvas.{method}: rect must be (x, y, width, height) of at least 1 × 1; got {rect}")
        return area

    def _cell(self, slot: Rect, gap: int, corner: int, colour: Colour, text: str, size: int) -> Any:
        """A filled box with centred text, `gap` pixels short of its slot; returns the box."""
        x, y, width, height = slot
        box = self._pygame.Rect(x, y, max(1, width - gap), max(1, height - gap))
        self._pygame.draw.rect(self._surface, colour, box, border_radius=corner)
        if text:
            luma = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]  # ITU-R BT.601
            self.text(text, box.center, size, INK if luma > 120 else BACKGROUND, "center", box.width)
        return box

    def _font(self, size: int) -> Any:
        self._pygame.font.init()
        try:
            self._fonts[size].get_height()
        except (KeyError, self._pygame.error):  # not made yet, or made before an environment called pygame.quit()
            self._fonts[size] = self._pygame.font.Font(None, size)
        return self._fonts[size]

    def _common_size(self, strings: Sequence[str], size: int, max_width: float) -> int:
        """The largest font size up to `size` at which every string fits, or the smallest legible one."""
        while size > SMALLEST_TEXT and any(self._font(size).size(string)[0] > max_width for string in strings):
            size -= 1
        return max(1, size)


def _array(method: str, values: Array, *axes: int) -> np.ndarray:
    tensor: Any = values
    array = tensor.detach().cpu().numpy() if hasattr(tensor, "detach") else np.asarray(tensor)
    if array.ndim not in axes:
        raise InvalidInput(f"Canvas.{method}: axes must number {' or '.join(map(str, axes))}; got shape {array.shape}")
    return array


def _pixels(pixels: Array) -> np.ndarray:
    """An image as (H, W, 3) uint8."""
    given = _array("image", pixels, 2, 3)
    array = given[None] if given.ndim == 2 else given
    if array.size == 0 or (array.shape[0] not in (1, 3) and array.shape[2] != 3):
        raise InvalidInput(f"Canvas.image: pixels must be (H, W), (1, H, W), (3, H, W) or (H, W, 3); got {given.shape}")
    if array.dtype != np.uint8:
        if array.dtype.kind not in "fb" or not (array.min() >= 0 and array.max() <= 1):
            got = f"{array.dtype} from {array.min():.4g} to {array.max():.4g}"
            raise InvalidInput(f"Canvas.image: pixels must be uint8, bool, or float in [0, 1]; got {got}")
        array = np.round(array * 255.0).astype(np.uint8)
    if array.shape[0] in (1, 3):
        array = array.transpose(1, 2, 0)
    return np.broadcast_to(array, (*array.shape[:2], 3))


def _printable(string: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in string)


def _numbers(values: list[float]) -> list[str]:
    """Each value with as many decimals as the largest one needs for two digits, and at least two below 100."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0) or 1.0
    decimals = 0 if largest >= 100 else max(2, 1 - math.floor(math.log10(largest)))
    return [f"{round(value, decimals) + 0.0:g}" for value in values]
