"""The pygame surface beneath the canvas: boxes, images and text, kept in memory or shown in a window."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Input:
    """What a person did in the window.

    Attributes:
        kind: "key", or "press", "drag" or "release" of the left mouse button.
        key: for a key, its name ("a", "left", "space", ...).
        text: for a key, the character that it types with those held down beside it ("A", "?"), if any.
        place: for the mouse, the pixel of the canvas (x, y), also where the window has another size.
    """

    kind: str
    key: str = ""
    place: tuple[int, int] = (-1, -1)
    text: str = ""


class Surface:
    """Boxes, images and text, `width` × `height` pixels, kept in memory or shown in a window.

    Args:
        width: in pixels.
        height: in pixels.
        window: whether the picture also appears in the process's one pygame window, each time `show` is called.
        caption: of the window.
        spectator: which view a task draws. True: everything, hidden state included, for those who watch. False: no
            more than the current observation holds, for who plays.

    Raises:
        InvalidInput: a size below 1, or a window where there is no display.
    """

    def __init__(
        self,
        width: int = 480,
        height: int = 480,
        window: bool = False,
        caption: str = "Palaestra",
        spectator: bool = True,
    ) -> None:
        if width < 1 or height < 1:
            raise InvalidInput(f"Canvas: width and height must be at least 1 pixel; got {width} × {height}")
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        import pygame

        self._pygame: Any = pygame
        self.width, self.height, self.window, self.spectator = width, height, window, spectator
        self.closed = False  # True once the window is gone
        self._surface = pygame.Surface((width, height))
        self._fonts: dict[int, Any] = {}
        self._inputs: list[Input] = []
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

    def fill(self, rect: Rect, colour: Colour) -> None:
        """A filled box."""
        self._surface.fill(colour, self._area("fill", rect))

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

    def frame(self) -> np.ndarray:
        """A copy of the picture: (H, W, 3) uint8."""
        content = self._pygame.image.tobytes(self._surface, "RGB")
        return np.frombuffer(content, dtype=np.uint8).reshape(self.height, self.width, 3).copy()

    def save_png(self, path: str | Path) -> None:
        """Write the picture to a PNG file."""
        Path(path).write_bytes(self.png())

    def png(self) -> bytes:
        """The picture as the content of a PNG file."""
        file = io.BytesIO()
        self._pygame.image.save(self._surface, file, "picture.png")
        return file.getvalue()

    def show(self) -> bool:
        """Bring the picture to the window, scaled to its size; False once the user has closed the window."""
        self._read_events("show")
        if not self.closed:
            display = self._pygame.display.get_surface()
            place = self._surface.get_rect().fit(display.get_rect())
            display.blit(self._pygame.transform.smoothscale(self._surface, place.size), place)
            self._pygame.display.flip()
        return not self.closed

    def inputs(self) -> list[Input]:
        """Keys pressed and what the mouse did in the window since the last call, in order."""
        self._read_events("inputs")
        inputs, self._inputs = self._inputs, []
        return inputs

    def keys_pressed(self) -> list[str]:
        """The names of the keys ("a", "left", "space", ...) pressed in the window since the last call, in order."""
        self._read_events("keys_pressed")
        inputs, self._inputs = self._inputs, []
        return [one.key for one in inputs if one.kind == "key"]

    @property
    def unseen(self) -> bool:
        """Whether the window is on a display that nobody can see, as SDL's "dummy" one for tests."""
        return self.window and not self.closed and self._pygame.display.get_driver() == "dummy"

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
            if event.type == self._pygame.QUIT:
                return self.close()
            if event.type == self._pygame.KEYDOWN:
                self._inputs.append(Input("key", self._pygame.key.name(event.key), text=getattr(event, "unicode", "")))
            elif event.type == self._pygame.MOUSEBUTTONDOWN and event.button == 1:
                self._inputs.append(Input("press", place=self._place(event.pos)))
            elif event.type == self._pygame.MOUSEBUTTONUP and event.button == 1:
                self._inputs.append(Input("release", place=self._place(event.pos)))
            elif event.type == self._pygame.MOUSEMOTION and event.buttons[0]:
                self._inputs.append(Input("drag", place=self._place(event.pos)))

    def _place(self, position: tuple[int, int]) -> tuple[int, int]:
        """The canvas's pixel at a position in the window."""
        shown = self._surface.get_rect().fit(self._pygame.display.get_surface().get_rect())
        x, y = position
        return (x - shown.x) * self.width // shown.width, (y - shown.y) * self.height // shown.height

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
            middle = (box.centerx, box.centery + round(0.06 * size))  # a line's capitals stand above its middle
            self.text(text, middle, size, INK if luma > 120 else BACKGROUND, "center", box.width)
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
