"""Boxes on pictures, for people: corners marked, named, dashed where they are the truth."""

from __future__ import annotations

from collections.abc import Iterable

from ..drawing.canvas import BACKGROUND, Canvas, Colour

DASH = 6  # pixels of a dash, and of a gap
CORNER = 7  # pixels a side of a corner's mark


def draw_box(
    canvas: Canvas,
    frame: tuple[int, int, int, int],
    side: int,
    box: Iterable[float],
    name: str,
    colour: Colour,
    truth: bool = False,
) -> None:
    """A box with its name: solid, its name above; or dashed, its name below, where it is the truth.

    Args:
        canvas: what is drawn on.
        frame: where the picture lies on it, a square.
        side: pixels a side of the picture.
        box: left, top, width and height in the picture's pixels.
        name: what stands beside it.
        colour: of lines and name.
        truth: whether it is the truth.
    """
    scale = frame[2] / side
    left, top, wide, high = (round(value * scale) for value in box)
    left, top = left + frame[0], top + frame[1]
    right, bottom = left + wide, top + high
    if truth:
        for x in range(left, right, 2 * DASH):
            for y in (top, bottom - 2):
                canvas.fill((x, y, min(DASH, right - x), 2), colour)
        for y in range(top, bottom, 2 * DASH):
            for x in (left, right - 2):
                canvas.fill((x, y, 2, min(DASH, bottom - y)), colour)
    else:
        canvas.outline((left, top, wide, high), colour, 3)
    for x in (left, right):
        for y in (top, bottom):
            mark = (x - CORNER // 2, y - CORNER // 2, CORNER, CORNER)
            canvas.fill(mark, BACKGROUND if truth else colour)
            canvas.outline(mark, colour, 1)
    _name(canvas, frame, name, (left, bottom + 5) if truth else (left, top - 5), colour, below=truth)


def _name(
    canvas: Canvas, frame: tuple[int, int, int, int], name: str, place: tuple[int, int], colour: Colour, below: bool
) -> None:
    """A name on a plate of its own, inside of the frame."""
    anchor = "topleft" if below else "bottomleft"
    lowest = frame[1] + frame[3]
    y = min(place[1], lowest - 16) if below else max(place[1], frame[1] + 16)
    left = max(place[0], frame[0] + 3)
    drawn = canvas.text(name, (left, y), 18, colour, anchor)  # to see how wide it is
    x = min(left, frame[0] + frame[2] - drawn[2] - 3)
    canvas.fill((x - 3, drawn[1] - 1, drawn[0] - x + drawn[2] + 6, drawn[3] + 2), BACKGROUND)
    canvas.text(name, (x, y), 18, colour, anchor)
