"""PointGoal: walk to a hidden goal in the plane, found from the reward alone."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..checks.options import integer, number
from ..core.task import ProblemTask, Step
from ..drawing.canvas import ACCENT, GOOD, INK, MUTED, Canvas
from ..drawing.choices import Choice
from ..drawing.trails import in_order, written

STRIDE = 0.1  # the longest step along each axis
TRAIL = 16  # positions that a drawing shows


@dataclass(frozen=True)
class PointGoalState:
    """The goal and the way so far.

    Attributes:
        goal: (B, 2) float32.
        position: (B, 2) float32.
        trail: (B, 2, TRAIL) float32 the last positions, a ring by time; NaN before the start.
        time: (B,) int64 steps taken.
    """

    goal: Tensor
    position: Tensor
    trail: Tensor
    time: Tensor


class PointGoal(ProblemTask[PointGoalState, Tensor]):
    """Walk to a hidden goal, found from the reward alone.

    A point starts at the origin and pays, at every step, its distance to a goal that it does not see.

    Isolates adaptation of a continuous policy: the goal shows in the rewards alone, so that the first steps must search
    and the later ones, and every later episode, should go straight. A problem is one goal, uniform on the square of
    half-width `reach`. The registered environment is a `Trial` of two episodes with the same goal; ``episodes=1`` is a
    single one.

    Observation: (2,) float32, the position.
    Action: Box(-0.1, 0.1, (2,)), the step along x and y.
    Reward: minus the distance to the goal after the step.
    Episode: truncated after `length` steps; nothing ends it earlier.
    Metrics: distance to the goal.
    Expert: the straight way, which it sees in the state: the longest step allowed on each axis until that axis is
        right; no policy does better. An episode returns -0.51 on average, staying at the origin -38.3, uniformly
        random steps about -62; the registered `Trial` of two episodes returns twice as much.
    Source: 2D navigation of Finn et al. (2017), section 5.3, with the distance itself as the cost and no early end.

    Args:
        reach: half-width of the square of goals.
        length: steps of an episode.
    """

    trial_episodes = 2
    variants = ({"episodes": 1}, {"reach": 1.0, "length": 30, "episodes": 3})

    sample_noise = 2

    def __init__(self, *, reach: float = 0.5, length: int = 100) -> None:
        super().__init__()
        self.reach = number("PointGoal: reach", reach, 0.01, 100)
        self.horizon = integer("PointGoal: length", length, 1)
        self.observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.action_space = spaces.Box(-STRIDE, STRIDE, (2,), np.float32)

    def sample(self, noise: Tensor) -> Tensor:
        """The goals, (B, 2)."""
        return (2 * noise - 1) * self.reach

    def begin(self, problem: Tensor, noise: Tensor) -> PointGoalState:
        """At the origin."""
        trail = problem.new_full((len(problem), 2, TRAIL), torch.nan)
        trail[:, :, 0] = 0
        return PointGoalState(
            problem, torch.zeros_like(problem), trail, torch.zeros_like(problem[:, 0], dtype=torch.int64)
        )

    def step(self, state: PointGoalState, action: Tensor, noise: Tensor) -> Step[PointGoalState]:
        """Moves, then pays the distance."""
        position, time = state.position + action, state.time + 1
        apart = position - state.goal
        distance = (apart[:, 0] * apart[:, 0] + apart[:, 1] * apart[:, 1]).sqrt()
        following = PointGoalState(state.goal, position, written(state.trail, time, position), time)
        return Step(following, -distance, torch.zeros_like(distance, dtype=torch.bool), {"distance": distance})

    def observe(self, state: PointGoalState) -> Tensor:
        """The position, (B, 2)."""
        return state.position

    def expert(self, state: PointGoalState) -> Tensor:
        """What is left of the way, at most a stride on each axis."""
        return (state.goal - state.position).clamp(-STRIDE, STRIDE)

    def draw(self, state: PointGoalState, canvas: Canvas) -> None:
        """The plane with the goal as a ring, the start as a square and the last positions, the newest the largest."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        middle, position = canvas.width // 2, state.position
        distance = float((position - state.goal).square().sum().sqrt())
        span = 1.2 * max(self.reach, float(position.abs().max()))
        side = min(canvas.width - 60, canvas.height - 150)
        area, limits = (middle - side // 2, 75, side, side), (-span, span, -span, span)
        canvas.text("Walk to the goal (hidden from the player)", (middle, 55), size=24, anchor="center")
        canvas.points([[0.0, 0.0]], area, [MUTED], 5, limits, "square")
        canvas.points(in_order(state.trail, state.time)[:-1], area, [ACCENT], 3, limits)
        canvas.points(position[None], area, [ACCENT], 7, limits)
        canvas.points(state.goal[None], area, [GOOD], 15, limits, "ring")
        line, centre = 75 + side + 25, (-1.0, 1.0, -1.0, 1.0)
        legend = (("start", MUTED, -150, "square"), ("goal", GOOD, 0, "ring"), ("player", ACCENT, 150, "dot"))
        for word, colour, place, mark in legend:
            canvas.points([[0.0, 0.0]], (middle + place - 46, line - 10, 20, 20), [colour], 6, centre, mark)
            canvas.text(word, (middle + place - 18, line), size=22, colour=colour, anchor="midleft")
        where = "at the goal" if distance < 0.01 else f"distance {distance:.2f}"
        done = "ended after" if int(state.time) == self.horizon else "step"
        told = f"{done} {int(state.time)} of {self.horizon}      {where}"
        canvas.text(told, (middle, line + 28), size=24, colour=INK, anchor="center")

    def draw_seen(self, observation: Tensor, canvas: Canvas) -> None:
        """The plane with the position."""
        middle, span = canvas.width // 2, 1.2 * max(self.reach, float(observation.abs().max()))
        canvas.text("Walk to the hidden goal: nearer pays more", (middle, 55), 24, anchor="center")
        area = canvas.axes((60, 75, 370, 390), (-span, span), (-span, span), ("x", "y"))
        canvas.points([[0.0, 0.0]], area, [MUTED], 5, (-span, span, -span, span), "square")
        canvas.points(observation[None], area, [ACCENT], 8, (-span, span, -span, span))

    def choices(self) -> list[Choice]:
        """An arrow for the longest step each way, the point to stay."""
        ways = {"left": (-STRIDE, 0.0), "right": (STRIDE, 0.0), "up": (0.0, STRIDE), "down": (0.0, -STRIDE)}
        return [*(Choice(way, way, list(step)) for way, step in ways.items()), Choice(".", "stay", [0.0, 0.0])]

    def entries(self) -> list[str]:
        """The axes."""
        return ["x", "y"]
