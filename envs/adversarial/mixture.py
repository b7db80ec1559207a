"""Where points of the plane come from: a ring of Gaussians, or a disc; and how well the two can be told apart."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Ring(nn.Module):
    """Equally likely Gaussians of one deviation, evenly spaced on a ring around the origin.

    Args:
        modes: how many Gaussians the whole ring has.
        spread: the deviation of each.
        used: how many of them, the first ones, points come from.
        radius: of the ring; the square has half-width 1.
    """

    centres: Tensor

    def __init__(self, modes: int, spread: float, used: int, radius: float) -> None:
        super().__init__()
        angle = torch.arange(used, dtype=torch.float64) * (2 * math.pi / modes)
        centres = radius * torch.stack([angle.cos(), angle.sin()], 1)
        self.register_buffer("centres", centres.float(), persistent=False)  # (K, 2)
        self.spread = spread

    def sample(self, noise: Tensor) -> Tensor:
        """Points (B, 2) from uniforms (B, 2): the first picks the Gaussian, and what is left of it one coordinate."""
        place = noise[:, 0] * len(self.centres)
        mode = place.long()
        offset = torch.special.ndtri(torch.stack([place - mode, noise[:, 1]], 1))
        return (self.centres[mode] + self.spread * offset).clamp(-1, 1)

    def log_density(self, points: Tensor) -> Tensor:
        """(B,) of points (B, 2), in nats."""
        squared = (points[:, None] - self.centres).square().sum(2)  # (B, K)
        exponents = -squared / (2 * self.spread**2)
        return exponents.logsumexp(1) - math.log(len(self.centres) * 2 * math.pi * self.spread**2)


class Disc(nn.Module):
    """Uniform on the disc of radius 1."""

    def sample(self, noise: Tensor) -> Tensor:
        """Points (B, 2) from uniforms (B, 2): an angle and a squared radius."""
        angle = 2 * math.pi * noise[:, 0]
        return noise[:, 1:].sqrt() * torch.stack([angle.cos(), angle.sin()], 1)

    def uniforms(self, points: Tensor) -> Tensor:
        """(B, 2) from which `sample` makes these points (B, 2)."""
        angle = torch.atan2(points[:, 1], points[:, 0]) / (2 * math.pi)
        return torch.stack([angle.remainder(1), points.square().sum(1)], 1).clamp(0, 1 - 2**-24)

    def log_density(self, points: Tensor) -> Tensor:
        """(B,) of points (B, 2), in nats; the same beyond the disc, so that nothing there passes for real."""
        return torch.full_like(points[:, 0], -math.log(math.pi))


def chance(first: Ring, second: Ring | Disc, points: Tensor) -> Tensor:
    """(B, 1) how likely points (B, 2) come from the first of two sources that are equally likely a priori."""
    return 1 / (1 + (second.log_density(points) - first.log_density(points)).exp())[:, None]
