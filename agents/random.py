"""The random agent: the floor of every leaderboard."""

from __future__ import annotations

from torch import Tensor

from ..envs.actions import random_action
from ..envs.task import Observation
from .agent import Agent, Memory


class Random(Agent):
    """Uniformly random actions, whatever it sees."""

    name = "random"

    def act(
        self, observation: Observation, memory: Memory = (), start: Tensor | None = None, *, greedy: bool = False
    ) -> tuple[Tensor, Memory]:
        """Uniform actions (B, ...), greedy or not."""
        first = next(iter(observation.values())) if isinstance(observation, dict) else observation
        return random_action(self.action_space, len(first), self.generator, self.device), memory
