"""Road: steer along a winding road, where small errors of steering add up."""

from __future__ import annotations

import math
from dataclasses import dataclass

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..checks.options import integer
from ..core.task import Step, Task
from ..drawing.canvas import ACCENT, BAD, GOOD, INK, MUTED, PANEL, Canvas

WIDE, NARROW = 0.4, 0.3  # how far the slow and the fast bends carry the road sideways
SHOULDER = 1.0  # the offset from which on a car is as far off as can be
FURTHEST = 4.0  # the offset at which a car is stopped
STRONGEST = 2.0  # how far full steering moves the car
TRACE = 12  # steps that a drawing shows


@dataclass(frozen=True)
class RoadState:
    """A car on a winding road.

    Attributes:
        offset: (B,) float32 its distance to the right of the road's middle.
        angle: (B,) float32 where in its bends the road is, in radians.
        trace: (B, TRACE) float32 the offsets of the last steps, the newest last; NaN before the first.
        time: (B,) int64 steps taken.
    """

    offset: Tensor
    angle: Tensor
    trace: Tensor
    time: Tensor


class Road(Task[RoadState]):
    """Steer along a winding road, whose bends carry the car off, from step to step.

    Isolates the compounding of errors in imitation: an expert that never errs never shows how to come back to the
    middle, so a learner's small errors carry it to where it has seen nothing (Ross, Gordon and Bagnell, 2011). The
    road's angle advances by up to 1 radian a step, and the bend is 0.4 sin(angle) + 0.3 sin(3 angle).

    Observation: (3,) float32: the offset to the right of the road's middle, sine and cosine of the road's angle.
    Action: Box(-1, 1, (1,)), how hard to steer to the left; 1 moves the car by 2. The bend moves it as well.
    Reward: minus the distance from the middle after the step, at most 1.
    Episode: truncated after `length` steps. The car is stopped 4 off the middle.
    Metrics: on_road, whether the car is within 1 of the middle.
    Expert: steers against bend and offset, so it is in the middle after every step: return 0. Random steering returns
        about -0.8 a step.
    Source: imitation's driving task since Pomerleau (1989); this one is Palaestra's own.

    Args:
        length: steps of an episode.
    """

    variants = ({"length": 16},)

    reset_noise = step_noise = 1

    def __init__(self, *, length: int = 64) -> None:
        super().__init__()
        self.horizon = integer("Road: length", length, 1)
        self.observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float32)
        self.action_space = spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, noise: Tensor) -> RoadState:
        """In the middle, anywhere in the bends."""
        angle = (2 * math.pi * noise[:, 0].double()).float()
        offset = torch.zeros_like(angle)
        trace = offset.new_full((len(offset), TRACE), torch.nan)
        return RoadState(offset, angle, trace, torch.zeros_like(offset, dtype=torch.int64))

    def step(self, state: RoadState, action: Tensor, noise: Tensor) -> Step[RoadState]:
        """The road bends, the car steers, and the next stretch of road comes."""
        moved = state.offset.double() + _bend(state.angle.double()) - STRONGEST * action[:, 0].double()
        offset = moved.clamp(-FURTHEST, FURTHEST).float()
        angle = (state.angle.double() + noise[:, 0].double()).float()
        trace = torch.cat([state.trace[:, 1:], state.offset[:, None]], 1)
        following = RoadState(offset, angle, trace, state.time + 1)
        away = offset.abs()
        ended = torch.zeros_like(offset, dtype=torch.bool)
        return Step(following, -away.clamp(max=SHOULDER), ended, {"on_road": (away < SHOULDER).float()})

    def observe(self, state: RoadState) -> Tensor:
        """Offset and the road's angle, (B, 3)."""
        angle = state.angle.double()
        return torch.stack([state.offset, angle.sin().float(), angle.cos().float()], 1)

    def expert(self, state: RoadState) -> Tensor:
        """Against bend and offset, (B, 1)."""
        needed = state.offset.double() + _bend(state.angle.double())
        return (needed / STRONGEST).clamp(-1, 1).float()[:, None]

    def draw(self, state: RoadState, canvas: Canvas) -> None:
        """The road from above with the car on it and where it was, the bend that comes and how far off it is."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        middle, offset = canvas.width // 2, float(state.offset)
        canvas.text("Steer along the bends, keep to the middle", (middle, 25), 28, anchor="center")
        _road(offset, float(_bend(state.angle.double())), canvas, state.trace.tolist())
        colour = GOOD if abs(offset) < SHOULDER else BAD
        told = f"{abs(offset):.2f} {'right' if offset >= 0 else 'left'} of the middle"
        canvas.text(told, (middle, 427), 24, colour, "center")
        canvas.text(f"step {int(state.time)} of {self.horizon}", (middle, 458), 22, MUTED, "center")

    def draw_seen(self, observation: Tensor, canvas: Canvas) -> None:
        """The road from above with the car on it, and the bend that comes."""
        offset, sine, cosine = observation.double()
        middle = canvas.width // 2
        canvas.text("Steer along the bends, keep to the middle", (middle, 25), 28, anchor="center")
        _road(float(offset), float(_bend(torch.atan2(sine, cosine))), canvas)
        canvas.text("steer left (above 0) or right (below 0)", (middle, 445), 22, MUTED, "center")

    def entries(self) -> list[str]:
        """Steering."""
        return ["steer left"]


def _bend(angle: Tensor) -> Tensor:
    """How far the road at this angle carries the car to the right."""
    return WIDE * torch.sin(angle) + NARROW * torch.sin(3 * angle)


def _road(offset: float, bend: float, canvas: Canvas, trace: list[float] | None = None) -> None:
    """The road straightened out, the car at its place across it, and an arrow as long as the bend that comes."""
    middle, scale, top, bottom = canvas.width // 2, 56, 55, 365  # pixels, to a unit of offset
    canvas.fill((16, top, canvas.width - 32, bottom - top), (222, 230, 214))
    canvas.fill((middle - scale, top, 2 * scale, bottom - top), PANEL)
    for y in range(top, bottom - 10, 30):
        canvas.fill((middle - 2, y, 4, 16), MUTED)
    row = 22
    for age, x in enumerate(reversed(trace or [])):
        y = 250 + row * age
        if x == x and y < bottom - 8:
            canvas.fill((middle + scale * x - 4, y - 4, 8, 8), ACCENT)
    car = (middle + scale * offset - 11, 205, 22, 34)
    canvas.fill(car, ACCENT)
    canvas.outline(car, INK, 2)
    length, x = scale * bend, middle + scale * offset
    if abs(length) >= 1:
        canvas.fill((min(x, x + length), 178, abs(length), 6), BAD)
        for k in range(10):
            tip = x + length - (k if length > 0 else -k)
            canvas.fill((tip, 181 - k, 2, 2 * k + 1), BAD)
    told = f"the road pushes the car {abs(bend):.2f} to the {'right' if bend >= 0 else 'left'}"
    canvas.text(told, (middle, 392), 24, BAD, "center")
