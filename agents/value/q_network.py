"""A network for the value of each action."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium.spaces as spaces
import torch
from torch import Tensor

from ...envs.core.task import Observation
from ...envs.core.tree import tree_map
from ..networks.masking import MASK, allowed
from ..networks.network import Memory, Trunk


class QNetwork(Trunk):
    """Trunk, and one perceptron for the values; or, dueling (Wang et al., 2016), two of them.

    A dueling network has one perceptron for the value of the state and one for the advantage of each action, whose mean
    over the actions is taken away.

    Where an action is D choices, each has values of its own, a branch (Tavakoli et al., 2018); what a smaller choice
    than the largest one, of A values, has not is worth minus infinity. Dueling, branches share the state's value.

    Args:
        observation_space: what is encoded.
        actions: A, how many there are; or, of an action of D choices, how many each of them has.
        dueling: two perceptrons.
        masked: the observation has an `action_mask`: what it does not allow is worth minus infinity.
        settings: of `Trunk`.
    """

    there: Tensor
    places: Tensor

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        actions: int | Sequence[int],
        *,
        dueling: bool = False,
        masked: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(observation_space, **settings)
        self.branches = None if isinstance(actions, int) else tuple(actions)
        self.advantage = self.head(sum(self.branches) if self.branches else int(actions))  # type: ignore[arg-type]
        if self.branches:
            sizes, most = torch.tensor(self.branches).unsqueeze(1), torch.arange(max(self.branches))
            first = sizes.cumsum(0) - sizes  # (D, 1)
            self.register_buffer("there", most < sizes, persistent=False)  # (D, A)
            self.register_buffer("places", torch.where(most < sizes, first + most, 0), persistent=False)
        self.value = self.head(1) if dueling else None
        self.masked = masked

    def forward(self, observation: Observation, memory: Memory, start: Tensor) -> tuple[Tensor, Memory]:
        """Values (T, B, A), or by branch (T, B, D, A), and the memory after the last step."""
        features, memory = self.features(observation, memory, start)
        if self.branches:
            return self._branched(features, observation), memory
        values = self.advantage(features)
        if self.value is not None:
            values = values - values.mean(-1, keepdim=True) + self.value(features)
        return (allowed(values, observation) if self.masked else values), memory

    def _branched(self, features: Tensor, observation: Observation) -> Tensor:
        """(T, B, D, A) the values of each choice."""
        values = self.advantage(features)[..., self.places]
        if self.value is not None:
            mean = (values * self.there).sum(-1, keepdim=True) / self.there.sum(-1, keepdim=True)
            values = values - mean + self.value(features).unsqueeze(-1)
        now = self.there
        if self.masked:
            assert isinstance(observation, dict)
            mask = observation[MASK].flatten(2)[..., self.places] != 0
            nothing = ~(mask & self.there).any(-1, keepdim=True)  # such a mask is left aside
            now = self.there & (mask | nothing)
        return torch.where(now, values, -torch.inf)

    def act(self, observation: Observation, memory: Memory, start: Tensor) -> tuple[Tensor, Memory]:
        """One step: observations (B, ...), memory, starts (B,), to values (B, A) or (B, D, A) and memory."""
        one = tree_map(lambda part: part.unsqueeze(0), observation)
        values, memory = self(one, memory, start.unsqueeze(0))
        return values[0], memory
