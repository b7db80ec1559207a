"""Grey images as whole numbers: the scales, noise and likelihood that models of discrete pixels share.

A picture is (B, C, H, W) int64 with values 0 to levels - 1. The default of 17 levels is that of scikit-learn's digits
(UCI optical recognition of handwritten digits: counts of ink in 4 x 4 blocks, 0 to 16).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InvalidInput
from ..noise import Draws, Seed


def check_shape(name: str, x: Tensor, shape: tuple[int, ...]) -> None:
    """Raises `InvalidInput` unless x is a batch of that shape, (B, *shape)."""
    if tuple(x.shape[1:]) != tuple(shape):
        raise InvalidInput(f"{name}: input must have shape (B, {', '.join(map(str, shape))}); got {tuple(x.shape)}")


def quantise(images: Tensor, levels: int = 17) -> Tensor:
    """Images in [0, 1] as the nearest of `levels` equally spaced greys, int64 of the same shape."""
    return (images * (levels - 1)).round().clamp(0, levels - 1).long()


def unit_scale(pixels: Tensor, levels: int = 17, dtype: torch.dtype = torch.float32) -> Tensor:
    """Pixels 0 to levels - 1 as floats 0 to 1, the inverse of `quantise`."""
    return pixels.to(dtype) / (levels - 1)


def dequantise(pixels: Tensor, levels: int = 17, seed: Seed = None, dtype: torch.dtype = torch.float32) -> Tensor:
    """Pixels with uniform noise added and scaled to [0, 1), so that a density over the cube can model them.

    The mean log density of such a picture, less D ln(levels) for D pixels, is a lower bound on the log probability of
    the pixels (Theis, van den Oord and Bethge, 2016).
    """
    noise = Draws(seed, pixels.device).uniform(*pixels.shape)
    return (pixels + noise.to(dtype)) / levels


def bits_per_dimension(log_prob: Tensor, dimensions: int) -> Tensor:
    """Negative log probabilities of pictures, nats of any shape, as bits for each of their `dimensions` pixels."""
    return -log_prob / (dimensions * math.log(2))


def discretised_logistic(pixels: Tensor, mean: Tensor, log_scale: Tensor, levels: int = 17) -> Tensor:
    """Log probability of each pixel: a logistic distribution's mass in the pixel's bin; the end bins own the tails.

    Salimans et al. (2017), one component. In units of [0, 1], where greys are 1 / (levels - 1) apart.

    Args:
        pixels: int64, 0 to levels - 1.
        mean: float, broadcastable to the pixels.
        log_scale: float, broadcastable to the pixels.
        levels: number of greys.

    Returns:
        Nats, of the pixels' shape.
    """
    centred = unit_scale(pixels, levels, mean.dtype) - mean
    half_bin = 0.5 / (levels - 1)
    inverse_scale = torch.exp(-log_scale)
    upper, lower = (centred + half_bin) * inverse_scale, (centred - half_bin) * inverse_scale
    # ln(sigmoid(u) - sigmoid(l)) = ln sigmoid(u) + ln sigmoid(-l) + ln(1 - exp(l - u)), which does not underflow.
    width = 2 * half_bin * inverse_scale
    inside = F.logsigmoid(upper) + F.logsigmoid(-lower) + torch.log(-torch.expm1(-width))
    ends = torch.where(pixels == 0, F.logsigmoid(upper), F.logsigmoid(-lower))
    return torch.where((pixels == 0) | (pixels == levels - 1), ends, inside)


def logistic_mixture(
    pixels: Tensor, logits: Tensor, mean: Tensor, log_scale: Tensor, levels: int = 17, dim: int = -1
) -> Tensor:
    """Log probability of each pixel under a mixture of discretised logistics (Salimans et al., 2017).

    Args:
        pixels: int64, 0 to levels - 1, with an axis of size 1 in the place of the components.
        logits: of the components' weights, along `dim`; broadcastable to the pixels, as are the others.
        mean: of each component, in units of [0, 1].
        log_scale: of each component.
        levels: number of greys.
        dim: the axis of the components.

    Returns:
        Nats, of the broadcast shape without that axis.
    """
    each = discretised_logistic(pixels, mean, log_scale, levels)
    return (logits.log_softmax(dim) + each).logsumexp(dim)
