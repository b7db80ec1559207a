"""How far made samples lie from real ones: Jensen-Shannon divergence and sliced Wasserstein distance."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from .source import Source

REAL, FINENESS = 4096, 8  # real samples, and how many of their quantiles stand against one made sample
DIRECTIONS = 8


class Distances(nn.Module):
    """Two distances between the K samples that a generator has made and the real distribution, each 0 if they agree.

    ``jensen_shannon``, in bits and at most 1, is the divergence between the shares of samples of each mode or class,
    with one share more for those of none (Lin, 1991). ``wasserstein`` is the distance by which the samples would have
    to be moved along a line, as the mean over eight directions of the sample space (Rabin et al., 2012). Both take the
    real distribution from 4096 samples, and a generator of few samples is never quite at 0.

    Args:
        source: of the real samples.
        count: K, the samples of a generator.
    """

    shares: Tensor
    directions: Tensor
    quantiles: Tensor

    def __init__(self, source: Source, count: int) -> None:
        super().__init__()
        generator = np.random.RandomState(0)  # NumPy never changes it
        uniforms = torch.from_numpy(generator.random_sample((REAL, source.real_uniforms))).to(torch.float32)
        real = source.real(uniforms)
        normal = torch.from_numpy(generator.standard_normal((real[0].numel(), DIRECTIONS))).to(torch.float32)
        if len(normal) == 2:  # in the plane evenly spaced
            angles = torch.arange(DIRECTIONS, dtype=torch.float32) * (torch.pi / DIRECTIONS)
            normal = torch.stack([angles.cos(), angles.sin()])
        place = (torch.arange(FINENESS * count, dtype=torch.float32) + 0.5) / (FINENESS * count)
        directions = normal / normal.norm(dim=0)
        self.register_buffer("directions", directions, persistent=False)  # (D, 8)
        quantiles = torch.quantile(_flat(real) @ directions, place, dim=0).t().contiguous()
        self.register_buffer("quantiles", quantiles, persistent=False)  # (8, 8 K)
        self.register_buffer("shares", self._histogram(source, real[None])[0], persistent=False)  # (modes + 1,)

    def forward(self, source: Source, made: Tensor) -> dict[str, Tensor]:
        """Both (B,) by name, of samples (B, K, ...)."""
        line = (_flat(made) @ self.directions).sort(dim=1).values.transpose(1, 2)  # (B, 8, K)
        apart = (line.repeat_interleave(FINENESS, 2) - self.quantiles).abs().mean((1, 2))
        return {
            "jensen_shannon": jensen_shannon(self._histogram(source, made), self.shares),
            "wasserstein": apart,
        }

    @staticmethod
    def _histogram(source: Source, samples: Tensor) -> Tensor:
        """(B, modes + 1): the shares of samples (B, K, ...) of each mode, a sample of several being of the first."""
        near = source.near(samples.flatten(0, 1)).to(torch.float32)  # (B K, modes)
        none = 1 - near.amax(1, keepdim=True)
        first = near * (near.cumsum(1) == 1)
        return torch.cat([first, none], 1).unflatten(0, samples.shape[:2]).mean(1)


def jensen_shannon(first: Tensor, second: Tensor) -> Tensor:
    """(...,) in bits, of two distributions (..., K)."""
    middle = (first + second) / 2

    def entropy(shares: Tensor) -> Tensor:
        return torch.special.entr(shares).sum(-1)

    return ((entropy(middle) - (entropy(first) + entropy(second)) / 2) / np.log(2)).clamp(min=0)


def _flat(samples: Tensor) -> Tensor:
    """Points (..., 2) as they are, images (..., 1, H, W) uint8 as (..., H W) in [0, 1]."""
    return samples.flatten(-3).to(torch.float32) / 255 if samples.dtype == torch.uint8 else samples.to(torch.float32)
