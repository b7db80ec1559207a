"""FrameStack: a task of which the last n observations are seen at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..core.task import Observation, Step, Task
from ..drawing.choices import Choice
from .frames import Frames

if TYPE_CHECKING:
    from ..drawing.canvas import Canvas


@dataclass(frozen=True)
class FrameStackState:
    """Where a task with stacked observations stands.

    Attributes:
        inner: the task's own state.
        frames: (B, ...) its last n observations, see `Frames`.
    """

    inner: Any
    frames: Observation


class FrameStack(Task[FrameStackState]):
    """Shows the last n observations instead of the last one: a short memory for an agent that has none.

    Observation: n of the task's, see `Frames`; at an episode's start n times the first.
    Action, reward, episode, metrics and expert: the task's. People are shown the newest observation.
    Source: Mnih et al. (2015), four frames of a game; `gymnasium.wrappers.FrameStackObservation`.

    Args:
        task: any task.
        frames: n.
    """

    def __init__(self, task: Task[Any], frames: int) -> None:
        super().__init__()
        self.task, self.frames = task, Frames(task.observation_space, frames, task.name)
        self.observation_space, self.action_space = self.frames.space, task.action_space
        self.horizon, self.reset_noise, self.step_noise = task.horizon, task.reset_noise, task.step_noise
        self.random_return, self.expert_return = task.random_return, task.expert_return

    @property
    def name(self) -> str:
        """The task's own name."""
        return self.task.name

    def reset(self, noise: Tensor) -> FrameStackState:
        """The task's first state, seen n times."""
        inner = self.task.reset(noise)
        return FrameStackState(inner, self.frames.begun(self.task.observe(inner)))

    def step(self, state: FrameStackState, action: Tensor, noise: Tensor) -> Step[FrameStackState]:
        """The task's step, and what is seen after it beside the n - 1 observations before."""
        step = self.task.step(state.inner, action, noise)
        frames = self.frames.followed(state.frames, self.task.observe(step.state))
        return Step(FrameStackState(step.state, frames), step.reward, step.terminated, step.metrics)

    def observe(self, state: FrameStackState) -> Observation:
        """The frames."""
        return state.frames

    def expert(self, state: FrameStackState) -> Tensor:
        """The task's."""
        return self.task.expert(state.inner)

    def summarise(self, metrics: dict[str, float]) -> dict[str, float]:
        """The task's."""
        return self.task.summarise(metrics)

    def made(self, action: Any, observation: Observation) -> Tensor | None:
        """The task's."""
        return self.task.made(action, self.frames.newest(observation))

    def measured(self, made: Tensor) -> dict[str, float]:
        """The task's."""
        return self.task.measured(made)

    def draw(self, state: FrameStackState, canvas: Canvas) -> None:
        """The task's."""
        self.task.draw(state.inner, canvas)

    def draw_seen(self, observation: Any, canvas: Canvas) -> None:
        """The task's player's view of the newest observation."""
        self.task.draw_seen(self.frames.newest(observation), canvas)

    def choices(self) -> list[Choice]:
        """The task's."""
        return self.task.choices()

    def entries(self) -> list[str]:
        """The task's."""
        return self.task.entries()
