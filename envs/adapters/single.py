"""The Gymnasium adapter: one environment of a task, with NumPy in and out."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from ..checks.options import fresh_seed, seed_or_none
from ..core.actions import ActionCheck
from ..core.observations import metric_values, single_observation
from ..core.task import Task
from ..registry import make_task
from .batched import BatchedEnv
from .screen import FRAMES_PER_SECOND, RENDER_MODES, Screen


class SingleEnv(gymnasium.Env[Any, Any]):
    """One environment of a task as a `gymnasium.Env`; it plays the episodes of row 0 of a batch with the same seed.

    ``info`` holds the task's metrics of the step. The time limit is the task's own horizon.

    Args:
        task: the rules.
        render_mode: None, "rgb_array" (frames of (480, 480, 3) uint8) or "human" (a window).

    Raises:
        InvalidInput: an unknown render mode; from `step`, an action outside the action space.
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": FRAMES_PER_SECOND}  # noqa: RUF012

    def __init__(self, task: Task[Any], render_mode: str | None = None) -> None:
        self.screen, self.render_mode = Screen(task, render_mode), render_mode
        self.observation_space, self.action_space = task.observation_space, task.action_space
        self.batch = BatchedEnv(task, 1, autoreset=AutoresetMode.DISABLED)
        self.batch.check_action = ActionCheck(self.action_space, None, self.batch.device, task.name)
        self._seeded = False

    @property
    def task(self) -> Task[Any]:
        """The rules."""
        return self.batch.task

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts the next episode; with a seed, the first episode of that seed.

        The first reset, if it has no seed, draws a fresh one, which `np_random_seed` tells.
        """
        seed = seed_or_none(self.task.name, seed)
        if seed is None and not self._seeded:
            seed = fresh_seed()
        super().reset(seed=seed)
        self._seeded = True
        observation = self.batch.reset(seed)
        self.screen.show(self._drawn, self.metadata["render_fps"])
        return single_observation(observation, self.observation_space), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One step; the observation after an episode's end is its last one."""
        step = self.batch.step(action)
        self.screen.show(self._drawn, self.metadata["render_fps"])
        return (
            single_observation(step.observation, self.observation_space),
            float(step.reward),
            bool(step.terminated),
            bool(step.truncated),
            {name: values[0] for name, values in metric_values(step.metrics).items()},
        )

    def expert_action(self) -> Any:
        """The best known action now, as the action space has it. Raises `NoExpert` where there is none."""
        action = self.batch.expert_action()[0].numpy()
        return action[()] if isinstance(self.action_space, gymnasium.spaces.Discrete) else action

    def render(self) -> NDArray[np.uint8] | None:
        """The current state as (480, 480, 3) uint8, or in the window."""
        return self.screen.render(self._drawn)

    def _drawn(self) -> Any:
        return self.batch.row(0)

    def close(self) -> None:
        """Closes the window, if there is one."""
        self.screen.close()


def make_single(task_id: str, render_mode: str | None = None, **options: Any) -> SingleEnv:
    """Gymnasium's entry point: ``gymnasium.make(id, render_mode=..., **options)``."""
    return SingleEnv(make_task(task_id, **options), render_mode)
