"""What generator and discriminator minimise, and what keeps a discriminator smooth."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ..errors import unknown_name
from ..noise import Draws, Seed

GAN_LOSSES = ("minimax", "non_saturating", "least_squares", "wasserstein")


def minimax_value(real: Tensor, fake: Tensor) -> Tensor:
    """E[ln D(real)] + E[ln(1 - D(fake))] of logits (B,) each, the game's value (Goodfellow et al., 2014).

    The discriminator maximises it; its maximum is -ln 4 when both distributions agree.
    """
    return F.logsigmoid(real).mean() + F.logsigmoid(-fake).mean()


def discriminator_loss(kind: str, real: Tensor, fake: Tensor) -> Tensor:
    """What the discriminator minimises.

    "minimax" and "non_saturating" are the negative minimax value (Goodfellow et al., 2014), "least_squares" half the
    squared distance of the logits from 1 and 0 (Mao et al., 2017), "wasserstein" the difference of the critic's means
    (Arjovsky et al., 2017).

    Args:
        kind: one of `GAN_LOSSES`.
        real: logits of real images (B,).
        fake: logits of generated images (B,).

    Raises:
        InvalidInput: an unknown kind.
    """
    _check(kind)
    if kind == "least_squares":
        return 0.5 * ((real - 1).square().mean() + fake.square().mean())
    return fake.mean() - real.mean() if kind == "wasserstein" else -minimax_value(real, fake)


def generator_loss(kind: str, fake: Tensor) -> Tensor:
    """What the generator minimises, the counterpart of `discriminator_loss`.

    "minimax" is E[ln(1 - D)], whose gradient vanishes where the discriminator is sure; "non_saturating" is -E[ln D]
    (both Goodfellow et al., 2014); "least_squares" half the squared distance from 1; "wasserstein" minus the mean.

    Args:
        kind: one of `GAN_LOSSES`.
        fake: logits of generated images (B,).

    Raises:
        InvalidInput: an unknown kind.
    """
    _check(kind)
    if kind == "minimax":
        return F.logsigmoid(-fake).mean()
    if kind == "non_saturating":
        return -F.logsigmoid(fake).mean()
    return 0.5 * (fake - 1).square().mean() if kind == "least_squares" else -fake.mean()


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, seed: Seed = None) -> Tensor:
    """Mean squared distance from 1 of the critic's gradient norm between real and fake images (Gulrajani et al., 2017).

    Args:
        critic: images (B, ...) to logits (B,), each image judged alone (no batch normalisation).
        real: (B, ...).
        fake: of real's shape.
        seed: of the random places between the two, see `noise`.
    """
    share = Draws(seed, real.device).uniform(real.shape[0], *(1,) * (real.dim() - 1)).to(real.dtype)
    between = real + share * (fake - real)
    slope = torch.func.grad(lambda x: critic(x).sum())(between)
    return (slope.flatten(1).norm(dim=1) - 1).square().mean()


@torch.no_grad()
def clip_weights(critic: nn.Module, limit: float = 0.01) -> None:
    """Clips the critic's weights to [-limit, limit] in place, after each update (Arjovsky et al., 2017)."""
    for weight in critic.parameters():
        weight.clamp_(-limit, limit)


def spectrally_normalised(module: nn.Module) -> nn.Module:
    """The module with each linear and convolution layer's weight divided by its largest singular value, in place.

    Linear layers become 1-Lipschitz; of a convolution it is the (out, in * kernel) matrix that is normalised (Miyato
    et al., 2018). The value follows the weights by one power iteration at each forward pass in training mode.
    """
    for layer in module.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            spectral_norm(layer)
    return module


def instance_noise(images: Tensor, deviation: float, seed: Seed = None) -> Tensor:
    """Images with Gaussian noise, which makes real and fake distributions overlap (Sønderby et al., 2017)."""
    return images + deviation * Draws(seed, images.device).normal(*images.shape, dtype=images.dtype)


def _check(kind: str) -> None:
    if kind not in GAN_LOSSES:
        raise unknown_name("GAN loss", kind, GAN_LOSSES)
