"""The random agent: the floor of every leaderboard."""

from __future__ import annotations

from typing import ClassVar

import gymnasium.spaces as spaces
from torch import Tensor

from ...envs.core.actions import action_noise, action_of
from ...envs.core.task import Observation
from ...envs.core.tree import leaves
from ..core.agent import Agent, Memory
from ..core.randomness import ACT


class Random(Agent):
    """Uniformly random actions, whatever it sees."""

    name = "random"
    on_device: ClassVar = True
    observation_spaces: ClassVar = (spaces.Space,)

    def act(
        self, observation: Observation, memory: Memory = (), start: Tensor | None = None, *, greedy: bool = False
    ) -> tuple[Tensor, Memory]:
        """Uniform actions (B, ...), greedy or not."""
        num_envs = len(leaves(observation)[0])
        noise = self.randomness.uniform(ACT, num_envs, action_noise(self.action_space))
        return action_of(self.action_space, noise), memory
