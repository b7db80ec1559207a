"""A Hopfield network that stores what an episode shows and recalls what is asked for."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import gymnasium.spaces as spaces
import torch
from pydantic import Field
from torch import Tensor

from ...envs.core.task import Observation
from ...envs.core.tree import where
from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.neurons.energy import settled, settled_in_turn, without_self
from ..core.agent import Agent, Memory
from ..core.config import AgentConfig


class HopfieldConfig(AgentConfig):
    """Settings of a Hopfield network.

    Attributes:
        biases: whether units have biases, the mean of what is stored.
        sweeps: updates of all units in which it recalls.
        update: of all units at once, "synchronous"; or of one after the other, in their order, "asynchronous", which
            never raises the energy.
    """

    biases: bool = False
    sweeps: int = Field(10, ge=1, le=10_000)
    update: Literal["synchronous", "asynchronous"] = "synchronous"


class HopfieldMemory(Agent):
    """Hopfield recall for `PatternCompletion`: stores each pattern as it is shown, and lets the cue settle.

    Couplings are W = X^T X / M of the episode's patterns X so far, without self-coupling, and biases their mean
    (Hopfield, 1982). It learns nothing: the couplings are its memory, and are empty when an episode starts. They are
    kept as sums over patterns, M times as large, which are whole numbers and lead to the same recall.
    """

    name = "hopfield"
    Config: ClassVar[type[AgentConfig]] = HopfieldConfig
    on_device: ClassVar = True
    observation_spaces: ClassVar = (spaces.Box,)
    action_spaces: ClassVar = (spaces.MultiBinary,)

    def build(self) -> None:
        """Checks that a bit is set for each that is seen."""
        seen, space = self.observation_space, self.action_space
        assert isinstance(space, spaces.MultiBinary)
        self.bits = int(space.shape[0])
        if seen.shape != (self.bits + 1,):
            raise InvalidInput(
                f"hopfield: plays PatternCompletion (mode='set'), which shows {self.bits + 1} numbers for "
                f"{self.bits} bits; got observations of shape {seen.shape}"
            )

    def initial_memory(self, num_envs: int) -> Memory:
        """Nothing stored: sums of products (B, N, N) and of bits (B, N)."""
        nothing = torch.zeros(num_envs, self.bits, self.bits, dtype=torch.float32, device=self.device)
        return nothing, nothing[:, 0].clone()

    def act(
        self, observation: Observation, memory: Memory = (), start: Tensor | None = None, *, greedy: bool = False
    ) -> tuple[Tensor, Memory]:
        """What is shown, or what the cue settles to, (B, N) int8; see `Agent.act`."""
        assert isinstance(observation, Tensor)
        memory, start = self._going_on(observation, memory, start)
        products, sums = where(start, self.initial_memory(len(observation)), memory)
        shown, asked = observation[:, :-1], observation[:, -1:] > 0
        stored = shown.masked_fill(asked, 0)  # a cue is not
        products, sums = products + stored[:, :, None] * stored[:, None, :], sums + stored
        bias: Any = sums if self.config.biases else 0.0
        settle = settled if self.config.update == "synchronous" else settled_in_turn
        recalled = settle(without_self(products), shown, bias, self.config.sweeps)
        return (torch.where(asked, recalled, shown) > 0).to(torch.int8), (products, sums)
