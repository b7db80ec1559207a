"""What a discriminator that has won tells the generator, by its loss and by what keeps it smooth."""

from __future__ import annotations

import torch
from torch import Tensor

from palaestra.neural_blocks import MLP
from palaestra.neural_blocks.generation.gan_losses import (
    clip_weights,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
)

from ..frame import Claim, Lines

DISTANCES, SPREAD, STEPS, BATCH = (0.25, 0.5, 1.0, 2.0, 4.0), 0.1, 300, 128
WAYS = {  # loss, weight of the gradient penalty, limit of the weights
    "minimax": ("minimax", 0.0, 0.0),
    "non-saturating": ("non_saturating", 0.0, 0.0),
    "Wasserstein, gradient penalty": ("wasserstein", 10.0, 0.0),
    "Wasserstein, clipped weights": ("wasserstein", 0.0, 0.1),
}


def slope(way: str, distance: float, seed: int) -> float:
    """The mean size of the generator's gradient at its points, once the discriminator has learned."""
    kind, penalty, limit = WAYS[way]
    torch.manual_seed(seed)
    net = MLP(1, (64, 64), 1, activation="relu", initialisation="he")
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(net.parameters(), 3e-3, betas=(0.5, 0.9))

    def judge(x: Tensor) -> Tensor:
        return net(x).squeeze(1)

    def points(centre: float) -> Tensor:
        return centre + SPREAD * torch.randn(BATCH, 1, generator=generator)

    for step in range(STEPS):
        real, fake = points(0.0), points(distance)
        loss = discriminator_loss(kind, judge(real), judge(fake))
        if penalty:
            loss = loss + penalty * gradient_penalty(judge, real, fake, step)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if limit:
            clip_weights(net, limit)
    fake = points(distance).requires_grad_()
    (gradient,) = torch.autograd.grad(generator_loss(kind, judge(fake)) * BATCH, fake)
    return max(float(gradient.abs().mean()), 1e-30)


def measure(seed: int) -> Lines:
    """Gradient by distance, of each way."""
    return {way: {distance: slope(way, distance, seed) for distance in DISTANCES} for way in WAYS}


CLAIM = Claim(
    title="The generator's gradient at a discriminator that has won",
    says="Where real and generated points do not overlap, a discriminator learns to be sure, and the minimax loss "
    "leaves the generator no gradient (Arjovsky and Bottou, 2017); a critic of bounded slope keeps one of about 1 at "
    "any distance (Gulrajani et al., 2017).",
    how=f"Points on a line, real ones around 0 and generated ones at a distance, deviation {SPREAD}; {STEPS} steps of "
    "the discriminator alone, then the mean size of the generator's gradient at its points.",
    measure=measure,
    statements=(
        ("at a distance of 2 minimax leaves less than 0.01", lambda found: found.interval("minimax", 2.0)[2] < 0.01),
        (
            "the non-saturating loss leaves 10 times more",
            lambda found: found.above(("non-saturating", 2.0), ("minimax", 2.0), 10),
        ),
        (
            "with a gradient penalty it lies between 0.5 and 1.5 at 0.5 and at 4",
            lambda found: all(
                found.interval("Wasserstein, gradient penalty", at)[1] > 0.5
                and found.interval("Wasserstein, gradient penalty", at)[2] < 1.5
                for at in (0.5, 4.0)
            ),
        ),
        (
            "clipped weights leave less than a gradient penalty does",
            lambda found: found.above(("Wasserstein, gradient penalty", 2.0), ("Wasserstein, clipped weights", 2.0)),
        ),
    ),
    value="mean size of the generator's gradient",
    across="distance of the generated points",
    logarithmic=True,
    seeds=3,
)
