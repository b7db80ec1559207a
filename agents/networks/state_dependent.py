"""Exploration that depends on the state and lasts for several steps, gSDE (Raffin et al., 2021)."""

from __future__ import annotations

import math

import gymnasium.spaces as spaces
import torch
from torch import Tensor, nn

from ...envs.core.noise import normal
from .distributions import _OfABox

LEAST = 1e-6  # added to the variance, so that a state without features has a density


class StateDependentGaussian(_OfABox):
    """A normal distribution whose noise is a random linear function of features of the state: a Box space.

    Parameters are n means, then F features within -1 and 1. A matrix of noise (F, n) of learned deviations, drawn anew
    only now and then, turns the features into what is added to the means: as long as it stays, a state's action does.
    Its density is that of the normal distribution over all matrices. Raw actions are as `DiagonalGaussian` has them.

    Args:
        space: of the actions.
        features: F.

    Attributes:
        latent: F, parameters that a network gives apart from the means.
    """

    def __init__(self, space: spaces.Box, features: int) -> None:
        super().__init__(space)
        self.latent, self.size = features, self.dimensions + features
        self.noise = features * self.dimensions
        self.log_std = nn.Parameter(torch.full((features, self.dimensions), -0.5))

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Means (..., n) and features (..., F), whose squares are 1 in all, at most."""
        mean, features = parameters.split([self.dimensions, self.latent], -1)
        return mean, features / math.sqrt(self.latent)

    def variance(self, features: Tensor) -> Tensor:
        """(..., n) of what is added to the means, for scaled features (..., F)."""
        return features.square() @ self.log_std.mul(2).exp() + LEAST

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        """The action by the matrix of these uniforms (..., F n)."""
        mean, features = self._split(parameters)
        matrix = self.log_std.exp() * normal(noise).unflatten(-1, (self.latent, self.dimensions))
        return mean + (features.unsqueeze(-2) @ matrix).squeeze(-2)

    def log_deviation(self, parameters: Tensor) -> Tensor:
        """(..., n) the logarithm of the deviation over all matrices."""
        return self.variance(self._split(parameters)[1]).log() / 2

    def mode(self, parameters: Tensor) -> Tensor:
        """The mean."""
        return self._split(parameters)[0]

    def log_prob(self, parameters: Tensor, action: Tensor) -> Tensor:
        """(...) the log-density of the raw action, over all matrices."""
        mean, features = self._split(parameters)
        variance = self.variance(features)
        return -0.5 * ((action - mean).square() / variance + (2 * math.pi * variance).log()).sum(-1)

    def entropy(self, parameters: Tensor) -> Tensor:
        """(...) in nats, of the raw action."""
        variance = self.variance(self._split(parameters)[1])
        return 0.5 * (2 * math.pi * math.e * variance).log().sum(-1)
