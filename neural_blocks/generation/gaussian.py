"""Normal distributions in closed form: what variational autoencoders, flows and diffusion models share."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def gaussian_log_prob(x: Tensor, mean: Tensor | float = 0.0, log_scale: Tensor | float = 0.0) -> Tensor:
    """Log density of each dimension under a normal distribution.

    Args:
        x: float, any shape.
        mean: broadcastable to x.
        log_scale: natural logarithm of the standard deviation, broadcastable to x.

    Returns:
        Nats, of the broadcast shape.
    """
    log_scale = torch.as_tensor(log_scale, dtype=x.dtype, device=x.device)
    return -0.5 * (((x - mean) * (-log_scale).exp()).square() + math.log(2 * math.pi)) - log_scale


def gaussian_kl(
    mean: Tensor, log_variance: Tensor, other_mean: Tensor | float = 0.0, other_log_variance: Tensor | float = 0.0
) -> Tensor:
    """Divergence KL(N(mean, variance) || N(other mean, other variance)) of each dimension.

    With the default, the standard normal, it is the one of Kingma and Welling (2014), appendix B.

    Args:
        mean: float, any shape.
        log_variance: natural logarithm of the variance, broadcastable to the mean.
        other_mean: broadcastable to the mean.
        other_log_variance: broadcastable to the mean.

    Returns:
        Nats, of the broadcast shape.
    """
    other_log_variance = torch.as_tensor(other_log_variance, dtype=mean.dtype, device=mean.device)
    ratio = log_variance - other_log_variance
    return 0.5 * ((mean - other_mean).square() * (-other_log_variance).exp() + ratio.exp() - 1 - ratio)
