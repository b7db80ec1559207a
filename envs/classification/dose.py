"""Dose: fit a hidden curve from few noisy rows, and be scored on rows never seen."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..checks.options import choice, flag, integer, number
from ..core.splits import SPLITS
from ..core.task import Step, Task
from ..drawing.canvas import ACCENT, BAD, GOOD, INK, MUTED, Canvas
from ..drawing.wording import fixed
from .sources.curves import REACH, curve, draw_rows

HELD_OUT = {"validation": 200, "test": 1000}
"""Rows of the splits that are not for training."""


@dataclass(frozen=True)
class DoseState:
    """The patient, and the dose given.

    Attributes:
        row: (B,) int64 the patient's row among those of the split.
        given: (B,) float32 the dose given, NaN before.
    """

    row: Tensor
    given: Tensor


class Dose(Task[DoseState]):
    """Give a patient the dose that a hidden curve and chance ask for.

    Regression as a contextual bandit: a measure x is seen, a dose given, its squared distance from the right one paid.

    Isolates fitting: with few rows a flexible learner fits their noise (over-fitting), a stiff one misses the curve
    (under-fitting), and only rows that it never saw tell. The right dose of a row is y = f(x) + e, with f a fixed
    polynomial of the degree asked for, within [-0.8, 0.8], x uniform on [-1, 1] and e normal.

    Observation: (1,) float32, the measure x in [-1, 1].
    Action: Box(-1, 1, (1,)), the dose as a share of 1.5.
    Reward: minus the squared distance from the right dose.
    Episode: terminates after one dose.
    Metrics: excess, the squared distance from the curve itself: its mean over the test split is squared bias plus
        variance, without the noise that nobody can foresee.
    Expert: in training the row's own right dose, which is the label that imitation learns from (return 0); on the other
        splits the curve, which nobody beats on average (return -`noise`^2, for the default -0.01). A uniform dose
        returns about -0.9.
    Source: polynomial curve fitting as in Bishop (2006), section 1.1.

    Args:
        rows: training rows, from 2 to 100,000; 6, 30 and 300 show too few, few and enough.
        degree: of the polynomial, from 0 to 12.
        noise: deviation of e, from 0 to 1.
        heteroscedastic: let the deviation grow from 0 at x = -1 to twice `noise` at x = 1.
        outliers: share of training rows whose dose is uniform on [-1.5, 1.5] instead, from 0 to 0.5.
        split: "train", "validation" (200 rows) or "test" (1,000 rows), of the same curve, the same for everyone.

    Raises:
        InvalidInput: an unknown split, or a number outside its limits.
    """

    variants = (
        {"split": "test"},
        {"rows": 6, "split": "test"},
        {"rows": 300, "degree": 7, "heteroscedastic": True, "split": "validation"},
        {"rows": 300, "outliers": 0.2},
    )

    horizon = 1
    reset_noise = 1
    still = True
    x: Tensor
    y: Tensor
    mean: Tensor

    def __init__(
        self,
        *,
        rows: int = 30,
        degree: int = 4,
        noise: float = 0.1,
        heteroscedastic: bool = False,
        outliers: float = 0.0,
        split: str = "train",
    ) -> None:
        super().__init__()
        integer("Dose: rows", rows, 2, 100_000)
        integer("Dose: degree", degree, 0, 12)
        number("Dose: noise", noise, 0, 1)
        flag("Dose: heteroscedastic", heteroscedastic)
        number("Dose: outliers", outliers, 0, 0.5)
        self.training = choice("Dose: split", split, SPLITS) == "train"
        self.coefficients = curve(degree)
        count = rows if self.training else HELD_OUT[split]
        share = outliers if self.training else 0.0
        found = draw_rows(self.coefficients, count, split, noise, growing=heteroscedastic, outliers=share)
        for name, values in zip(("x", "y", "mean"), found, strict=True):
            self.register_buffer(name, torch.from_numpy(values.astype(np.float32)), persistent=False)
        self.observation_space = spaces.Box(-1, 1, (1,), np.float32)
        self.action_space = spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, noise: Tensor) -> DoseState:
        """A row drawn uniformly."""
        row = (noise[:, 0] * len(self.x)).long()
        return DoseState(row, noise.new_full((len(row),), torch.nan))

    def step(self, state: DoseState, action: Tensor, noise: Tensor) -> Step[DoseState]:
        """Judges the dose."""
        given = REACH * action[:, 0]
        error = given - self.y[state.row]
        excess = (given - self.mean[state.row]).square()
        ended = torch.ones_like(state.row, dtype=torch.bool)
        return Step(DoseState(state.row, given), -error.square(), ended, {"excess": excess})

    def observe(self, state: DoseState) -> Tensor:
        """The measure, (B, 1)."""
        return self.x[state.row][:, None]

    def expert(self, state: DoseState) -> Tensor:
        """The row's right dose in training, the curve's elsewhere, (B, 1)."""
        return (self.y if self.training else self.mean)[state.row][:, None].clamp(-REACH, REACH) / REACH

    def draw(self, state: DoseState, canvas: Canvas) -> None:
        """The hidden curve, the split's rows, the patient's measure as a line; after the dose what was right."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        x, y = float(self.x[state.row]), float(self.y[state.row])
        plane = self._plane(x, canvas)
        limits = (-1.0, 1.0, -REACH, REACH)
        places = np.linspace(-1, 1, 400)
        hidden = np.polynomial.chebyshev.chebval(places, self.coefficients)
        canvas.points(np.stack([places, hidden], 1), plane, [MUTED], 1, limits)
        canvas.points(torch.stack([self.x, self.y], 1)[:200], plane, [ACCENT], 3, limits)
        told, colour = "hidden: the curve (grey line) and the rows (dots)", INK
        given = float(state.given)
        if np.isfinite(given):
            colour = GOOD if abs(given - y) < 0.3 else BAD
            canvas.points([[x, y]], plane, [INK], 7, limits)
            canvas.points([[x, given]], plane, [colour], 8, limits, "cross")
            told = f"dose {fixed(given, 2)} (cross), right was {fixed(y, 2)} (dot)"
        canvas.text(told, (canvas.width // 2, 450), size=24, colour=colour, anchor="center")

    def draw_seen(self, observation: Tensor, canvas: Canvas) -> None:
        """The patient's measure as a line."""
        x = float(observation[0])
        self._plane(x, canvas)
        told = f"the patient's measure is {fixed(x, 2)}: which dose is right?"
        canvas.text(told, (canvas.width // 2, 450), size=24, anchor="center")

    def _plane(self, x: float, canvas: Canvas) -> tuple[int, int, int, int]:
        """Title and axes with a line at x; returns the area between the axes."""
        canvas.text("How much does this patient need?", (canvas.width // 2, 40), size=28, anchor="center")
        left, top, width, height = canvas.axes((20, 65, 440, 355), (-1, 1), (-REACH, REACH), ("measure", "dose"))
        canvas.fill((round(left + (x + 1) / 2 * (width - 1)) - 1, top, 3, height), MUTED)
        return left, top, width, height

    def entries(self) -> list[str]:
        """The dose as a share of the largest."""
        return [f"dose / {REACH:g}"]
