"""Adding: of a long row of numbers two are marked; say their sum at the end."""

from __future__ import annotations

import math
from dataclasses import dataclass

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..checks.options import integer
from ..core.task import Step, Task
from ..drawing.canvas import ACCENT, GOOD, MUTED, Canvas

CLOSE = 0.08  # an error in half the sum that counts as right
SPREAD = 6.0  # 1 / the variance of half the sum of two numbers that are uniform on [-1, 1]


@dataclass(frozen=True)
class AddingState:
    """The whole row, where its marks are, and the answer.

    Attributes:
        values: (B, length) float32 in [-1, 1), the numbers in the order in which they are shown.
        marks: (B, 2) int64 the places of the two that are marked, one in each half.
        time: (B,) int64 steps taken.
        answer: (B,) float32 what was answered; NaN before.
    """

    values: Tensor
    marks: Tensor
    time: Tensor
    answer: Tensor

    @property
    def half_sum(self) -> Tensor:
        """(B,) half the sum of the marked numbers; of one environment without its axis, ()."""
        return self.values.gather(-1, self.marks).sum(-1) / 2


class Adding(Task[AddingState]):
    """Say at the end of a long row of numbers what the two marked ones add up to.

    Isolates memory of real numbers over long and changing gaps: what matters is rare, and all the rest is to be let by.
    The numbers are uniform on [-1, 1) and shown one a step; one mark falls anywhere in the first half of the row and
    one anywhere in the second.

    Observation: (2,) float32: the number shown, and 1 where it is marked, 0 where not; (0, -1) once the row has ended
        and the sum is asked for.
    Action: Box(-1, 1, (1,)), half the sum of the marked numbers; ignored while numbers are shown.
    Reward: 1 - 6 times the squared error of the answer, 0 while numbers are shown. The mean return is the coefficient
        of determination: 1 for the right sums and 0 for always answering 0, the mean.
    Episode: terminates with the answer, after length + 1 steps.
    Metrics: correct, whether the answer is off by less than 0.08; error, how much it is off.
    Expert: return 1. While numbers are shown it says half the sum of the marked ones so far, the best guess from what
        was seen. Uniformly random answers return -2.
    Source: the adding problem of Hochreiter and Schmidhuber (1997), whose target is 0.5 + half_sum / 2 and who count an
        error of 0.04 in it as right; a mark in each half as in Le, Jaitly and Hinton (2015).

    Args:
        length: how many numbers are shown.
    """

    variants = ({"length": 20},)

    reset_noise: int

    def __init__(self, *, length: int = 100) -> None:
        super().__init__()
        self.length = integer("Adding: length", length, 2, 10_000)
        self.horizon = self.length + 1
        self.reset_noise = self.length + 2
        self.observation_space = spaces.Box(-1, 1, (2,), np.float32)
        self.action_space = spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, noise: Tensor) -> AddingState:
        """The numbers, then a mark in each half."""
        first = self.length // 2
        early = (noise[:, -2] * first).long()
        late = first + (noise[:, -1] * (self.length - first)).long()
        values = (2 * noise[:, :-2] - 1).float()
        answer = torch.full_like(values[:, 0], torch.nan)
        return AddingState(values, torch.stack([early, late], 1), torch.zeros_like(early), answer)

    def step(self, state: AddingState, action: Tensor, noise: Tensor) -> Step[AddingState]:
        """Shows the next number, or judges the answer."""
        asked = state.time >= self.length
        answer = action[:, 0]
        error = (answer - state.half_sum).abs()
        reward = torch.where(asked, 1 - SPREAD * error.square(), 0.0)
        metrics = {
            "correct": (error < CLOSE).float().masked_fill(~asked, torch.nan),
            "error": error.masked_fill(~asked, torch.nan),
        }
        answer = answer.masked_fill(~asked, torch.nan)
        return Step(AddingState(state.values, state.marks, state.time + 1, answer), reward, asked, metrics)

    def observe(self, state: AddingState) -> Tensor:
        """The number and its mark, (B, 2)."""
        ended = state.time >= self.length
        value = state.values.gather(1, state.time.clamp(max=self.length - 1)[:, None])[:, 0]
        mark = (state.marks == state.time[:, None]).any(1).float()
        return torch.stack([value.masked_fill(ended, 0.0), mark.masked_fill(ended, -1.0)], 1)

    def expert(self, state: AddingState) -> Tensor:
        """Half the sum of the marked numbers shown so far, (B, 1)."""
        seen = state.marks <= state.time[:, None]
        return torch.where(seen, state.values.gather(1, state.marks), 0.0).sum(1, keepdim=True) / 2

    def draw(self, state: AddingState, canvas: Canvas) -> None:
        """The row so far with its marked numbers, and the answer beside the truth."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        middle, time, ended = canvas.width // 2, int(state.time), int(state.time) >= self.length
        told = "Say what the marked numbers add up to" if ended else "Remember the two marked numbers"
        canvas.text(told, (middle, 30), size=30, anchor="center")
        area = canvas.axes((20, 60, 440, 250), (1, self.length), (-1, 1), ("place in the row", "number"), (2, 3))
        limits = (0.5, self.length + 0.5, -1.05, 1.05)
        shown = state.values[: time + 1]
        places = torch.arange(1, len(shown) + 1, dtype=shown.dtype)
        row = torch.stack([places, shown], 1)
        canvas.points(row, area, (MUTED,), 2 if self.length > 40 else 3, limits)
        marks = [mark for mark in state.marks.tolist() if mark <= time]
        if marks:
            canvas.points(row[marks], area, (ACCENT,), 8, limits, "ring")
        if not ended:
            canvas.text(
                f"number {time + 1} of {self.length}: {float(shown[-1]):.2f}", (middle, 335), 26, anchor="center"
            )
        for k, mark in enumerate(marks):
            told = f"marked at place {mark + 1}: {float(state.values[mark]):+.2f}"
            canvas.text(told, (20 + 230 * k, 365), 22, ACCENT)
        if not math.isnan(float(state.answer)):
            truth, answer = 2 * float(state.half_sum), 2 * float(state.answer)
            canvas.verdict(abs(answer - truth) < 2 * CLOSE, (90, 395, 300, 75))
            canvas.text(f"answer {answer:+.2f}", (middle, 418), 26, anchor="center")
            canvas.text(f"the sum is {truth:+.2f}", (middle, 448), 26, anchor="center")
        elif ended:
            canvas.text("the sum is asked for now", (middle, 430), 26, anchor="center")

    def draw_seen(self, observation: Tensor, canvas: Canvas) -> None:
        """The number shown now on a scale, and whether it is marked."""
        middle, (value, mark) = canvas.width // 2, observation.tolist()
        if mark < 0:
            canvas.text("What do the two marked numbers add up to?", (middle, 180), 28, anchor="center")
            canvas.text("the action is half of their sum", (middle, 230), 24, MUTED, "center")
            return
        canvas.text("Remember the two marked numbers", (middle, 40), 30, anchor="center")
        canvas.text(f"{value:+.2f}", (middle, 150), 90, anchor="center")
        if mark:
            canvas.outline((middle - 150, 90, 300, 120), GOOD, 6)
            canvas.text("marked", (middle, 235), 34, GOOD, "center")
        else:
            canvas.text("not marked", (middle, 235), 26, MUTED, "center")
        canvas.outline((40, 290, 400, 40), MUTED)
        canvas.fill((240 + min(0.0, 200 * value), 290, max(2.0, 200 * abs(value)), 40), GOOD if mark else ACCENT)
        for x, text in ((40, "-1"), (240, "0"), (440, "1")):
            canvas.text(text, (x, 350), 22, MUTED, "center")
        canvas.text("they add up to what is asked for in the end", (middle, 420), 22, MUTED, "center")

    def entries(self) -> list[str]:
        """Half the sum."""
        return ["half the sum"]
