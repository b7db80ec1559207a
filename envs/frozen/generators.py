"""Generative networks of the embedded digits: a density to please, a decoder to steer, a diffusion to correct."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...neural_blocks.generation.diffusion import Diffusion
from ...neural_blocks.generation.pixels import quantise
from ...neural_blocks.generation.vae import VAE
from ..classification.sources.images import load_images
from ..core.splits import OUTSIDE_TEST
from .density import CLASSES, LEVELS, DigitDensity
from .store import Recipe, load

LATENT_SIZE, DENOISING_STEPS = 6, 10
BATCH = 64


class DigitDiffusion(Diffusion):
    """A diffusion model of 8 x 8 digits in 10 steps, whose clean images take less time."""

    def __init__(self) -> None:
        super().__init__((1, 8, 8), levels=5, steps=DENOISING_STEPS, width=64, blocks=2)

    def clean(self, x: Tensor, step: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and variance of the clean image behind x (B, 1, 8, 8) at steps (B,), as `Diffusion.clean` has them.

        The square in the pixel's own likelihood is multiplied out, which leaves less to compute for each grey.
        """
        precision = (self.signal / self.deviation).square()[step]  # (B,)
        own = (x.flatten(1) * (precision / self.signal[step])[:, None])[:, None]  # (B, 1, 64)
        last: Any = self.denoiser.last[1]  # gives pixel after pixel; here its rows are put grey after grey
        weight, bias = (part.unflatten(0, (own.shape[2], -1)).transpose(0, 1) for part in (last.weight, last.bias))
        logits = F.linear(self.denoiser.features(x, step, labels), weight.flatten(0, 1), bias.flatten()).unflatten(
            1, bias.shape
        )
        logits.addcmul_(own, self.greys[:, None])  # (B, levels, 64)
        logits.add_((-0.5 * precision[:, None] * self.greys.square())[..., None])
        probabilities = logits.softmax(1)
        moments = torch.stack([self.greys, self.greys.square()]) @ probabilities  # (B, 2, 64)
        mean, square = (part.view_as(x) for part in moments.unbind(1))
        return mean, (square - mean.square()).clamp(min=0)


def density(order: str = "raster") -> DigitDensity:
    """The shipped p(x | class) and p(x) of the embedded digits, frozen, in double precision.

    Args:
        order: in which pixels follow each other, "raster" or "diagonal"; each has a network of its own.
    """
    name = "digit-density" if order == "raster" else f"digit-density-{order}"
    return load(name, RECIPES[name].build()).double()  # type: ignore[return-value]


def autoencoder() -> VAE:
    """The shipped variational autoencoder of the embedded digits, with 6 latents; frozen, in double precision."""
    return load("digit-autoencoder", _build_autoencoder()).double()


def diffusion() -> DigitDiffusion:
    """The shipped diffusion model of the embedded digits, with 10 steps; frozen, in double precision."""
    return load("digit-diffusion", DigitDiffusion()).double()


def _build_autoencoder() -> VAE:
    return VAE((1, 8, 8), LATENT_SIZE, (96, 96))


def _digits() -> tuple[Tensor, Tensor]:
    """What is outside the test split: images (N, 1, 8, 8) float32 in [0, 1] and classes (N,)."""
    pixels, classes, _ = load_images("digits", OUTSIDE_TEST)
    return torch.from_numpy(pixels).float() / 255, torch.from_numpy(classes)


def _minimise(network: nn.Module, loss: Callable[[Tensor], Tensor], count: int, epochs: int, rate: float) -> None:
    """AdamW with one cycle of the learning rate over shuffled minibatches of row numbers."""
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=0.05)
    batches = -(-count // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=epochs * batches)
    for _ in range(epochs):
        for rows in torch.randperm(count).split(BATCH):
            optimiser.zero_grad()
            loss(rows).backward()
            optimiser.step()
            schedule.step()


def _train_density(network: nn.Module) -> None:
    """Maximum likelihood; one row in five is shown without its class."""
    assert isinstance(network, DigitDensity)
    images, classes = _digits()
    pixels = quantise(images, LEVELS)

    def loss(rows: Tensor) -> Tensor:
        label = classes[rows].masked_fill(torch.rand(len(rows)) < 0.2, CLASSES)
        return F.cross_entropy(network(pixels[rows], label), pixels[rows, 0])

    _minimise(network, loss, len(images), epochs=30, rate=5e-3)


def _train_autoencoder(network: nn.Module) -> None:
    """The evidence bound with a weight of 0.3 for the divergence, with which every latent is used."""
    assert isinstance(network, VAE)
    images, _ = _digits()
    _minimise(network, lambda rows: network.loss(images[rows], 0.3), len(images), epochs=200, rate=3e-3)


def _train_diffusion(network: nn.Module) -> None:
    """The mean squared error of the predicted noise."""
    assert isinstance(network, DigitDiffusion)
    images, _ = _digits()
    _minimise(network, lambda rows: network.loss(images[rows]), len(images), epochs=400, rate=2e-3)


RECIPES = {
    "digit-density": Recipe(DigitDensity, _train_density),
    "digit-density-diagonal": Recipe(partial(DigitDensity, order="diagonal"), _train_density),
    "digit-autoencoder": Recipe(_build_autoencoder, _train_autoencoder),
    "digit-diffusion": Recipe(DigitDiffusion, _train_diffusion),
}
