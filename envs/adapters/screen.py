"""Where an adapter shows its one environment: nowhere, as a picture in memory, or in a window at its own pace."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks.options import choice
from ..core.game import Game
from ..core.task import Task
from ..drawing.canvas import Canvas
from ..drawing.text_canvas import TextCanvas

FRAMES_PER_SECOND = 4
RENDER_MODES = ("human", "rgb_array", "ansi")


class Screen:
    """The pictures of one environment.

    A copy of it, and one that was pickled, draws anew: pictures and windows are not copied.

    Args:
        task: the rules, which draw.
        mode: None, "rgb_array", "human", or "ansi" for a player's view as lines of text (of a game, a spectator's).

    Raises:
        InvalidInput: an unknown mode.
    """

    def __init__(self, task: Task[Any], mode: str | None) -> None:
        self.mode = None if mode is None else choice(f"{task.name}: render_mode", mode, RENDER_MODES)
        self.task = task
        self._canvas: Canvas | None = None
        self._due = 0.0  # when the window may show its next picture, in seconds of the monotonic clock

    @property
    def canvas(self) -> Canvas:
        """What the environment is drawn on."""
        if self._canvas is None:
            if self.mode == "ansi":
                self._canvas = TextCanvas(spectator=isinstance(self.task, Game))
            else:
                self._canvas = Canvas(window=self.mode == "human", caption=f"Palaestra: {self.task.name}")
        return self._canvas

    def render(self, state: Callable[[], Any]) -> NDArray[np.uint8] | str | None:
        """The state of one environment as (480, 480, 3) uint8, as text, or in the window."""
        if self.mode is None:
            return None
        self.canvas.clear()
        self.task.draw(state(), self.canvas)
        if isinstance(self.canvas, TextCanvas):
            return "\n".join(self.canvas.lines())
        if self.mode == "rgb_array":
            return self.canvas.frame()
        self.canvas.show()
        return None

    def show(self, state: Callable[[], Any], frames_per_second: float) -> None:
        """In a window, the state after a reset or a step, which stays for as long as a frame lasts."""
        if self.mode != "human":
            return
        time.sleep(max(0.0, self._due - time.monotonic()))
        self.render(state)
        self._due = time.monotonic() + 1 / frames_per_second

    def close(self) -> None:
        """Closes the window, if there is one."""
        if self._canvas is not None:
            self._canvas.close()
            self._canvas = None

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the canvas."""
        return self.__dict__ | {"_canvas": None}
