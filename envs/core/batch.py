"""A batch of environments as one tree of tensors, and one step of it as a pure function."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from gymnasium.vector import AutoresetMode
from torch import Tensor

from .noise import uniform
from .protocol import TimeStep
from .task import Observation, Task
from .tree import tree_map, where


@dataclass(frozen=True)
class Batch:
    """All that changes in B environments: what a step takes and gives.

    Attributes:
        elapsed: (B,) int64 steps of the current episode.
        ended: (B,) bool: the episode is over and the environment waits for its reset (never under SAME_STEP).
        state: the task's state, tensors (B, ...).
        observation: (B, ...) the current observation.
        reset_key, step_key: (B,) int64 keys of the noise of resets and steps.
        resets, steps: (B,) int64 how often each environment drew from them.
    """

    elapsed: Tensor
    ended: Tensor
    state: Any
    observation: Observation
    reset_key: Tensor
    step_key: Tensor
    resets: Tensor
    steps: Tensor


class Advance:
    """One step of a batch: ``advance(batch, action)`` gives the next batch and the `TimeStep`.

    Pure and without a branch that depends on what a tensor holds, so that it can be compiled, captured, or traced
    through by a larger compiled function. The episodes are those that `BatchedEnv.step` plays.

    Args:
        task: the rules.
        autoreset: what happens to an environment whose episode has ended; see `BatchedEnv`.
    """

    def __init__(self, task: Task[Any], autoreset: AutoresetMode) -> None:
        self.task, self.autoreset = task, autoreset

    def __call__(self, batch: Batch, action: Any) -> tuple[Batch, TimeStep]:
        """The batch after the actions (B, ...), and what the step gave."""
        if self.autoreset is AutoresetMode.NEXT_STEP:
            return self._step_or_restart(batch, action)
        following, step = self.play(batch, action)
        if self.autoreset is AutoresetMode.SAME_STEP:
            following, _ = self.restart(following)
            step = replace(step, observation=following.observation)
        return following, step

    def play(self, batch: Batch, action: Any) -> tuple[Batch, TimeStep]:
        """A step in which no environment restarts: `ended` tells those whose episode it ends."""
        task = self.task
        transition = task.step(batch.state, action, uniform(batch.step_key, batch.steps, task.step_noise))
        elapsed, terminated = batch.elapsed + 1, transition.terminated
        truncated = (elapsed >= task.horizon) & ~terminated
        seen = batch.observation if task.still else task.observe(transition.state)
        following = replace(
            batch,
            elapsed=elapsed,
            ended=terminated | truncated,
            state=transition.state,
            observation=seen,
            steps=batch.steps + 1,
        )
        return following, TimeStep(seen, transition.reward, terminated, truncated, seen, transition.metrics)

    def restart(self, batch: Batch) -> tuple[Batch, None]:
        """Begins the next episode where one has ended."""
        task, ended = self.task, batch.ended
        state = task.reset(uniform(batch.reset_key, batch.resets, task.reset_noise))
        if task.horizon > 1 or self.autoreset is AutoresetMode.NEXT_STEP:  # else every episode ends with its first step
            state = where(ended, state, batch.state)
        return self._begun(batch, state, batch.elapsed.masked_fill(ended, 0), batch.resets + ended), None

    def begin(self, batch: Batch) -> tuple[Batch, None]:
        """Begins the next episode everywhere."""
        state = self.task.reset(uniform(batch.reset_key, batch.resets, self.task.reset_noise))
        return self._begun(batch, state, torch.zeros_like(batch.elapsed), batch.resets + 1), None

    def _begun(self, batch: Batch, state: Any, elapsed: Tensor, resets: Tensor) -> Batch:
        seen, none = self.task.observe(state), torch.zeros_like(batch.ended)
        return replace(batch, elapsed=elapsed, ended=none, state=state, observation=seen, resets=resets)

    def _step_or_restart(self, batch: Batch, action: Any) -> tuple[Batch, TimeStep]:
        """A step under NEXT_STEP: an environment that has ended restarts instead, and draws no step noise."""
        task, waiting = self.task, batch.ended
        transition = task.step(batch.state, action, uniform(batch.step_key, batch.steps, task.step_noise))
        elapsed = batch.elapsed + 1
        terminated = transition.terminated & ~waiting
        truncated = (elapsed >= task.horizon) & ~transition.terminated & ~waiting
        following = replace(batch, state=transition.state, elapsed=elapsed, steps=batch.steps + ~waiting)
        following = replace(self.restart(following)[0], ended=terminated | truncated)
        reward = tree_map(lambda one: one.masked_fill(waiting, 0.0), transition.reward)
        metrics = {name: value.masked_fill(waiting, torch.nan) for name, value in transition.metrics.items()}
        seen = following.observation
        return following, TimeStep(seen, reward, terminated, truncated, seen, metrics)
