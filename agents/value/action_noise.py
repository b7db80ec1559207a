"""Noise on continuous actions while an agent explores: independent from step to step, or drifting."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field
from torch import Tensor

from ...envs.core.noise import normal
from ..core.config import AgentConfig


class ActionNoiseConfig(AgentConfig):
    """Settings of noise that is added to the actions with which an agent explores, each in [-1, 1].

    Attributes:
        action_noise: "gaussian", independent at each step, or "ornstein_uhlenbeck", which drifts and falls back to 0
            (Lillicrap et al., 2016), from 0 on at an episode's start; null for none beside the policy's own.
        noise_deviation: of the noise; of one that drifts, of what a unit of time adds.
        noise_return: share of a drifting noise that falls back in a unit of time.
        noise_interval: units of time in a step of a drifting noise.
    """

    action_noise: Literal["gaussian", "ornstein_uhlenbeck"] | None = None
    noise_deviation: float = Field(0.1, gt=0, le=10)
    noise_return: float = Field(0.15, ge=0, le=100)
    noise_interval: float = Field(0.01, gt=0, le=1)

    def drifted(self, before: Tensor, noise: Tensor) -> Tensor:
        """The noise (B, D) after that of the step before, from uniforms (B, D)."""
        if self.action_noise == "gaussian":
            return self.noise_deviation * normal(noise)
        step = self.noise_interval
        kept = before * (1 - self.noise_return * step)
        return kept + self.noise_deviation * math.sqrt(step) * normal(noise)
