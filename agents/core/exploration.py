"""How an agent with a value for each action tries others than the best: epsilon-greedy or Boltzmann."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from .config import AgentConfig


class ExplorationConfig(AgentConfig):
    """Settings of exploring.

    Attributes:
        exploration: "epsilon_greedy" (a uniformly random action now and then) or "boltzmann" (a softmax of the values).
        epsilon_start: probability of a random action at the start of the run.
        epsilon_end: the same once `exploration_fraction` of the run is over; it falls linearly in between.
        exploration_fraction: of the run's steps.
        temperature: of the softmax, in units of the values.
    """

    exploration: Literal["epsilon_greedy", "boltzmann"] = "epsilon_greedy"
    epsilon_start: float = Field(1.0, ge=0, le=1)
    epsilon_end: float = Field(0.05, ge=0, le=1)
    exploration_fraction: float = Field(0.2, ge=0, le=1)
    temperature: float = Field(1.0, gt=0)

    def epsilon(self, progress: float) -> float:
        """The probability of a random action when that fraction of the run is over."""
        if progress >= self.exploration_fraction:
            return self.epsilon_end
        return self.epsilon_start + (self.epsilon_end - self.epsilon_start) * progress / self.exploration_fraction


def explore(values: Tensor, config: ExplorationConfig, progress: float, generator: torch.Generator) -> Tensor:
    """Actions (B,) int64 from 0 on, for values (B, A), when that fraction of the run is over."""
    shape, device = values.shape, values.device
    if config.exploration == "boltzmann":  # the largest of logits with Gumbel noise is a draw from their softmax
        clocks = torch.rand(shape, generator=generator, device=device).log_().neg_()
        return (values / config.temperature - clocks.log_()).argmax(-1)
    chance = torch.rand(2, shape[0], generator=generator, device=device)
    anything = (chance[1] * shape[1]).long().clamp(max=shape[1] - 1)
    return torch.where(chance[0] < config.epsilon(progress), anything, values.argmax(-1))
