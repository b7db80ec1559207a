"""Gamma and Dirichlet variates from uniforms, a fixed number of them, so that a draw needs no generator and no loop."""

from __future__ import annotations

import torch
from torch import Tensor

from ...envs.core.noise import SMALLEST, normal

PROPOSALS = 4  # at the least favourable shape, 1, all are refused once in 200,000 draws; the mean stands in then
GAMMA_NOISE = 2 * PROPOSALS  # uniforms that one variate takes


def gamma(shape: Tensor, noise: Tensor) -> Tensor:
    """Gamma variates of scale 1 (Marsaglia and Tsang, 2000): of several proposals the first that is accepted.

    Args:
        shape: (...) of each, at least 1.
        noise: (..., `GAMMA_NOISE`) uniforms.

    Returns:
        (...) float32.
    """
    d = shape.unsqueeze(-1) - 1 / 3  # (..., 1)
    c = (9 * d).rsqrt()
    x, uniform = normal(noise[..., :PROPOSALS]), noise[..., PROPOSALS:].clamp(min=SMALLEST)  # (..., P)
    v = (1 + c * x) ** 3
    positive = v > 0
    log_v = torch.where(positive, v, 1.0).log()
    accepted = positive & (uniform.log() < 0.5 * x.square() + d * (1 - v + log_v))
    first = accepted.int().argmax(-1, keepdim=True)
    drawn = (d * v).gather(-1, first).squeeze(-1)
    return torch.where(accepted.any(-1), drawn, shape)


def dirichlet(concentration: Tensor, noise: Tensor) -> Tensor:
    """Dirichlet variates along the last axis: gamma variates divided by their sum.

    Args:
        concentration: (..., K), at least 1.
        noise: (..., K, `GAMMA_NOISE`) uniforms.

    Returns:
        (..., K) float32, which sum to 1.
    """
    drawn = gamma(concentration, noise)
    return drawn / drawn.sum(-1, keepdim=True)
