"""The window: the picture between what stands above it and what a person acts with below, until it is closed."""

from __future__ import annotations

import math
import time
from typing import Any

from ...envs.adapters.batched import BatchedEnv
from ...envs.drawing.canvas import INK, MUTED, Canvas, Input
from .controls import Controls
from .overlay import HEADER, LINE, Told, draw_card, draw_header

SIDE = 480  # pixels of the picture
CARD = 76  # pixels of the card at an episode's end
SLOWEST, FASTEST, FASTER = 0.1, 60.0, 1.5  # frames a second, and the factor of one key press
TICK = 0.01  # seconds between two looks at keyboard and mouse
UNSEEN = 3.0  # seconds that a finished window waits where the display is none that anybody sees
WATCHING = "space: pause   right: one step   up, down: speed"
ALWAYS = "tab: next episode   backspace: again   esc: quit"


class Quit(Exception):
    """The person at the keyboard is done, or closed the window."""


class Next(Exception):
    """The next episode is asked for."""


class Again(Exception):
    """The present episode is to be played anew."""


class Window:
    """A window for one environment.

    Args:
        title: of the window.
        env: of one row.
        spectator: the view that is shown.
        controls: what a person acts with; None where an agent plays.
        rate: frames a second where an agent plays.
    """

    def __init__(self, title: str, env: Any, spectator: bool, controls: Controls | None, rate: float) -> None:
        self.env, self.controls, self.rate, self.paused = env, controls, rate, False
        self.top = HEADER + SIDE + 6  # of the strip below the picture
        self.strip = max(CARD, controls.height + LINE) if controls is not None else CARD
        self.picture = Canvas(SIDE, SIDE, spectator=spectator)
        self.canvas = Canvas(SIDE, self.top + self.strip + LINE, window=True, caption=f"Palaestra: {title}")
        self.told: Told | None = None
        self.last = False
        self._waiting: list[Input] = []

    def show(self, told: Told, last: bool = False) -> None:
        """Draws the present state, and the card where an episode has ended."""
        self.told, self.last = told, last
        self.picture.clear()
        if isinstance(self.env, BatchedEnv):
            self.env.draw(0, self.picture)
        else:
            self.picture.image(self.env.frames()[0], (0, 0, SIDE, SIDE))
        self._draw()

    def _draw(self) -> None:
        assert self.told is not None
        canvas, controls = self.canvas, self.controls
        middle = canvas.width // 2
        canvas.clear()
        draw_header(canvas, self.told)
        canvas.image(self.picture.frame(), (0, HEADER, SIDE, SIDE))
        if self.told.ended:
            further = "that was the last one; any key closes the window" if self.last else "any key: the next episode"
            draw_card(canvas, self.told, self.top, CARD, further)
        elif controls is not None:
            controls.draw(canvas, self.top)
            canvas.text(controls.hint, (middle, self.top + controls.height + LINE // 2), 20, MUTED, "center")
        else:
            state = "paused" if self.paused else f"{self.rate:.3g} frames a second"
            canvas.text(state, (middle, self.top + 20), 22, INK, "center")
            canvas.text(WATCHING, (middle, self.top + 52), 20, MUTED, "center")
        canvas.text(ALWAYS, (middle, canvas.height - LINE // 2), 20, MUTED, "center")
        if not canvas.show():
            raise Quit

    def act(self) -> Any:
        """What a person does now, as numbers or lists. Raises `Quit`, `Next` or `Again`."""
        assert self.controls is not None
        while True:
            one = self._input()
            self._session_key(one)
            action = self.controls.feed(one, self.canvas, self.top)
            if action is not None:
                return action
            self._draw()

    def pace(self) -> None:
        """Waits as long as a frame is to be seen, or while paused. Raises `Quit`, `Next` or `Again`."""
        since = time.monotonic()
        while self.paused or time.monotonic() - since < 1 / self.rate:
            one = self._input(wait=False)
            self._session_key(one)
            if one.key == "right":
                self.paused = True
                return
            if one.key == "space":
                self.paused = not self.paused
            elif one.key in ("up", "down"):
                faster = FASTER if one.key == "up" else 1 / FASTER
                self.rate = min(max(self.rate * faster, SLOWEST), max(self.rate, FASTEST))
            if one.kind:
                self._draw()

    def card(self) -> None:
        """Waits at an episode's end: for a person's key, or a few frames of an agent's. Raises `Quit` or `Again`."""
        patience = 3 / self.rate if self.controls is None else math.inf
        if self.last:
            patience = UNSEEN if self.canvas.unseen else math.inf
        since = time.monotonic()
        while self.paused or time.monotonic() - since < patience:
            one = self._input(wait=False)
            if one.key == "backspace":
                raise Again
            if one.key == "space" and self.controls is None and not self.last:
                self.paused = not self.paused
            elif one.kind in ("key", "press"):
                return

    @staticmethod
    def _session_key(one: Input) -> None:
        if one.key == "tab":
            raise Next
        if one.key == "backspace":
            raise Again

    def _input(self, wait: bool = True) -> Input:
        """The next thing that was done; where there is none yet, what comes, or after a tick one without a kind."""
        while True:
            self._waiting += self.canvas.inputs()
            if self._waiting:
                one = self._waiting.pop(0)
                if one.key == "escape":
                    raise Quit
                return one
            if self.canvas.closed:
                raise Quit
            time.sleep(TICK)
            if not wait:
                return Input("")

    def close(self) -> None:
        """Closes it."""
        self.canvas.close()
