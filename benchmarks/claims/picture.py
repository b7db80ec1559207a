"""A claim's picture: its lines with their intervals, joined where places are numbers."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from palaestra.envs.drawing.canvas import COLOURS, INK, MUTED, Canvas
from palaestra.envs.drawing.wording import number

from .frame import Measured

WIDTH, PLOT, LINE = 900, 440, 28
LEFT, RIGHT, TOP = 100, 870, 84
BOTTOM, PLACE = TOP + PLOT, (LEFT, TOP, RIGHT - LEFT, PLOT)
MARKS = ("dot", "square", "triangle", "ring", "cross")
TICKS = 5


def draw(title: str, measured: Measured, value: str, across: str, path: Path) -> None:
    """Draws all lines of a claim into a PNG file.

    Args:
        title: stands above.
        measured: what is drawn.
        value, across: what stands on the axes; lines are joined where `across` is something.
        path: of the file.
    """
    places = list(dict.fromkeys(place for line in measured.lines.values() for place in line))
    unit = np.log if measured.logarithmic else np.asarray
    heights = {  # (places, 3) middle and ends, NaN where a line has no such place
        line: unit([measured.interval(line, at) if at in known else (math.nan,) * 3 for at in places])
        for line, known in measured.lines.items()
    }
    every = np.concatenate(list(heights.values()))
    low, high = float(np.nanmin(every)), float(np.nanmax(every))
    margin = 0.05 * (high - low) or 0.5
    low, high = low - margin, high + margin
    canvas = Canvas(WIDTH, BOTTOM + 70 + LINE * len(heights))
    canvas.text(title, (20, 14), 24, max_width=WIDTH - 40)
    canvas.text(value, (LEFT, TOP - 28), 18, INK, max_width=RIGHT - LEFT)
    for tick in np.linspace(0, 1, TICKS):
        at, y = low + (high - low) * tick, round(BOTTOM - tick * (PLOT - 1))
        canvas.fill((LEFT - 5, y, 5, 1), MUTED)
        canvas.text(label(math.exp(at) if measured.logarithmic else at), (LEFT - 8, y), 16, MUTED, "midright")
    slot = (RIGHT - LEFT) / len(places)
    for index, place in enumerate(places):
        canvas.text(place, (LEFT + (index + 0.5) * slot, BOTTOM + 6), 16, MUTED, "midtop", slot - 6)
    canvas.text(across, ((LEFT + RIGHT) / 2, BOTTOM + 28), 18, INK, "midtop")
    step = min(0.1, 0.6 / len(heights))
    for order, (line, ends) in enumerate(heights.items()):
        colour, sign = COLOURS[order % len(COLOURS)], MARKS[order % len(MARKS)]
        across_at = np.arange(len(places)) + 0.5 + (order - (len(heights) - 1) / 2) * step
        for at, (_, lower, upper) in zip(across_at, ends, strict=True):
            if math.isfinite(upper - lower):
                top, foot = (BOTTOM - (edge - low) / (high - low) * PLOT for edge in (upper, lower))
                canvas.fill((round(LEFT + at * slot) - 1, round(top), 2, max(1, round(foot - top))), colour)
        if across and len(places) > 1:
            rect = round(LEFT + across_at[0] * slot), TOP, round((len(places) - 1) * slot), PLOT
            canvas.curve(ends[:, 0], rect, colour, low, high, framed=False)
        limits = (0.0, float(len(places)), low, high)
        canvas.points(np.stack([across_at, ends[:, 0]], 1), PLACE, [colour], 6, limits, sign)
        y = BOTTOM + 58 + LINE * order
        canvas.points([[0.5, 0.5]], (LEFT, y, 20, 20), [colour], 6, (0.0, 1.0, 0.0, 1.0), sign)
        canvas.text(line, (LEFT + 30, y), 18, INK, max_width=RIGHT - LEFT - 30)
    canvas.save_png(path)


def label(value: float) -> str:
    """A number on the axis, of two digits; with an exponent where it is very small."""
    return f"{value:.0e}" if 0 < abs(value) < 1e-3 else number(float(f"{value:.2g}"))
