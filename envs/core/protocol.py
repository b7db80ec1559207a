"""What an agent may count on: a batch of environments as torch tensors on one device."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import gymnasium.spaces as spaces
import torch
from torch import Tensor

from .task import Observation


@dataclass(frozen=True)
class TimeStep:
    """What one step of B environments gives.

    Attributes:
        observation: (B, ...) what to act on next: the first observation of the next episode where one has ended.
        reward: (B,) float32; of a `Game`, a dict of them by player.
        terminated: (B,) bool, the task has ended: nothing follows, so nothing is bootstrapped.
        truncated: (B,) bool, only the time has run out: bootstrap from `final_observation`.
        final_observation: (B, ...) what the step led to, before any reset; equals `observation` where none took place.
        metrics: named (B,) float32 values of the step, NaN where there is none.
    """

    observation: Observation
    reward: Any
    terminated: Tensor
    truncated: Tensor
    final_observation: Observation
    metrics: dict[str, Tensor] = field(default_factory=dict)

    @property
    def done(self) -> Tensor:
        """(B,) bool: the episode is over, one way or the other."""
        return self.terminated | self.truncated


class BatchedEnvironment(Protocol):
    """The batched-environment protocol: `BatchedEnv` and `GymnasiumBridge` keep it, and agents use nothing else."""

    name: str
    observation_space: spaces.Space[Any]
    action_space: spaces.Space[Any]
    num_envs: int
    device: torch.device

    @property
    def started(self) -> bool:
        """Whether `reset` was ever called."""

    @property
    def observation(self) -> Observation:
        """(B, ...) the current observation."""

    @property
    def episode_start(self) -> Tensor:
        """(B,) bool: the current observation is the first of its episode."""

    def reset(self, seed: int | None = None) -> Observation:
        """Starts a new episode everywhere; with a seed, row i starts the episodes of seed + i."""

    def step(self, action: Any) -> TimeStep:
        """One step of every environment; those that end start their next episode in the same step."""

    def expert_action(self) -> Tensor:
        """(B, ...) the best known action now. Raises `NoExpert` where there is none."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides what comes next, as tensors and plain values."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues exactly where a saved batch stood."""
