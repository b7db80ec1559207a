"""Networks that read the observation by themselves, in place of encoder, memory and perceptrons."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from torch import Tensor, nn

from ....envs.core.task import Observation
from ....envs.core.tree import tree_map
from ..network import Memory


class WholeActor(nn.Module):
    """What such networks share: the calls of `network.Actor`, from `maps` of their own."""

    memory = normaliser = None

    @abstractmethod
    def maps(self, observation: Observation) -> tuple[Tensor, Tensor]:
        """Observations (N, ...) to policy parameters (N, P), and what a value is read from."""

    def initial_memory(self, batch: int) -> Memory:
        """There is none."""
        return ()

    def forward(self, observation: Observation, memory: Memory, start: Tensor) -> Any:
        """Policy parameters (T, B, P) and the memory after the last step."""
        parameters, _ = self.maps(tree_map(lambda part: part.flatten(0, 1), observation))
        return parameters.view(*start.shape, -1), memory

    def act(self, observation: Observation, memory: Memory, start: Tensor) -> Any:
        """One step: observations (B, ...), memory, starts (B,), to parameters (B, P) and memory."""
        return self.maps(observation)[0], memory


class WholeActorCritic(WholeActor):
    """The same with the calls of `network.ActorCritic`."""

    @abstractmethod
    def value(self, further: Tensor) -> Tensor:
        """Values (N,) of what `maps` gives beside the parameters."""

    def forward(self, observation: Observation, memory: Memory, start: Tensor) -> Any:
        """Policy parameters (T, B, P), values (T, B) and the memory after the last step."""
        parameters, further = self.maps(tree_map(lambda part: part.flatten(0, 1), observation))
        return parameters.view(*start.shape, -1), self.value(further).view_as(start), memory

    def act(self, observation: Observation, memory: Memory, start: Tensor) -> Any:
        """One step: observations (B, ...), memory, starts (B,), to parameters (B, P), values (B,) and memory."""
        parameters, further = self.maps(observation)
        return parameters, self.value(further), memory
