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
from .solo import Solo


class SingleEnv(gymnasium.Env[Any, Any]):
    """One environment of a task as a `gymnasium.Env`; it plays the episodes of row 0 of a batch with the same seed.

    ``info`` holds the task's metrics of the step. The time limit is the task's own horizon.

    Args:
        task: the rules.
        render_mode: None, "rgb_array" (frames of (480, 480, 3) uint8), "ansi" (lines of text) or "human" (a window).
        execution: "eager", or "compiled": steps and resets as programs that work in place, 15 to 100 times as fast. The
            first step and the first reset without a seed take seconds to compile.

    Raises:
        InvalidInput: an unknown render mode or execution; from `step`, an action outside the action space, or a task
            that cannot be compiled.
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": FRAMES_PER_SECOND}  # noqa: RUF012

    def __init__(self, task: Task[Any], render_mode: str | None = None, execution: str = "eager") -> None:
        self.screen, self.render_mode = Screen(task, render_mode), render_mode
        self.observation_space, self.action_space = task.observation_space, task.action_space
        self.batch = BatchedEnv(task, 1, autoreset=AutoresetMode.DISABLED, execution=execution)
        self.batch.check_action = ActionCheck(self.action_space, None, self.batch.device, task.name)
        self._seeded = False
        self._solo: Solo | None = None

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
        if seed is None and self.batch.execution == "compiled":
            observation = self._working().reset()
        else:
            observation = single_observation(self.batch.reset(seed), self.observation_space)
        self.screen.show(self._drawn, self.metadata["render_fps"])
        return observation, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One step; the observation after an episode's end is its last one."""
        if self.batch.execution == "compiled":
            working = self._working()
            if working.over:
                self.batch.refuse_ended()
            result = working.step(action)
            self.screen.show(self._drawn, self.metadata["render_fps"])
            return result
        step = self.batch.step(action)
        self.screen.show(self._drawn, self.metadata["render_fps"])
        return (
            single_observation(step.observation, self.observation_space),
            float(step.reward),
            bool(step.terminated),
            bool(step.truncated),
            {name: values[0] for name, values in metric_values(step.metrics).items()},
        )

    def _working(self) -> Solo:
        """The programs, at work on the memory that `batch` shows; they go on from where `batch` was taken since."""
        batch = self.batch.batch
        if self._solo is None:
            self._solo = Solo(self.batch.advance, batch, self.batch.check_action)
        elif batch is not self._solo.batch:
            self._solo.enter(batch)
        if batch is not self._solo.batch:
            self.batch.batch = self._solo.batch
        return self._solo

    def expert_action(self) -> Any:
        """The best known action now, as the action space has it. Raises `NoExpert` where there is none."""
        action = self.batch.expert_action()[0].numpy()
        return action[()] if isinstance(self.action_space, gymnasium.spaces.Discrete) else action

    def render(self) -> NDArray[np.uint8] | str | None:
        """The current state as (480, 480, 3) uint8, or in the window."""
        return self.screen.render(self._drawn)

    def _drawn(self) -> Any:
        return self.batch.row(0)

    def close(self) -> None:
        """Closes the window, if there is one."""
        self.screen.close()


def make_single(task_id: str, render_mode: str | None = None, execution: str = "eager", **options: Any) -> SingleEnv:
    """Gymnasium's entry point: ``gymnasium.make(id, render_mode=..., execution=..., **options)``."""
    return SingleEnv(make_task(task_id, **options), render_mode, execution)
