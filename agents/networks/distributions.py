"""Policies over an action space: from a network's outputs to actions, log-probabilities and entropies.

Every distribution takes parameters (..., `size`) and speaks of raw actions, which `to_env` turns into the space's own;
a random one is made from uniforms (..., `noise`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...envs.core.noise import normal
from ...neural_blocks.noise import categorical

SMALLEST_WEIGHT = 1e-9


def choose(logits: Tensor, noise: Tensor) -> Tensor:
    """One of n values with the softmax of logits (..., n), int64 (...); never one whose logit is minus infinity.

    Args:
        logits: (..., n).
        noise: (..., 1) uniforms.
    """
    return categorical(logits.softmax(-1), noise.squeeze(-1))


class Policy(nn.Module, ABC):
    """What the policies of all action spaces share."""

    @abstractmethod
    def log_prob(self, parameters: Tensor, action: Tensor) -> Tensor:
        """(...) the log-probability, or log-density, of the raw action."""

    def agreement(self, parameters: Tensor, action: Tensor) -> Tensor:
        """(...) what imitation makes as large as it can, of the expert's raw action: its log-probability."""
        return self.log_prob(parameters, action)


class Categorical(Policy):
    """One of n values: a Discrete space. Parameters are n logits; raw actions (...) int64 from 0 to n - 1."""

    def __init__(self, space: spaces.Discrete) -> None:
        super().__init__()
        self.size, self.start, self.noise = int(space.n), int(space.start), 1

    def sample(self, logits: Tensor, noise: Tensor) -> Tensor:
        """A random action."""
        return choose(logits, noise)

    def mode(self, logits: Tensor) -> Tensor:
        """The most probable action."""
        return logits.argmax(-1)

    def log_prob(self, logits: Tensor, action: Tensor) -> Tensor:
        """(...) the log-probability of the action."""
        return (logits.gather(-1, action.unsqueeze(-1)) - logits.logsumexp(-1, keepdim=True)).squeeze(-1)

    def focal(self, logits: Tensor, action: Tensor, gamma: float) -> Tensor:
        """(...) the action's log-probability times (1 - p)^gamma (Lin et al., 2017)."""
        log_prob = self.log_prob(logits, action)
        return (-torch.expm1(log_prob)).clamp(min=SMALLEST_WEIGHT) ** gamma * log_prob

    def hinge(self, logits: Tensor, action: Tensor) -> Tensor:
        """(...) minus what the action's logit lacks of 1 above the largest other one (Crammer and Singer, 2001)."""
        chosen = action.unsqueeze(-1)
        other = logits.scatter(-1, chosen, -torch.inf).amax(-1)
        return -(1 - (logits.gather(-1, chosen).squeeze(-1) - other)).clamp(min=0)

    def mean_log_prob(self, logits: Tensor) -> Tensor:
        """(...) the mean of the log-probabilities of all actions that are not masked."""
        possible = logits > -torch.inf
        return logits.masked_fill(~possible, 0).sum(-1) / possible.sum(-1) - logits.logsumexp(-1)

    def entropy(self, logits: Tensor) -> Tensor:
        """(...) in nats; a logit of minus infinity, of an action that is masked, adds nothing."""
        log_probs = logits - logits.logsumexp(-1, keepdim=True)  # log_softmax is slow over a short last axis
        return -(log_probs.exp() * log_probs.clamp(min=torch.finfo(logits.dtype).min)).sum(-1)

    def to_env(self, action: Tensor) -> Tensor:
        """The space's own value."""
        return action + self.start if self.start else action

    def from_env(self, action: Tensor) -> Tensor:
        """The raw action of the space's own value (...)."""
        return action - self.start if self.start else action


class MultiCategorical(Policy):
    """Several independent choices: a MultiDiscrete space. Parameters are all logits in a row; raw actions (..., n).

    Choices among equally many values are made at once, others one after the other.
    """

    start: Tensor

    def __init__(self, space: spaces.MultiDiscrete) -> None:
        super().__init__()
        self.sizes = [int(n) for n in space.nvec.reshape(-1)]
        self.size, self.shape, self.noise = sum(self.sizes), space.shape, len(self.sizes)
        self.parts = [Categorical(spaces.Discrete(n)) for n in self.sizes]
        self.register_buffer("start", torch.as_tensor(space.start), persistent=False)

    def sample(self, logits: Tensor, noise: Tensor) -> Tensor:
        """A random action."""
        return self._each(logits, lambda part, own, chance: part.sample(own, chance[..., None]), noise)

    def mode(self, logits: Tensor) -> Tensor:
        """The most probable action."""
        return self._each(logits, lambda part, own: part.mode(own))

    def log_prob(self, logits: Tensor, action: Tensor) -> Tensor:
        """(...) the log-probability of all choices together."""
        return self._each(logits, lambda part, own, chosen: part.log_prob(own, chosen), action).sum(-1)

    def focal(self, logits: Tensor, action: Tensor, gamma: float) -> Tensor:
        """(...) the sum over choices, see `Categorical.focal`."""
        return self._each(logits, lambda part, own, chosen: part.focal(own, chosen, gamma), action).sum(-1)

    def hinge(self, logits: Tensor, action: Tensor) -> Tensor:
        """(...) the sum over choices, see `Categorical.hinge`."""
        return self._each(logits, lambda part, own, chosen: part.hinge(own, chosen), action).sum(-1)

    def mean_log_prob(self, logits: Tensor) -> Tensor:
        """(...) the mean of the log-probabilities of all values of each choice, summed over choices."""
        return self._each(logits, lambda part, own: part.mean_log_prob(own)).sum(-1)

    def entropy(self, logits: Tensor) -> Tensor:
        """(...) in nats."""
        return self._each(logits, lambda part, own: part.entropy(own)).sum(-1)

    def _each(self, logits: Tensor, function: Any, *values: Tensor) -> Tensor:
        """(..., n) a function of each choice: of its distribution, its logits and its entry of values (..., n)."""
        if len(set(self.sizes)) == 1:
            return function(self.parts[0], logits.unflatten(-1, (len(self.sizes), -1)), *values)
        rows = zip(self.parts, logits.split(self.sizes, -1), range(len(self.sizes)), strict=True)
        return torch.stack([function(part, own, *(one[..., k] for one in values)) for part, own, k in rows], -1)

    def to_env(self, action: Tensor) -> Tensor:
        """The space's own values, in its shape."""
        return action.reshape(*action.shape[:-1], *self.shape) + self.start

    def from_env(self, action: Tensor) -> Tensor:
        """The raw action of the space's own values (..., *shape)."""
        return _flat(action - self.start, self.shape)


class Bernoulli(Policy):
    """Independent bits: a MultiBinary space. Parameters are one logit a bit; raw actions (..., n) float 0 or 1."""

    def __init__(self, space: spaces.MultiBinary) -> None:
        super().__init__()
        self.shape = space.shape
        self.size = self.noise = math.prod(space.shape)

    def sample(self, logits: Tensor, noise: Tensor) -> Tensor:
        """Random bits."""
        return (noise < logits.sigmoid()).to(logits.dtype)

    def mode(self, logits: Tensor) -> Tensor:
        """The most probable bits."""
        return (logits > 0).float()

    def log_prob(self, logits: Tensor, action: Tensor) -> Tensor:
        """(...) the log-probability of all bits together."""
        return -F.binary_cross_entropy_with_logits(logits, action, reduction="none").sum(-1)

    def entropy(self, logits: Tensor) -> Tensor:
        """(...) in nats."""
        return F.binary_cross_entropy_with_logits(logits, logits.sigmoid(), reduction="none").sum(-1)

    def to_env(self, action: Tensor) -> Tensor:
        """int8 bits in the space's shape."""
        return action.reshape(*action.shape[:-1], *self.shape).to(torch.int8)

    def from_env(self, action: Tensor) -> Tensor:
        """The raw action of int8 bits (..., *shape)."""
        return _flat(action, self.shape).float()


class _OfABox(Policy):
    """What policies over a Box share: raw actions (..., n), of which the environment gets its own.

    That is the raw action clipped to the box, scaled from [-1, 1] where that has two bounds.
    """

    low: Tensor
    high: Tensor
    centre: Tensor
    scale: Tensor

    def __init__(self, space: spaces.Box) -> None:
        super().__init__()
        self.shape = space.shape
        self.dimensions = math.prod(space.shape)
        between = space.bounded_below & space.bounded_above
        low, high = (np.where(between, bound, 0.0).astype(np.float64) for bound in (space.low, space.high))
        limits = {
            "low": space.low,
            "high": space.high,
            "centre": low / 2 + high / 2,
            "scale": np.where(between, high / 2 - low / 2, 1.0),
        }
        for name, values in limits.items():
            self.register_buffer(name, torch.as_tensor(values, dtype=torch.get_default_dtype()), persistent=False)

    def to_env(self, action: Tensor) -> Tensor:
        """The action in the box, in its shape."""
        action = action.reshape(*action.shape[:-1], *self.shape)
        return torch.clamp(self.centre + self.scale * action, self.low, self.high)

    def from_env(self, action: Tensor) -> Tensor:
        """The raw action of one in the box (..., *shape)."""
        return _flat((action - self.centre) / self.scale, self.shape)


class DiagonalGaussian(_OfABox):
    """A normal distribution with a learned deviation per dimension: a Box space.

    Parameters are means; raw actions (..., n). The environment gets the raw action clipped to the box, scaled from
    [-1, 1] where that has two bounds.
    """

    def __init__(self, space: spaces.Box) -> None:
        super().__init__(space)
        self.size = self.noise = self.dimensions
        self.log_std = nn.Parameter(torch.full((self.size,), -0.5))

    def sample(self, mean: Tensor, noise: Tensor) -> Tensor:
        """A random action."""
        return mean + self.log_std.exp() * normal(noise)

    def mode(self, mean: Tensor) -> Tensor:
        """The mean."""
        return mean

    def log_prob(self, mean: Tensor, action: Tensor) -> Tensor:
        """(...) the log-density of the raw action."""
        scaled = (action - mean) * (-self.log_std).exp()
        return (-0.5 * scaled.square() - self.log_std - 0.5 * math.log(2 * math.pi)).sum(-1)

    def distance(self, mean: Tensor, action: Tensor, power: int) -> Tensor:
        """(...) the mean over entries of what the mean and the raw action are apart, or of its square (power 2)."""
        return (mean - action).abs().pow(power).mean(-1)

    def entropy(self, mean: Tensor) -> Tensor:
        """(...) in nats, of the raw action."""
        return (self.log_std + 0.5 * math.log(2 * math.pi * math.e)).sum().expand(mean.shape[:-1])


class GaussianMixture(_OfABox):
    """Several normal distributions, one of which is drawn: a Box space with more than one good action (Bishop, 1994).

    Parameters are K logits, then K times n means, each counted from its component's learned centre; deviations per
    component and dimension are learned and do not depend on the observation. Raw actions are as `DiagonalGaussian` has
    them.

    Args:
        space: of the actions.
        components: K.
    """

    def __init__(self, space: spaces.Box, components: int) -> None:
        super().__init__(space)
        self.components = components
        self.size, self.noise = components * (1 + self.dimensions), self.dimensions + 1
        # Centres differ from the start, or all components would learn the same: evenly over [-1, 1] in the first
        # dimension, and in another order of the same values in each of the others.
        place = torch.arange(components)
        step = [s for s in range(1, components + 1) if math.gcd(s, components) == 1]
        orders = [(place * step[d % len(step)] + d // len(step)) % components for d in range(self.dimensions)]
        even = (2 * torch.stack(orders, 1) + 1) / components - 1
        self.centres = nn.Parameter(even.to(torch.get_default_dtype()))  # (K, n)
        self.log_std = nn.Parameter(torch.full((components, self.dimensions), -0.5))

    def _parts(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Log-weights (..., K) and means (..., K, n)."""
        logits, means = parameters.split([self.components, self.components * self.dimensions], -1)
        log_weights = logits - logits.logsumexp(-1, keepdim=True)
        return log_weights, self.centres + means.unflatten(-1, (self.components, self.dimensions))

    def _of(self, component: Tensor, values: Tensor) -> Tensor:
        """(..., n) the rows of values (..., K, n) that components (...) stand for."""
        index = component[..., None, None].expand(*component.shape, 1, self.dimensions)
        return values.gather(-2, index).squeeze(-2)

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        """A random action: the first uniform draws the component."""
        log_weights, means = self._parts(parameters)
        component = choose(log_weights, noise[..., :1])
        deviation = self.log_std.exp()[component]
        return self._of(component, means) + deviation * normal(noise[..., 1:])

    def mode(self, parameters: Tensor) -> Tensor:
        """The mean of the likeliest component."""
        log_weights, means = self._parts(parameters)
        return self._of(log_weights.argmax(-1), means)

    def log_prob(self, parameters: Tensor, action: Tensor) -> Tensor:
        """(...) the log-density of the raw action."""
        log_weights, means = self._parts(parameters)
        scaled = (action.unsqueeze(-2) - means) * (-self.log_std).exp()
        each = (-0.5 * scaled.square() - self.log_std - 0.5 * math.log(2 * math.pi)).sum(-1)  # (..., K)
        return torch.logsumexp(log_weights + each, -1)

    def entropy(self, parameters: Tensor) -> Tensor:
        """(...) in nats, of the raw action: a lower bound (Kolchinsky and Tracey, 2017, with Bhattacharyya distances).

        It is exact where all components are the same and where they lie far apart.
        """
        log_weights, means = self._parts(parameters)
        weights, variance = log_weights.exp(), (2 * self.log_std).exp()  # (..., K), (K, n)
        between = (variance[:, None] + variance) / 2  # (K, K, n)
        apart = (means.unsqueeze(-2) - means.unsqueeze(-3)).square() / between  # (..., K, K, n)
        spread = between.log() - self.log_std[:, None] - self.log_std
        distance = (apart / 8 + spread / 2).sum(-1)  # (..., K, K)
        own = (self.log_std + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)  # (K,)
        shared = torch.logsumexp(log_weights.unsqueeze(-2) - distance, -1)
        return (weights * (own - shared)).sum(-1)


class LogisticNormal(DiagonalGaussian):
    """Odds of n alternatives as a softmax of normal logits (Aitchison and Shen, 1980): an `Odds` space.

    Parameters are n mean logits; raw actions (..., n) are logits. The environment gets probabilities, which sum to 1.
    """

    def to_env(self, action: Tensor) -> Tensor:
        """The probabilities."""
        return action.softmax(-1)

    def from_env(self, action: Tensor) -> Tensor:
        """The logits of weights (..., n); no weight counts as a very small one."""
        return action.clamp(min=SMALLEST_WEIGHT).log()

    def agreement(self, parameters: Tensor, action: Tensor) -> Tensor:
        """(...) minus the cross-entropy from the expert's probabilities to those of the mean logits, in nats.

        The expert's logits themselves have no finite density where it is certain.
        """
        return (action.softmax(-1) * parameters.log_softmax(-1)).sum(-1)


def _flat(action: Tensor, shape: tuple[int, ...]) -> Tensor:
    """(..., *shape) to (..., n)."""
    return action.reshape(*action.shape[: action.ndim - len(shape)], -1)
