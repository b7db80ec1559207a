"""The panel beside the picture: what is seen, what the agent would do, what it expects, and what it remembers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ...envs.core.tree import tree_map
from ...envs.drawing.canvas import ACCENT, GOOD, INK, MUTED, Canvas
from ...envs.drawing.choices import Choice
from ...envs.drawing.pictures import draw_observation
from ...envs.drawing.wording import number
from .timeline import Timeline

WIDTH = 320  # pixels
SEEN, MOST_SEEN = 190, 300  # pixels of the observation: of one part or two, and at most
PART = 76  # pixels of each of several parts
MOST_BARS = 8
MOST_REMEMBERED = 512  # numbers of a memory that are shown
COLUMNS = 32
ROW = 24


class Details:
    """Draws the panel.

    Args:
        space: of the observation.
        choices: what the actions are called; empty for their numbers.
        height: pixels.
    """

    def __init__(self, space: spaces.Space[Any], choices: Sequence[Choice], height: int) -> None:
        self.space, self.height = space, height
        self.names = {one.action: one.label for one in choices if isinstance(one.action, int)}
        parts = len(space.spaces) if isinstance(space, spaces.Dict) else 1
        self.seen = min(max(SEEN, PART * parts), MOST_SEEN)
        self.canvas = Canvas(WIDTH, height)

    def draw(self, timeline: Timeline) -> np.ndarray[Any, Any]:
        """The panel of the moment that is shown, (height, 320, 3) uint8."""
        canvas, moment = self.canvas, timeline.now
        canvas.clear()
        canvas.fill((0, 0, 1, self.height), MUTED)
        seen = Canvas(WIDTH - 20, self.seen, spectator=False)
        try:
            draw_observation(self.space, tree_map(lambda part: part[0].cpu(), moment.observation), seen)
        except (RuntimeError, ValueError, TypeError):  # somebody's own kind of observation
            seen.text("no picture of this observation", (seen.width // 2, self.seen // 2), 18, MUTED, "center")
        self._title("observation", 14)
        canvas.image(seen.frame(), (10, 24, WIDTH - 20, self.seen))
        top = 24 + self.seen + 16
        thought = moment.thought
        known = None if thought is None else thought.probabilities
        values = None if thought is None else thought.action_values
        if known is not None:
            top = self._bars("probability of each action", known[0], top, 1.0)
        elif values is not None:
            top = self._bars("value of each action", values[0], top, None)
        top = self._course(timeline, top)
        if moment.memory:
            self._memory(moment.memory, top)
        return canvas.frame()

    def _title(self, text: str, y: int) -> None:
        self.canvas.text(text, (12, y), 18, MUTED, "midleft", WIDTH - 24)

    def _bars(self, title: str, values: Tensor, top: int, whole: float | None) -> int:
        """The largest of some numbers as bars with their names; returns where they end."""
        best = values.argsort(descending=True)[:MOST_BARS]
        order = best[values[best].isfinite()].tolist()  # what is not allowed is worth minus infinity
        more = f", the first {MOST_BARS} of {len(values)}" if len(values) > MOST_BARS else ""
        self._title(title + more, top)
        low = 0.0 if whole is not None else min(0.0, float(values[order].min()))
        span = (whole if whole is not None else float(values[order].max())) - low or 1.0
        for place, action in enumerate(order):
            y, value = top + 12 + place * ROW, float(values[action])
            name = self.names.get(action, str(action))
            self.canvas.text(name, (96, y + ROW // 2), 18, INK, "midright", 84)
            width = round((WIDTH - 180) * min(max((value - low) / span, 0.0), 1.0))
            self.canvas.fill((104, y + 4, max(width, 1), ROW - 8), GOOD if place == 0 else ACCENT)
            self.canvas.text(number(round(value, 3)), (112 + width, y + ROW // 2), 18, INK, "midleft")
        return top + 12 + len(order) * ROW + 14

    def _course(self, timeline: Timeline, top: int) -> int:
        """The return so far and what was expected, over the episode."""
        returns, values = timeline.returns(), timeline.values()
        expected = f"; value {number(values[-1])}" if values and values[-1] == values[-1] else ""
        self._title(f"return {number(returns[-1])}{expected}", top)
        lines = [np.array(line) for line in (returns, values) if len(line) > 1]
        if not lines:
            return top + 18
        both = np.concatenate(lines)
        low, high = float(np.nanmin(both)), float(np.nanmax(both))
        low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
        rect = (12, top + 12, WIDTH - 24, 64)
        for place, line in enumerate(lines):
            self.canvas.curve(line, rect, (INK, ACCENT)[place], low, high, width=4 - 2 * place, framed=place == 0)
        if len(lines) > 1:
            self._title("black, bold: return; blue, thin: value", top + 86)
            return top + 108
        return top + 92

    def _memory(self, memory: tuple[Tensor, ...], top: int) -> None:
        """All numbers of a memory as cells from the lowest, black, to the highest, white."""
        numbers = torch.cat([part.flatten().float().cpu() for part in memory])
        shown = numbers[:MOST_REMEMBERED]
        more = f", the first {len(shown)} of {len(numbers):,}" if len(numbers) > len(shown) else f", {len(numbers)}"
        self._title(f"memory{more} numbers from {number(float(shown.min()))} to {number(float(shown.max()))}", top)
        rows = -(-len(shown) // COLUMNS)
        cells = torch.full((rows * COLUMNS,), float("nan"))
        cells[: len(shown)] = (shown - shown.min()) / (shown.max() - shown.min()).clamp(min=1e-12)
        grey = (cells.nan_to_num(0.9).reshape(rows, COLUMNS) * 255).round().to(torch.uint8)
        room = min(9 * rows, self.height - top - 16)
        if room > 0:
            self.canvas.image(grey, (12, top + 12, WIDTH - 24, room))
