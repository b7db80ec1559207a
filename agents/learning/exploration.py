"""How an agent with a value for each action tries others than the best: epsilon-greedy or Boltzmann."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from ...neural_blocks.noise import categorical
from ..core.config import AgentConfig
from ..networks.distributions import choose


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

    def epsilon(self, progress: Tensor) -> Tensor:
        """() the probability of a random action when that fraction () of the run is over."""
        if self.exploration_fraction == 0:
            return torch.full_like(progress, self.epsilon_end)
        share = (progress / self.exploration_fraction).clamp(max=1)
        return self.epsilon_start + (self.epsilon_end - self.epsilon_start) * share


NOISE = 2  # uniforms that exploring takes for one action


def any_allowed(values: Tensor, noise: Tensor) -> Tensor:
    """Uniformly random actions (B,) among those whose value (B, A) is not minus infinity, from uniforms (B,)."""
    return categorical((values > -torch.inf).to(values.dtype), noise)


def explore(values: Tensor, config: ExplorationConfig, progress: Tensor, noise: Tensor, masked: bool = False) -> Tensor:
    """Actions (B,) int64 from 0 on, for values (B, A), when that fraction of the run is over.

    Args:
        values: (B, A) of each action.
        config: how.
        progress: () fraction of the run that is over.
        noise: (B, `NOISE`) uniforms.
        masked: values of minus infinity stand for actions that are not allowed.
    """
    if config.exploration == "boltzmann":
        return choose(values / config.temperature, noise[:, :1])
    anything = any_allowed(values, noise[:, 1]) if masked else (noise[:, 1] * values.shape[1]).long()
    return torch.where(noise[:, 0] < config.epsilon(progress), anything, values.argmax(-1))


def chances(values: Tensor, config: ExplorationConfig, progress: Tensor) -> Tensor:
    """(B, A) the probability with which `explore` takes each action, for values (B, A) of which none is masked."""
    if config.exploration == "boltzmann":
        return (values / config.temperature).softmax(-1)
    epsilon = config.epsilon(progress)
    best = torch.arange(values.shape[1], device=values.device) == values.argmax(-1, keepdim=True)
    return epsilon / values.shape[1] + (1 - epsilon) * best


def explore_branches(values: Tensor, config: ExplorationConfig, progress: Tensor, noise: Tensor) -> Tensor:
    """Actions of D choices (B, D) int64 from 0 on; epsilon-greedy, all choices of an action are random, or none.

    Args:
        values: (B, D, A) of each choice, minus infinity for what it has not or is not allowed.
        config: how.
        progress: () fraction of the run that is over.
        noise: (B, D `NOISE`) uniforms.
    """
    first, second = noise.chunk(NOISE, 1)  # (B, D) each
    if config.exploration == "epsilon_greedy":
        first = first[:, :1].expand_as(second)
    each = torch.stack([first.flatten(), second.flatten()], 1)
    return explore(values.flatten(0, 1), config, progress, each, masked=True).view(values.shape[:2])
