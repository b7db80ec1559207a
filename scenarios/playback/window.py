"""The window: the picture between what stands above it and what a person acts with below, until it is closed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from ...envs.adapters.batched import BatchedEnv
from ...envs.drawing.canvas import ACCENT, INK, MUTED, PANEL, Canvas, Input
from .controls import Controls, choices_of
from .details import WIDTH, Details
from .overlay import HEADER, LINE, Told, draw_card, draw_header
from .timeline import Timeline

SIDE = 480  # pixels of the picture
CARD = 84  # pixels of the card at an episode's end, and of what is told of watching
SLOWEST, FASTEST, FASTER = 0.1, 60.0, 1.5  # frames a second, and the factor of one key press
TICK = 0.01  # seconds between two looks at keyboard and mouse
UNSEEN = 3.0  # seconds that a finished window waits where the display is none that anybody sees
FAR = 10  # steps of page up and page down
DETAILS = "f1"
BAR = 10  # pixels of the bar that shows where in the episode one is
WATCHING = "space: pause   left, right: one step   up, down: speed"
SEEKING = "page up, page down: ten steps   home, end, or click the bar"
ALWAYS = "f1: details   tab: next episode   backspace: again   esc: quit"


class Quit(Exception):
    """The person at the keyboard is done, or closed the window."""


class Next(Exception):
    """The next episode is asked for."""


class Again(Exception):
    """The present episode is to be played anew."""


class Seek(Exception):
    """Another moment of the present episode is asked for.

    Attributes:
        to: its number, counted from the oldest that is kept.
    """

    def __init__(self, to: int) -> None:
        super().__init__(to)
        self.to = to


class Window:
    """A window for one environment.

    Args:
        title: of the window.
        env: of one row.
        spectator: the view that is shown.
        controls: what a person acts with; None where an agent plays.
        rate: frames a second where an agent plays.
        details: whether the panel of details is open at first.
        room: pixels that other controls need, where people take turns.
    """

    def __init__(
        self,
        title: str,
        env: Any,
        spectator: bool,
        controls: Controls | None,
        rate: float,
        details: bool = False,
        room: int = 0,
    ) -> None:
        self.env, self.controls, self.rate, self.paused = env, controls, rate, False
        self.title, self.details = title, details
        self.top = HEADER + SIDE + 6  # of the strip below the picture
        self.strip = max(CARD, controls.height + LINE, room + LINE) if controls is not None else CARD
        self.picture = Canvas(SIDE, SIDE, spectator=spectator)
        self.main = Canvas(SIDE, self.height)
        self.panel = Details(env.observation_space, choices_of(env), self.height)
        self._open()
        self.told: Told | None = None
        self.timeline: Timeline | None = None
        self.last = False
        self._waiting: list[Input] = []

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return self.top + self.strip + LINE

    def _open(self) -> None:
        width = SIDE + (WIDTH if self.details else 0)
        self.canvas = Canvas(width, self.height, window=True, caption=f"Palaestra: {self.title}")

    def hand_over(self, controls: Controls, told: Told, draw: Callable[[Canvas], None]) -> Any:
        """What another person does now, who sees something else and acts with something else; see `act`."""
        own, before = self.controls, self.told
        self.controls, self.told = controls, told
        draw(self.picture)
        try:
            self._draw()
            return self.act()
        finally:
            self.controls, self.told = own, before

    def show(self, told: Told, timeline: Timeline, last: bool = False) -> None:
        """Draws the moment that a timeline shows, and the card where an episode has ended."""
        self.told, self.timeline, self.last = told, timeline, last
        draw_picture(self.env, self.picture)
        self._draw()

    def _draw(self) -> None:
        assert self.told is not None
        assert self.timeline is not None
        canvas, controls = self.main, self.controls
        middle = SIDE // 2
        canvas.clear()
        draw_header(canvas, self.told)
        canvas.image(self.picture.frame(), (0, HEADER, SIDE, SIDE))
        if self.told.ended and self.timeline.newest:
            further = "that was the last one; any key closes the window" if self.last else "any key: the next episode"
            draw_card(canvas, self.told, self.top, CARD - 8, further)
        elif controls is not None:
            controls.draw(canvas, self.top)
            canvas.text(controls.hint, (middle, self.top + controls.height + LINE // 2), 20, MUTED, "center", SIDE - 8)
        else:
            self._draw_watching(middle)
        canvas.text(ALWAYS, (middle, canvas.height - LINE // 2), 20, MUTED, "center", SIDE - 8)
        self.canvas.image(canvas.frame(), (0, 0, SIDE, self.height))
        if self.details:
            self.canvas.image(self.panel.draw(self.timeline), (SIDE, 0, WIDTH, self.height))
        if not self.canvas.show():
            raise Quit

    def _draw_watching(self, middle: int) -> None:
        """Where in the episode one is, how fast it goes, and the keys."""
        assert self.timeline is not None
        x, y, width, height = self._bar()
        self.main.fill((x, y, width, height), PANEL)
        behind = self.timeline.at / max(len(self.timeline.moments) - 1, 1)
        self.main.fill((x, y, max(4, round(width * behind)), height), ACCENT)
        state = "paused" if self.paused else f"{self.rate:.3g} frames a second"
        self.main.text(state, (middle, self.top + 26), 22, INK, "center")
        self.main.text(WATCHING, (middle, self.top + 50), 20, MUTED, "center", SIDE - 8)
        self.main.text(SEEKING, (middle, self.top + 72), 20, MUTED, "center", SIDE - 8)

    def _bar(self) -> tuple[int, int, int, int]:
        return 12, self.top, SIDE - 24, BAR

    def act(self) -> Any:
        """What a person does now, as numbers or lists. Raises `Quit`, `Next` or `Again`."""
        assert self.controls is not None
        while True:
            one = self._input()
            self._session_key(one)
            action = self.controls.feed(one, self.main, self.top)
            if action is not None:
                return action
            self._draw()

    def pace(self) -> None:
        """Waits as long as a frame is to be seen, or while paused. Raises `Quit`, `Next`, `Again` or `Seek`."""
        since = time.monotonic()
        while self.paused or time.monotonic() - since < 1 / self.rate:
            one = self._input(wait=False)
            self._session_key(one)
            self._seek(one)
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
        """Waits at an episode's end: for a person's key, or a few frames of an agent's.

        Raises `Quit`, `Again` or `Seek`.
        """
        patience = 3 / self.rate if self.controls is None else math.inf
        if self.last:
            patience = UNSEEN if self.canvas.unseen else math.inf
        since = time.monotonic()
        while self.paused or time.monotonic() - since < patience:
            one = self._input(wait=False)
            if one.key == "backspace":
                raise Again
            self._seek(one)
            if one.key == "space" and self.controls is None and not self.last:
                self.paused = not self.paused
            elif one.kind in ("key", "press") and one.key != DETAILS:
                return

    def _seek(self, one: Input) -> None:
        """Goes to another moment where an agent plays; what is played goes on from there only when it is looked at."""
        if self.controls is not None or self.timeline is None:
            return
        at, end = self.timeline.at, len(self.timeline.moments) - 1
        places = {"left": at - 1, "page up": at - FAR, "page down": at + FAR, "home": 0, "end": end}
        to = places.get(one.key)
        if one.kind in ("press", "drag"):
            x, y, width, height = self._bar()
            if x <= one.place[0] < x + width and y <= one.place[1] < y + height:
                to = round((one.place[0] - x) / (width - 1) * end)
        if to is not None:
            self.paused = True
            raise Seek(to)

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
                if one.key == DETAILS:
                    self.details = not self.details
                    self._open()
                    self._draw()
                return one
            if self.canvas.closed:
                raise Quit
            time.sleep(TICK)
            if not wait:
                return Input("")

    def close(self) -> None:
        """Closes it."""
        self.canvas.close()


def draw_picture(env: Any, picture: Canvas) -> None:
    """Draws what an environment of one row shows now."""
    picture.clear()
    if isinstance(env, BatchedEnv):
        env.draw(0, picture)
    else:
        picture.image(env.frames()[0], (0, 0, picture.width, picture.height))
