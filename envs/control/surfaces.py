"""Losses to descend, each with its gradient in closed form: quadratics, a valley, wells, two small models.

Quadratics and double wells are written along the axes of their curvature. A step of the heavy ball, and all that
Descent shows, is the same in any rotated frame, so they stand for rotated ones too. An optimiser that treats each
parameter by itself, as Adam does, is helped by such axes: who compares must rotate what it sees, as
benchmarks/descent.py does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.noise import normal

TINY = 1e-12  # keeps a loss above 0
POINTS = 24  # rows of the logistic regression's data
FEATURE_SCALES = (0.3, 1.0, 3.0)
RIDGE = 0.005
HIDDEN, SAMPLES = 4, 12  # units and rows of the network's data


class Surface(ABC):
    """A family of losses. A member is a row of numbers, drawn from uniforms.

    Attributes:
        size: P, parameters.
        noise: uniforms that draw a member and where the descent starts.
    """

    size: int
    noise: int

    @abstractmethod
    def draw(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Members (B, ...) and starts (B, P), float64, from uniforms (B, noise)."""

    @abstractmethod
    def value(self, member: Tensor, at: Tensor) -> Tensor:
        """The loss (...), above 0, at parameters (..., P), alone."""

    @abstractmethod
    def loss(self, member: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        """The loss (...), above 0, and its gradient (..., P) at parameters (..., P); all float64."""


class Quadratic(Surface):
    """f = sum of h_i x_i^2 / 2, with curvatures h_i up to two orders of magnitude apart."""

    size = 12
    noise = 2 * size + 1

    def draw(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Curvatures log-uniform over two orders of magnitude, the largest possible one between 1 and 10."""
        scale, curvature, start = noise.double().split([1, self.size, self.size], 1)
        return 10 ** (scale - 2 * curvature), normal(start)

    def value(self, member: Tensor, at: Tensor) -> Tensor:
        """Half the weighted squares."""
        return (member * at * at).sum(-1) / 2 + TINY

    def loss(self, member: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        """The value, and the weighted parameters."""
        return self.value(member, at), member * at


class Valley(Surface):
    """Rosenbrock's curved valley (1960), f = (1 - x)^2 + b (y - x^2)^2, with b from 3 to 30."""

    size, noise = 2, 3

    def draw(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """The steepness of the walls, and a start on the other side of the bend."""
        steep, x, y = noise.double().unbind(1)
        return 10 ** (0.5 + steep)[:, None], torch.stack([-0.5 - x, 2 * y], 1)

    def value(self, member: Tensor, at: Tensor) -> Tensor:
        """Distance along the valley, and from its floor."""
        x, y = at.unbind(-1)
        return (1 - x) ** 2 + member[..., 0] * (y - x**2) ** 2 + TINY

    def loss(self, member: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        """The value, and its two slopes."""
        (x, y), b = at.unbind(-1), member[..., 0]
        off = y - x**2
        gradient = torch.stack([-2 * (1 - x) - 4 * b * x * off, 2 * b * off], -1)
        return self.value(member, at), gradient


class DoubleWell(Surface):
    """f = sum of h_i (x_i^2 - 1)^2 / 4: two minima a coordinate, and a start near the ridges between them."""

    size = 4
    noise = 2 * size

    def draw(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """How steep the wells are, over one and a half orders of magnitude, and a start close to 0."""
        steep, start = noise.double().split(self.size, 1)
        return 10 ** (1.5 * steep - 0.5), 0.3 * normal(start)

    def value(self, member: Tensor, at: Tensor) -> Tensor:
        """Fourth powers."""
        return (member * (at**2 - 1) ** 2).sum(-1) / 4 + TINY

    def loss(self, member: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        """The value, and third powers."""
        return self.value(member, at), member * at * (at**2 - 1)


class ShallowWell(Surface):
    """A shallow minimum on the way to a deep one, along x, across a bowl, k y^2 / 2.

    The slope along x is h (x^2 - 1) (x - r) with a ridge at r below 0: the loss is 0 in the deep minimum, at x = 1, and
    -4 h r / 3 in the shallow one, at -1. The start lies beyond that: who goes down by small steps alone ends in it.
    """

    size, noise = 2, 5

    def draw(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """h from 0.3 to 3, r from -0.5 to -0.2, k from 1 to 10, and a start with x from -2 to -1.4."""
        steep, ridge, bowl, x, y = noise.double().unbind(1)
        member = torch.stack([10 ** (steep - 0.5), -0.2 - 0.3 * ridge, 10**bowl], 1)
        return member, torch.stack([-1.4 - 0.6 * x, 4 * y - 2], 1)

    def value(self, member: Tensor, at: Tensor) -> Tensor:
        """A polynomial of the fourth degree, and a square."""
        (x, y), (h, r, k) = at.unbind(-1), member.unbind(-1)
        # the wells and their difference, (x^2 - 1)^2 / 4 - r (x - 1)^2 (x + 2) / 3, each written so that 0 is exact
        return h * ((x * x - 1) ** 2 / 4 - r * (x - 1) ** 2 * (x + 2) / 3) + k * y * y / 2 + TINY

    def loss(self, member: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        """The value, and its two slopes."""
        (x, y), (h, r, k) = at.unbind(-1), member.unbind(-1)
        return self.value(member, at), torch.stack([h * (x * x - 1) * (x - r), k * y], -1)


class Logistic(Surface):
    """The mean log-loss of a logistic regression with three features on unlike scales, a bias and a ridge."""

    size = 4
    noise = POINTS * (size - 1) + POINTS + (size - 1)

    def draw(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Features, then labels of -1 and 1 that a random linear rule gives with some noise; the start is 0."""
        rows, flips, rule = noise.double().split([POINTS * 3, POINTS, 3], 1)
        features = normal(rows).unflatten(1, (POINTS, 3))
        chance = torch.sigmoid(3 * (features * normal(rule)[:, None]).sum(-1))
        labels = torch.where(flips < chance, 1.0, -1.0).double()
        scaled = features * features.new_tensor(FEATURE_SCALES)
        return torch.cat([scaled.flatten(1), labels], 1), torch.zeros_like(rule[:, :1]).expand(-1, self.size)

    def value(self, member: Tensor, at: Tensor) -> Tensor:
        """Mean softplus of minus the margins, and the ridge."""
        _, _, margin = self._margins(member, at)
        return F.softplus(-margin).mean(-1) + RIDGE * at.square().sum(-1)

    def loss(self, member: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        """The value, and what every row pulls."""
        features, labels, margin = self._margins(member, at)
        pull = -labels * torch.sigmoid(-margin) / POINTS
        gradient = (features * pull.unsqueeze(-1)).sum(-2) + 2 * RIDGE * at
        return F.softplus(-margin).mean(-1) + RIDGE * at.square().sum(-1), gradient

    def _margins(self, member: Tensor, at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features (..., POINTS, 4), the last one 1 for the bias; labels and margins (..., POINTS)."""
        features = F.pad(member[..., : 3 * POINTS].unflatten(-1, (POINTS, 3)), (0, 1), value=1.0)
        labels = member[..., 3 * POINTS :]
        return features, labels, labels * (features * at.unsqueeze(-2)).sum(-1)


class Network(Surface):
    """Half the mean squared error of a network with one layer of four tanh units, on points of a sine wave."""

    size = 3 * HIDDEN + 1
    noise = SAMPLES + 2 + size

    def draw(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Places, the wave's values there, and random weights."""
        places, wave, start = noise.double().split([SAMPLES, 2, self.size], 1)
        x, speed, phase = 4 * places - 2, 1 + wave[:, :1], 6.283185307179586 * wave[:, 1:]
        return torch.cat([x, torch.sin(speed * x + phase)], 1), 0.7 * normal(start)

    def value(self, member: Tensor, at: Tensor) -> Tensor:
        """Half the mean squared error."""
        return self._errors(member, at)[-1].square().mean((-2, -1)) / 2 + TINY

    def loss(self, member: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        """Back-propagation by hand."""
        x, out, hidden, error = self._errors(member, at)
        before = error * out * (1 - hidden**2)
        each = torch.cat([before * x, before, error * hidden, error], -1)  # (..., SAMPLES, P)
        return error.square().mean((-2, -1)) / 2 + TINY, each.mean(-2)

    def _errors(self, member: Tensor, at: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Inputs (..., SAMPLES, 1), output weights (..., 1, HIDDEN), units (..., SAMPLES, HIDDEN), errors as inputs."""
        x, y = (part.unsqueeze(-1) for part in member.split(SAMPLES, -1))
        into, shift, out, bias = at.unsqueeze(-2).split([HIDDEN, HIDDEN, HIDDEN, 1], -1)
        hidden = torch.tanh(into * x + shift)
        return x, out, hidden, (hidden * out).sum(-1, keepdim=True) + bias - y


SURFACES: dict[str, type[Surface]] = {
    "quadratic": Quadratic,
    "valley": Valley,
    "double_well": DoubleWell,
    "shallow_well": ShallowWell,
    "logistic": Logistic,
    "network": Network,
}
