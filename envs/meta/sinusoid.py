"""Sinusoid: guess the values of a sine wave from the points seen before."""

from __future__ import annotations

import math
from dataclasses import dataclass

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..checks.options import integer
from ..core.task import ProblemTask, Step
from ..drawing.canvas import ACCENT, BAD, GOOD, INK, MUTED, Canvas
from ..drawing.wording import fixed

AMPLITUDE, PHASE, REACH = (0.1, 5.0), (0.0, math.pi), 5.0  # x lies in [-REACH, REACH]


@dataclass(frozen=True)
class SinusoidState:
    """The wave, the question, and the points seen.

    Attributes:
        wave: (B, 2) float32 amplitude and phase.
        x: (B,) float32 where the value is asked for.
        seen: (B, N, 2) float32 the points shown so far, the newest last; NaN before there are as many.
        guess: (B,) float32 the last prediction, NaN before the first.
        time: (B,) int64 predictions made.
    """

    wave: Tensor
    x: Tensor
    seen: Tensor
    guess: Tensor
    time: Tensor


class Sinusoid(ProblemTask[SinusoidState, Tensor]):
    """Guess the values of a sine wave from the points seen before.

    Few-shot regression: an x is shown, its y predicted, and then the true y is shown with the next x.

    Isolates learning a function from a handful of points. A problem is one wave, y = amplitude sin(x - phase), with
    amplitude uniform on [0.1, 5] and phase on [0, pi]; x is uniform on [-5, 5]. The registered environment is a `Trial`
    of two episodes on the same wave; ``episodes=1`` is a single one.

    Observation: (4,) float32: x; the point before it, x and y (0 before there is one); 1 if there is one, else 0.
    Action: Box(-1, 1, (1,)), the predicted y as a share of 5.
    Reward: minus the squared error.
    Episode: terminates after `points` predictions.
    Metrics: absolute_error.
    Expert: the true y, which it computes from the state's wave: return 0, a bound that only an agent which needs no
        points would reach. Predicting 0 returns -4.25 a point and uniform guesses -12.6; over the `Trial` of two
        episodes of ten points, -85 and -252.
    Source: Finn et al. (2017), section 5.1.

    Args:
        points: predictions of an episode.
    """

    trial_episodes = 2
    variants = ({"episodes": 1}, {"points": 5, "episodes": 3})

    sample_noise = 2
    begin_noise = 1
    step_noise = 1

    def __init__(self, *, points: int = 10) -> None:
        super().__init__()
        self.horizon = integer("Sinusoid: points", points, 1, 1000)
        highest = np.array([REACH, REACH, AMPLITUDE[1], 1], np.float32)
        lowest = highest * np.array([-1, -1, -1, 0], np.float32)
        self.observation_space = spaces.Box(lowest, highest, dtype=np.float32)
        self.action_space = spaces.Box(-1, 1, (1,), np.float32)

    def sample(self, noise: Tensor) -> Tensor:
        """Amplitude and phase, (B, 2)."""
        return torch.stack([_within(AMPLITUDE, noise[:, 0]), _within(PHASE, noise[:, 1])], 1)

    def begin(self, problem: Tensor, noise: Tensor) -> SinusoidState:
        """The first x."""
        seen = problem.new_full((len(problem), self.horizon, 2), torch.nan)
        time = torch.zeros(len(problem), dtype=torch.int64, device=problem.device)
        return SinusoidState(problem, _within((-REACH, REACH), noise[:, 0]), seen, seen[:, 0, 0], time)

    def step(self, state: SinusoidState, action: Tensor, noise: Tensor) -> Step[SinusoidState]:
        """Judges the prediction and shows the point and the next x."""
        guess, y, time = AMPLITUDE[1] * action[:, 0], _value(state.wave, state.x), state.time + 1
        error = guess - y
        seen = torch.cat([state.seen[:, 1:], torch.stack([state.x, y], 1)[:, None]], 1)
        following = SinusoidState(state.wave, _within((-REACH, REACH), noise[:, 0]), seen, guess, time)
        return Step(following, -error * error, time >= self.horizon, {"absolute_error": error.abs()})

    def observe(self, state: SinusoidState) -> Tensor:
        """x, the last point, and whether there is one, (B, 4)."""
        known = (state.time > 0).float()[:, None]
        return torch.cat([state.x[:, None], state.seen[:, -1].nan_to_num(), known], 1)

    def expert(self, state: SinusoidState) -> Tensor:
        """The wave's value."""
        return (_value(state.wave, state.x)[:, None] / AMPLITUDE[1]).clamp(-1, 1)

    def draw(self, state: SinusoidState, canvas: Canvas) -> None:
        """The hidden wave, the points seen, the last guess, and a line at the x asked for now."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        middle, area = canvas.width // 2, (40, 80, canvas.width - 80, canvas.height - 180)
        limits = (-REACH, REACH, -1.1 * AMPLITUDE[1], 1.1 * AMPLITUDE[1])
        x = torch.linspace(-REACH, REACH, 400, device=state.wave.device)
        canvas.text("How high is the hidden wave at the line?", (middle, 55), size=22, anchor="center")
        place = area[0] + (float(state.x) + REACH) / (2 * REACH) * (area[2] - 1)
        canvas.outline((place - 1, area[1], 2, area[3]), MUTED)
        canvas.points(torch.stack([x, _value(state.wave[None], x)], 1), area, [MUTED], 1, limits)
        canvas.points(state.seen, area, [ACCENT], 6, limits)
        bottom, told, colour = canvas.height, "nothing seen yet", INK
        if int(state.time):
            (x_before, y), guess = state.seen[-1].tolist(), float(state.guess)
            colour = GOOD if abs(guess - y) < 0.5 else BAD
            canvas.points([[x_before, guess]], area, [colour], 7, limits, "cross")
            told = f"last guess {fixed(guess, 2)} (cross), it was {fixed(y, 2)}"
        canvas.text(told, (middle, bottom - 70), size=26, colour=colour, anchor="center")
        canvas.text(f"point {int(state.time)} of {self.horizon}", (middle, bottom - 30), 20, MUTED, "center")

    def draw_seen(self, observation: Tensor, canvas: Canvas) -> None:
        """The point seen last, and a line at the x asked for."""
        middle, (x, x_before, y, known) = canvas.width // 2, observation.tolist()
        canvas.text("How high is the hidden wave at the line?", (middle, 55), size=26, anchor="center")
        spans = (-REACH, REACH), (-AMPLITUDE[1], AMPLITUDE[1])
        left, top, width, height = canvas.axes((20, 75, 440, 350), *spans, ("x", "y"))
        canvas.fill((left + (x + REACH) / (2 * REACH) * (width - 1) - 1, top, 3, height), MUTED)
        told = f"asked: y at x = {fixed(x, 2)}"
        if known:
            canvas.points([[x_before, y]], (left, top, width, height), [ACCENT], 7, (*spans[0], *spans[1]))
            told += f"      before: y = {fixed(y, 2)} at x = {fixed(x_before, 2)}"
        canvas.text(told, (middle, 450), size=24, anchor="center")

    def entries(self) -> list[str]:
        """The height as a share of the largest."""
        return [f"y / {AMPLITUDE[1]:g}"]


def _within(limits: tuple[float, float], noise: Tensor) -> Tensor:
    return limits[0] + (limits[1] - limits[0]) * noise


def _value(wave: Tensor, x: Tensor) -> Tensor:
    return wave[:, 0] * torch.sin(x - wave[:, 1])
