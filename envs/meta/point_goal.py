"""PointGoal: walk to a goal in the plane, hidden and found from the reward alone, or shown and hardly paid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..checks.options import choice, integer, number
from ..core.task import Observation, ProblemTask, Step
from ..drawing.canvas import ACCENT, GOOD, INK, MUTED, Canvas
from ..drawing.choices import Choice
from ..drawing.trails import in_order, written

STRIDE = 0.1  # the longest step along each axis
NEAR = 0.05  # of a goal that is shown, on each axis, is there
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
    single one. With ``goal="shown"`` it isolates learning from rewards that are rarely met: the goal is seen, and only
    who is there is spared a cost; `goal_outcome` tells what any other goal would have cost.

    Observation: (2,) float32, the position. With the goal shown a Dict of it as ``observation`` and as
        ``achieved_goal``, and of the goal as ``desired_goal``, (2,) float32 each.
    Action: Box(-0.1, 0.1, (2,)), the step along x and y.
    Reward: minus the distance to the goal after the step; with the goal shown -1, or 0 within 0.05 of it on each axis.
    Episode: truncated after `length` steps; nothing ends it earlier.
    Metrics: distance to the goal.
    Expert: the straight way, which it sees in the state: the longest step allowed on each axis until that axis is
        right; no policy does better. An episode returns -0.51 on average, staying at the origin -38.3, uniformly
        random steps about -62; the registered `Trial` of two episodes returns twice as much.
    Source: 2D navigation of Finn et al. (2017), section 5.3, with the distance itself as the cost and no early end;
        goals and costs as in the tasks of Plappert et al. (2018).

    Args:
        goal: "hidden" or "shown".
        reach: half-width of the square of goals.
        length: steps of an episode.
    """

    trial_episodes = 2
    variants = (
        {"episodes": 1},
        {"reach": 1.0, "length": 30, "episodes": 3},
        {"goal": "shown", "reach": 1.0, "length": 30, "episodes": 1},
    )

    sample_noise = 2

    def __init__(self, *, goal: str = "hidden", reach: float = 0.5, length: int = 100) -> None:
        super().__init__()
        self.shown = choice("PointGoal: goal", goal, ("hidden", "shown")) == "shown"
        self.reach = number("PointGoal: reach", reach, 0.01, 100)
        self.horizon = integer("PointGoal: length", length, 1)
        place = spaces.Box(-np.inf, np.inf, (2,), np.float32)
        goals = spaces.Dict({"observation": place, "achieved_goal": place, "desired_goal": place})
        self.observation_space: spaces.Space[Any] = goals if self.shown else place
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
        """Moves, then pays."""
        position, time = state.position + action, state.time + 1
        apart = position - state.goal
        distance = (apart[:, 0] * apart[:, 0] + apart[:, 1] * apart[:, 1]).sqrt()
        following = PointGoalState(state.goal, position, written(state.trail, time, position), time)
        reward = self.goal_outcome(position, state.goal)[0] if self.shown else -distance
        return Step(following, reward, torch.zeros_like(distance, dtype=torch.bool), {"distance": distance})

    def goal_outcome(self, achieved: Tensor, desired: Tensor) -> tuple[Tensor, None]:
        """Rewards (N,) of being at places (N, 2) where those (N, 2) are shown as the goal; none of them is an end."""
        return ((achieved - desired).abs().amax(1) <= NEAR).float() - 1, None

    def observe(self, state: PointGoalState) -> Observation:
        """The position, (B, 2), with the goal beside it where it is shown."""
        if not self.shown:
            return state.position
        return {"observation": state.position, "achieved_goal": state.position, "desired_goal": state.goal}

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
        told = "Walk to the goal" + ("" if self.shown else " (hidden from the player)")
        canvas.text(told, (middle, 55), size=24, anchor="center")
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

    def draw_seen(self, observation: Any, canvas: Canvas) -> None:
        """The plane with the position, and with the goal as a ring where it is shown."""
        goal = observation["desired_goal"] if self.shown else None
        observation = observation["observation"] if self.shown else observation
        middle, span = canvas.width // 2, 1.2 * max(self.reach, float(observation.abs().max()))
        told = "Walk into the ring: all else costs" if self.shown else "Walk to the hidden goal: nearer pays more"
        canvas.text(told, (middle, 55), 24, anchor="center")
        area = canvas.axes((60, 75, 370, 390), (-span, span), (-span, span), ("x", "y"))
        canvas.points([[0.0, 0.0]], area, [MUTED], 5, (-span, span, -span, span), "square")
        canvas.points(observation[None], area, [ACCENT], 8, (-span, span, -span, span))
        if goal is not None:
            canvas.points(goal[None], area, [GOOD], 15, (-span, span, -span, span), "ring")

    def choices(self) -> list[Choice]:
        """An arrow for the longest step each way, the point to stay."""
        ways = {"left": (-STRIDE, 0.0), "right": (STRIDE, 0.0), "up": (0.0, STRIDE), "down": (0.0, -STRIDE)}
        return [*(Choice(way, way, list(step)) for way, step in ways.items()), Choice(".", "stay", [0.0, 0.0])]

    def entries(self) -> list[str]:
        """The axes."""
        return ["x", "y"]
