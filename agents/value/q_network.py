"""A network for the value of each action."""

from __future__ import annotations

from typing import Any

import gymnasium.spaces as spaces
from torch import Tensor

from ...envs.core.task import Observation
from ...envs.core.tree import tree_map
from ..networks.masking import allowed
from ..networks.network import Memory, Trunk


class QNetwork(Trunk):
    """Trunk, and one perceptron for the values; or, dueling (Wang et al., 2016), two of them.

    A dueling network has one perceptron for the value of the state and one for the advantage of each action, whose mean
    over the actions is taken away.

    Args:
        observation_space: what is encoded.
        actions: A, how many there are.
        dueling: two perceptrons.
        masked: the observation has an `action_mask`: what it does not allow is worth minus infinity.
        settings: of `Trunk`.
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        actions: int,
        *,
        dueling: bool = False,
        masked: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(observation_space, **settings)
        self.advantage = self.head(actions)
        self.value = self.head(1) if dueling else None
        self.masked = masked

    def forward(self, observation: Observation, memory: Memory, start: Tensor) -> tuple[Tensor, Memory]:
        """Values (T, B, A) and the memory after the last step."""
        features, memory = self.features(observation, memory, start)
        values = self.advantage(features)
        if self.value is not None:
            values = values - values.mean(-1, keepdim=True) + self.value(features)
        return (allowed(values, observation) if self.masked else values), memory

    def act(self, observation: Observation, memory: Memory, start: Tensor) -> tuple[Tensor, Memory]:
        """One step: observations (B, ...), memory, starts (B,), to values (B, A) and memory."""
        one = tree_map(lambda part: part.unsqueeze(0), observation)
        values, memory = self(one, memory, start.unsqueeze(0))
        return values[0], memory
