"""Fork: go round an obstacle on the left or on the right; both are right, the middle is not."""

from __future__ import annotations

from dataclasses import dataclass, fields

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..checks.options import integer
from ..core.task import Step, Task
from ..drawing.canvas import ACCENT, BAD, GOOD, INK, MUTED, Canvas

SPEED = 0.2  # sideways movement of a step at full steering
SHORTEST, LONGEST = 4, 8  # steps to the gates
LEAST, MOST = 0.5, 0.95  # steering that reaches a gate from the middle, if it is held from the first step on
TOLERANCE = 0.1  # how far from its middle a gate may be passed
START = 0.02  # how far from the middle line a fork may begin
UNDECIDED = 0.1  # how close to the middle line the expert still follows its coin
VIEW = (-1.9, 1.9)  # offsets that a picture spans


@dataclass(frozen=True)
class ForkState:
    """The fork ahead, the car, and which way the expert goes and went.

    Attributes:
        offset: (B,) float32 the car's distance to the right of the line midway between the gates.
        gate: (B,) float32 the distance of each gate's middle from that line.
        distance: (B,) int64 steps until the gates are reached.
        coin: (B,) int64 the side on which the expert passes this fork, -1 for left and 1 for right.
        before: (B,) int64 the side on which the last fork was passed, 0 before the first.
        passed: (B,) int64 forks passed.
        trace: (B, LONGEST + 1) float32 the offsets at this fork by the distance at which they were; NaN elsewhere.
        crashed: (B,) bool.
    """

    offset: Tensor
    gate: Tensor
    distance: Tensor
    coin: Tensor
    before: Tensor
    passed: Tensor
    trace: Tensor
    crashed: Tensor


class Fork(Task[ForkState]):
    """Pass an obstacle through the gate on its left or the gate on its right.

    Isolates a choice between equally good actions: the expert goes left as often as right from the same place, and the
    mean of what it does leads into the obstacle. The car advances by itself, a step at a time; 4 to 8 steps ahead there
    is a gate on either side, so far out that half to nearly all of the car's steering is needed from the first step on.
    After a gate the next fork begins, with the car within 0.02 of its middle line.

    Observation: (3,) float32: the car's offset to the right of the line midway between the gates; the distance of
        either gate from that line; the steps until the gates are reached, as a share of 8.
    Action: Box(-1, 1, (1,)), how far to steer to the right; 1 moves the car by 0.2.
    Reward: 1 / forks for passing within 0.1 of a gate's middle.
    Episode: terminates when the car misses a gate, or has passed all forks.
    Metrics: passed, whether a fork was passed; other_side, whether on another side than the one before.
    Expert: return 1. Near the middle line it follows a coin thrown anew at each fork, elsewhere it steers to the gate
        on its side; with `remembers` it remembers which way it went last and goes the other way. Random steering
        returns 0.01, the best constant one, 0.8 to one side, 0.2.
    Source: two ways round an obstacle as in the mixture density networks of Bishop (1994) and the multimodal experts of
        Florence et al. (2022); the task is Palaestra's own.

    Args:
        forks: of an episode.
        remembers: whether the expert passes each fork on the other side than the one before; its coin then decides
            about the first fork alone.
    """

    variants = ({"remembers": True}, {"forks": 1})

    reset_noise = step_noise = 4

    def __init__(self, *, forks: int = 3, remembers: bool = False) -> None:
        super().__init__()
        self.forks = integer("Fork: forks", forks, 1, 1000)
        self.remembers = bool(integer("Fork: remembers", int(remembers), 0, 1))
        self.horizon = self.forks * LONGEST
        self.observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float32)
        self.action_space = spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, noise: Tensor) -> ForkState:
        """The first fork."""
        zero = torch.zeros(len(noise), dtype=torch.int64, device=noise.device)
        return self._fork(noise, zero, zero)

    def _fork(self, noise: Tensor, before: Tensor, passed: Tensor) -> ForkState:
        """A fork as it begins: where the car is, how far the gates are away and apart, and the expert's side."""
        start, steps, reach, coin = noise.double().unbind(1)
        distance = SHORTEST + (steps * (LONGEST + 1 - SHORTEST)).long()
        offset = (START * (2 * start - 1)).float()
        gate = ((LEAST + (MOST - LEAST) * reach) * SPEED * distance).float()
        side = torch.where(coin < 0.5, -1, 1)
        if self.remembers:
            side = torch.where(before == 0, side, -before)
        trace = offset[:, None].expand(-1, LONGEST + 1)
        places = torch.arange(LONGEST + 1, device=noise.device)
        trace = trace.masked_fill(places != distance[:, None], torch.nan)
        return ForkState(offset, gate, distance, side, before, passed, trace, passed < 0)

    def step(self, state: ForkState, action: Tensor, noise: Tensor) -> Step[ForkState]:
        """Moves the car; at the gates it passes or crashes, and after a gate the next fork begins."""
        offset = (state.offset.double() + SPEED * action[:, 0].double()).float()
        distance = state.distance - 1
        there = distance <= 0
        through = (offset.abs() - state.gate).abs() <= TOLERANCE
        side = torch.where(offset < 0, -1, 1)
        passed = state.passed + (there & through).long()
        finished, crashed = there & (passed >= self.forks), there & ~through
        places = torch.arange(LONGEST + 1, device=noise.device)
        trace = torch.where(places == distance[:, None], offset[:, None], state.trace)
        before = torch.where(there & through, side, state.before)
        same = ForkState(offset, state.gate, distance, state.coin, before, passed, trace, crashed)
        following = _where(there & ~finished & ~crashed, self._fork(noise, before, passed), same)
        metrics = {
            "passed": through.float().masked_fill(~there, torch.nan),
            "other_side": (side != state.before)
            .float()
            .masked_fill(~there | ~through | (state.before == 0), torch.nan),
        }
        reward = (there & through).float() / self.forks
        return Step(following, reward, finished | crashed, metrics)

    def observe(self, state: ForkState) -> Tensor:
        """Offset, gate and distance, (B, 3)."""
        return torch.stack([state.offset, state.gate, (state.distance.double() / LONGEST).float()], 1)

    def expert(self, state: ForkState) -> Tensor:
        """The steering that leads straight to the gate of its choice, (B, 1)."""
        offset = state.offset.double()
        side = torch.where(offset.abs() < UNDECIDED, state.coin, torch.where(offset < 0, -1, 1))
        way = (side * state.gate.double() - offset) / (SPEED * state.distance.clamp(min=1))
        return way.clamp(-1, 1).float()[:, None]

    def draw(self, state: ForkState, canvas: Canvas) -> None:
        """The fork from above, the car's way so far, and which way the expert would go."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        middle = canvas.width // 2
        canvas.text("Pass the obstacle on the left or on the right", (middle, 24), 26, anchor="center")
        _road(float(state.offset), float(state.gate), int(state.distance), canvas, state.trace.tolist())
        way = "left" if int(state.coin) < 0 else "right"
        told = f"an expert in the middle goes {way} here"
        if self.remembers and int(state.before):
            told += ": the other way than last time"
        canvas.text(told, (middle, 425), 20, MUTED, "center")
        told = f"forks passed: {int(state.passed)} of {self.forks}"
        canvas.text(told, (middle, 456), 24, GOOD, "center")
        if bool(state.crashed):
            canvas.verdict(False, (middle - 110, 200, 220, 60))
            canvas.text("crashed", (middle, 230), 32, BAD, "center")

    def draw_seen(self, observation: Tensor, canvas: Canvas) -> None:
        """The fork from above."""
        offset, gate, share = observation.tolist()
        middle = canvas.width // 2
        canvas.text("Pass the obstacle on the left or on the right", (middle, 24), 26, anchor="center")
        _road(offset, gate, round(LONGEST * share), canvas)
        told = "steer right (above 0) or left (below 0)"
        canvas.text(told, (middle, 440), 20, MUTED, "center")

    def entries(self) -> list[str]:
        """Steering."""
        return ["steer right"]


def _road(offset: float, gate: float, distance: int, canvas: Canvas, trace: list[float] | None = None) -> None:
    """From above: the wall with its two gates at the top, the car where it is, and where it was."""
    left, top, width, row = 20, 60, canvas.width - 40, 36  # a step is a row of so many pixels

    def across(x: float) -> float:
        return left + width * (min(max(x, VIEW[0]), VIEW[1]) - VIEW[0]) / (VIEW[1] - VIEW[0])

    def down(steps: float) -> float:
        return top + 20 + row * steps

    edges = (VIEW[0], -gate - TOLERANCE, -gate + TOLERANCE, gate - TOLERANCE, gate + TOLERANCE, VIEW[1])
    for a, b in zip(edges[::2], edges[1::2], strict=True):
        if across(b) - across(a) >= 1:
            canvas.fill((across(a), top, across(b) - across(a), 22), INK)
    for middle in (-gate, gate):
        canvas.text("gate", (across(middle), top - 2), 18, GOOD, "midbottom")
    for steps in range(1, LONGEST + 1):
        canvas.fill((left, down(steps), width, 1), (225, 223, 217))
    for steps, x in enumerate(trace or []):
        if x == x and steps > distance:
            canvas.fill((across(x) - 4, down(steps) - 4, 8, 8), ACCENT)
    car = (across(offset) - 9, down(distance) - 14, 18, 28)
    canvas.fill(car, ACCENT)
    canvas.outline(car, INK, 2)
    told = f"{distance} {'step' if distance == 1 else 'steps'} to the gates"
    canvas.text(told, (canvas.width // 2, 398), 24, anchor="center")


def _where(mask: Tensor, new: ForkState, old: ForkState) -> ForkState:
    """Per environment the one or the other."""
    parts = ((getattr(new, part.name), getattr(old, part.name)) for part in fields(old))
    return ForkState(*(torch.where(mask.view(-1, *[1] * (a.ndim - 1)), a, b) for a, b in parts))
