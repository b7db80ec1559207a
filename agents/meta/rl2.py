"""RL², learning to learn by reinforcement (Duan et al., 2016; Wang et al., 2016): recurrent PPO on trials."""

from __future__ import annotations

from typing import ClassVar, Self

import gymnasium.spaces as spaces
from pydantic import Field, model_validator

from ...neural_blocks.errors import InvalidInput
from ..networks.network_config import MemoryChoice
from ..policy_gradient.ppo import PPO, PPOConfig

SHOWN = ("previous_action", "previous_reward", "episode_start")  # what a trial adds to the task's observation


class RL2Config(PPOConfig):
    """Settings of RL²: those of PPO, with a memory.

    Attributes:
        memory: as in `MemoryConfig`, but None only where the network is "per_action", which remembers by itself.
    """

    memory: MemoryChoice | None = "gru"
    rollout_steps: int = Field(100, ge=1)

    @model_validator(mode="after")
    def _remembers(self) -> Self:
        if self.memory is None and self.network != "per_action":
            raise ValueError("memory must be a block, unless network is 'per_action'; got None")
        return self


class RL2(PPO):
    """RL² (Duan et al., 2016): PPO with a memory that lasts a trial, and so learns within it.

    The memory lasts from the first to the last step of a trial, across the episodes on the same problem, and is wiped
    when the next problem comes. With what it did and earned in view, the memory's dynamics become a learning algorithm
    of their own.

    Raises:
        InvalidInput: an observation that does not show the previous action, its reward and the episode's start, as
            those of a `Trial` do.
    """

    name = "rl2"
    Config = RL2Config
    observation_spaces: ClassVar = (spaces.Dict,)
    observation_space: spaces.Dict

    def build(self) -> None:
        """PPO's parts."""
        missing = [name for name in SHOWN if name not in self.observation_space.spaces]
        if missing:
            raise InvalidInput(f"rl2: observation must be that of a Trial, with {', '.join(SHOWN)}; no {missing[0]}")
        super().build()
