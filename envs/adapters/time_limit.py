"""A task whose episodes end earlier than its own horizon."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..core.task import Observation, Step, Task
from ..drawing.canvas import Canvas


class TimeLimit(Task[Any]):
    """A task truncated after fewer steps; its rules are untouched, as under Gymnasium's wrapper of this name.

    Args:
        task: the rules.
        steps: after which an episode is truncated; the task's own horizon holds if it is shorter.
    """

    def __init__(self, task: Task[Any], steps: int) -> None:
        super().__init__()
        self.task = task
        self.horizon = min(task.horizon, steps)
        self.observation_space, self.action_space = task.observation_space, task.action_space
        self.reset_noise, self.step_noise, self.still = task.reset_noise, task.step_noise, task.still

    @property
    def name(self) -> str:
        """The task's."""
        return self.task.name

    def reset(self, noise: Tensor) -> Any:
        """See `Task.reset`."""
        return self.task.reset(noise)

    def step(self, state: Any, action: Tensor, noise: Tensor) -> Step[Any]:
        """See `Task.step`."""
        return self.task.step(state, action, noise)

    def observe(self, state: Any) -> Observation:
        """See `Task.observe`."""
        return self.task.observe(state)

    def expert(self, state: Any) -> Tensor:
        """See `Task.expert`."""
        return self.task.expert(state)

    def draw(self, state: Any, canvas: Canvas) -> None:
        """See `Task.draw`."""
        self.task.draw(state, canvas)
