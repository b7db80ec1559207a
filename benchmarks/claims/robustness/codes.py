"""Whether codes that were learned without labels make a classifier harder to attack."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from palaestra.neural_blocks import VAE, Autoencoder
from palaestra.neural_blocks.robustness.adversarial import pgd

from ..frame import Claim, Lines
from ..learning.digits import rows, train

RADII, LATENT, STEPS, ATTACK_STEPS = (0, 0.05, 0.1, 0.15), 8, 800, 20


class Coded(nn.Module):
    """A classifier of the codes that a fitted model, which stays as it is, gives images."""

    def __init__(self, model: Autoencoder | VAE | None) -> None:
        super().__init__()
        self.model = None if model is None else model.requires_grad_(False)
        self.net = nn.Sequential(nn.Linear(64 if model is None else LATENT, 64), nn.ReLU(), nn.Linear(64, 10))

    def forward(self, images: Tensor) -> Tensor:
        """(N, 1, 8, 8) to (N, 10)."""
        if self.model is None:
            return self.net(images.flatten(1))
        code = self.model.encode(images)
        return self.net(code[0] if isinstance(code, tuple) else code)  # the mean of a variational one


def fitted(model: Autoencoder | VAE, images: Tensor, seed: int) -> Autoencoder | VAE:
    """The model after its steps on images without labels."""
    generator, optimiser = torch.Generator().manual_seed(seed), torch.optim.Adam(model.parameters(), 3e-3)
    for step in range(STEPS):
        chosen = torch.randint(len(images), (64,), generator=generator)
        optimiser.zero_grad()
        model.loss(images[chosen], seed=1000 * seed + step).backward()
        optimiser.step()
    return model.eval()


def measure(seed: int) -> Lines:
    """Accuracy by the attack's radius, of classifiers of pixels and of codes."""
    images, labels, others, right = rows(1200, seed)
    found: dict[str, dict[float, float]] = {}
    for line in ("pixels", "autoencoder", "variational autoencoder"):
        torch.manual_seed(seed)
        model: Autoencoder | VAE | None = None
        if line != "pixels":
            fresh = Autoencoder((1, 8, 8), LATENT) if line == "autoencoder" else VAE((1, 8, 8), LATENT)
            model = fitted(fresh, images, seed)
        classifier = Coded(model)
        train(classifier, images, labels, STEPS // 2, seed)
        found[line] = {}
        for radius in RADII:
            step: dict[str, Any] = {"step_size": 2.5 * radius / ATTACK_STEPS, "steps": ATTACK_STEPS if radius else 0}
            tried = pgd(classifier, others, right, radius, **step)
            with torch.no_grad():
                found[line][radius] = float((classifier(tried).argmax(1) == right).float().mean())
    return found


CLAIM = Claim(
    title="Attacks on classifiers of codes",
    says="A classifier of a variational autoencoder's codes is harder to attack than one of pixels or of a plain "
    "autoencoder's codes, as its encoder maps what lies around an image to nearly the same code (Alemi et al., 2017).",
    how=f"{LATENT} latent numbers, fitted to 1200 digits without labels in {STEPS} steps, then fixed; a perceptron of "
    f"64 units on the codes or on pixels; projected gradient of {ATTACK_STEPS} steps through encoder and perceptron in "
    "the maximum norm: share of 500 test digits named rightly.",
    measure=measure,
    statements=(
        (
            "at 0.1 the variational codes withstand more than pixels",
            lambda found: found.above(("variational autoencoder", 0.1), ("pixels", 0.1)),
        ),
        (
            "and more than an autoencoder's",
            lambda found: found.above(("variational autoencoder", 0.1), ("autoencoder", 0.1)),
        ),
        (
            "they cost accuracy on digits as they are",
            lambda found: found.above(("pixels", 0), ("variational autoencoder", 0)),
        ),
    ),
    value="share of right answers",
    across="radius of the attack",
    seeds=4,
)
