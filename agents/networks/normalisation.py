"""Observations and rewards brought to a common size by running statistics, which are saved with the agent."""

from __future__ import annotations

from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor, nn

from ...envs.core.task import Observation
from ...envs.core.tree import leaves, tree_map
from ..core.processes import ALONE, Processes

CLIP = 10.0  # what is normalised stays within this many deviations
LEAST = 1e-8  # variance that is added, so that a constant does not blow up


class Moments(nn.Module):
    """Mean and variance of all that was ever seen, updated batch by batch (Chan, Golub and LeVeque, 1979).

    Args:
        shape: of one value.
    """

    mean: Tensor
    variance: Tensor
    count: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("variance", torch.ones(shape))
        self.register_buffer("count", torch.zeros(()))

    @torch.no_grad()
    def update(self, values: Tensor, processes: Processes = ALONE) -> None:
        """Takes in values (N, *shape), and as many of each other process."""
        number = len(values) * processes.size
        variance, mean = torch.var_mean(values, 0, correction=0)
        if processes.size > 1:
            each = processes.gather(torch.stack([variance, mean]).unsqueeze(0))  # (W, 2, *shape)
            apart, mean = torch.var_mean(each[:, 1], 0, correction=0)
            variance = each[:, 0].mean(0) + apart
        total = self.count + number
        apart = mean - self.mean
        spread = self.variance * self.count + variance * number + apart.square() * self.count * number / total
        self.mean += apart * number / total
        self.variance.copy_(spread / total)
        self.count.copy_(total)


class ObservationNormaliser(nn.Module):
    """Every float part of an observation less its mean, divided by its deviation; images and numbers stay as they are.

    Until something was taken in, all stay as they are.

    Args:
        space: of one observation.
    """

    def __init__(self, space: spaces.Space[Any]) -> None:
        super().__init__()
        self.space, parts = space, _parts(space)
        self.moments = nn.ModuleList(
            Moments(part.shape) if isinstance(part, spaces.Box) and part.dtype != np.uint8 else nn.Identity()
            for part in parts
        )

    def forward(self, observation: Observation) -> Observation:
        """(N, ...) to (N, ...)."""
        moments = iter(self.moments)

        def normalised(part: Tensor) -> Tensor:
            own = next(moments)
            if not isinstance(own, Moments):
                return part
            return ((part - own.mean) * (own.variance + LEAST).rsqrt()).clamp(-CLIP, CLIP)

        return tree_map(normalised, _in_order(self.space, observation))

    def update(self, observation: Observation, processes: Processes = ALONE) -> None:
        """Takes in observations (T, B, ...), and those of the other processes."""
        for own, part in zip(self.moments, leaves(_in_order(self.space, observation)), strict=True):
            if isinstance(own, Moments):
                own.update(part.flatten(0, 1).float(), processes)


class RewardNormaliser(nn.Module):
    """Rewards divided by the deviation of the discounted sums of rewards, as they run up to each step.

    Args:
        gamma: discount.
    """

    def __init__(self, gamma: float) -> None:
        super().__init__()
        self.gamma, self.moments = gamma, Moments(())
        self.running: Tensor | None = None  # (B,) the sums of the current episodes

    def forward(self, reward: Tensor, done: Tensor, processes: Processes = ALONE) -> Tensor:
        """Takes in rewards (T, B), and whether an episode ended with them, and gives them normalised."""
        running = torch.zeros_like(reward[0]) if self.running is None else self.running
        sums = []
        for now, ended in zip(reward, done, strict=True):
            running = running * self.gamma + now
            sums.append(running)
            running = running.masked_fill(ended, 0.0)
        self.running = running
        self.moments.update(torch.stack(sums).flatten(), processes)
        return (reward * (self.moments.variance + LEAST).rsqrt()).clamp(-CLIP, CLIP)


def _parts(space: spaces.Space[Any]) -> list[spaces.Space[Any]]:
    """The spaces of an observation's tensors, in the order that `_in_order` brings them to."""
    if isinstance(space, spaces.Dict):
        return [leaf for part in space.values() for leaf in _parts(part)]
    return [space]


def _in_order(space: spaces.Space[Any], observation: Any) -> Any:
    """An observation whose parts stand in the order of its space, which sorts them by name."""
    if not isinstance(space, spaces.Dict):
        return observation
    return {name: _in_order(part, observation[name]) for name, part in space.items()}
