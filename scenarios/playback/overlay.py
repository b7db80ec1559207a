"""What stands around the picture: who plays, how it goes, what to press, and how an episode ended."""

from __future__ import annotations

from dataclasses import dataclass

from ...envs.drawing.canvas import ACCENT, INK, MUTED, Canvas
from ...envs.drawing.wording import number

HEADER = 62  # pixels above the picture
LINE = 26  # pixels of a line below it


@dataclass(frozen=True)
class Told:
    """How it goes.

    Attributes:
        player: who plays.
        episode: its number, from 1.
        episodes: how many there will be.
        step: steps taken in it.
        total: its return so far.
        reward: the last one, None before the first.
        ended: whether it is over.
    """

    player: str
    episode: int
    episodes: int
    step: int
    total: float
    reward: float | None
    ended: bool


def draw_header(canvas: Canvas, told: Told) -> None:
    """Player and episode on one line, step, last reward and return on the next."""
    canvas.text(told.player, (12, 18), 24, INK, "midleft", canvas.width - 180)
    canvas.text(f"episode {told.episode} of {told.episodes}", (canvas.width - 12, 18), 22, INK, "midright", 160)
    canvas.text(f"step {told.step}", (12, 44), 22, MUTED, "midleft", 110)
    if told.reward is not None:
        canvas.text(f"last reward {number(told.reward)}", (canvas.width // 2, 44), 22, MUTED, "center", 200)
    canvas.text(f"return {number(told.total)}", (canvas.width - 12, 44), 22, INK, "midright", 150)
    canvas.fill((0, HEADER - 2, canvas.width, 1), MUTED)


def draw_card(canvas: Canvas, told: Told, top: int, height: int, next_: str) -> None:
    """The end of an episode: its return and length, and what to press."""
    canvas.outline((10, top + 2, canvas.width - 20, height - 6), ACCENT, 3)
    middle = canvas.width // 2
    steps = "1 step" if told.step == 1 else f"{told.step} steps"
    canvas.text(
        f"Episode {told.episode} is over: return {number(told.total)} in {steps}", (middle, top + 26), 26, INK, "center"
    )
    canvas.text(next_, (middle, top + 54), 22, INK, "center", canvas.width - 40)
