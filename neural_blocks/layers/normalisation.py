"""Normalisation of a layer's features, by name."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import unknown_name

NORMALISATIONS = ("batch", "adaptive_batch", "layer", "group")


class BatchNorm(nn.BatchNorm1d):
    """Each feature by its mean and variance over all rows (Ioffe and Szegedy, 2015): (..., F) to (..., F).

    In evaluation mode, and of a single row, by those that have been running in training.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(..., F) to (..., F)."""
        flat = x.reshape(-1, self.num_features)
        if len(flat) > 1:
            return super().forward(flat).view_as(x)
        return F.batch_norm(flat, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps).view_as(x)


class AdaptiveBatchNorm(BatchNorm):
    """A `BatchNorm` that goes by the present rows also in evaluation mode, so that it follows where inputs have moved.

    Schneider et al. (2020). What has been running in training serves a single row alone.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(..., F) to (..., F)."""
        flat = x.reshape(-1, self.num_features)
        if self.training or len(flat) < 2:
            return super().forward(x)
        return F.batch_norm(flat, None, None, self.weight, self.bias, training=True, eps=self.eps).view_as(x)


class GroupNorm(nn.GroupNorm):
    """Neighbouring features by their own mean and variance, in up to 8 groups of 4 or more (Wu and He, 2018).

    (..., F) to (..., F).
    """

    def __init__(self, features: int) -> None:
        super().__init__(math.gcd(8, max(1, features // 4), features), features)

    def forward(self, x: Tensor) -> Tensor:
        """(..., F) to (..., F)."""
        return super().forward(x.reshape(-1, self.num_channels)).view_as(x)


def make_normalisation(name: str, features: int) -> nn.Module:
    """What normalises (..., F): "batch", "adaptive_batch", "layer" (Ba et al., 2016) or "group".

    Raises:
        InvalidInput: another name.
    """
    if name not in NORMALISATIONS:
        raise unknown_name("MLP: normalisation", name, NORMALISATIONS)
    kinds = {"batch": BatchNorm, "adaptive_batch": AdaptiveBatchNorm, "layer": nn.LayerNorm, "group": GroupNorm}
    return kinds[name](features)
