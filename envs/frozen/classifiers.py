"""Classifiers of the embedded digits that environments attack, defend or ask for an opinion."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from ...neural_blocks.perception.mlp import MLP
from ...neural_blocks.robustness.adversarial import adversarial_training_step
from ...neural_blocks.robustness.ensemble import Ensemble
from ..checks.options import choice
from ..classification.sources.images import load_images
from ..core.splits import OUTSIDE_TEST
from .store import Recipe, load

NAMES = {
    "plain": "digit-classifier",
    "robust": "digit-classifier-robust",
    "trades": "digit-classifier-trades",
    "ensemble": "digit-classifier-ensemble",
}
BATCH = 64
EPSILON, ATTACK_STEPS = 0.2, 7  # of the attacks that the robust ones are trained against
BETA, MEMBERS = 3.0, 3  # what robustness weighs in TRADES; networks of the ensemble


def classifier(kind: str) -> nn.Module:
    """A shipped classifier of the embedded digits, frozen: (B, 1, 8, 8) float32 in [0, 1] to (B, 10) logits.

    All saw the digits outside the test split, those for validation among them; all but the ensemble have the same
    layers. The robust one was trained on the worst inputs that seven steps of projected gradient find within 0.2 of a
    pixel's range (Madry et al., 2018), the one of TRADES to say of these what it says of the digit itself (Zhang et
    al., 2019); the ensemble is three smaller networks whose probabilities are averaged. On the test split they name
    about 97 % of the digits; with every pixel changed by up to 0.15, in the direction that hurts, the plain one names
    about 10 %, the robust one about 77 %, that of TRADES about 79 % and the ensemble about 18 %.

    Args:
        kind: "plain", "robust", "trades" or "ensemble".

    Raises:
        InvalidInput: another kind, or the shipped file cannot be read.
    """
    name = NAMES[choice("classifier: kind", kind, NAMES)]
    return load(name, RECIPES[name].build())


def _build() -> nn.Module:
    return nn.Sequential(nn.Flatten(), MLP(64, (192, 128), 10, activation="relu"))


def _build_ensemble() -> nn.Module:
    members = [MLP(64, (128,), 10, activation="relu") for _ in range(MEMBERS)]
    return nn.Sequential(nn.Flatten(), Ensemble(members))


def _train_ensemble(network: nn.Module) -> None:
    """Each member alone."""
    flatten, ensemble = network[0], network[1]  # type: ignore[index]
    for member in ensemble.members:
        _train(nn.Sequential(flatten, member), epochs=20, robust=False)


def _train(network: nn.Module, *, epochs: int, robust: bool, beta: float | None = None) -> None:
    """Adam with one cycle of the learning rate; a robust one sees attacked digits, with `beta` beside clean ones."""
    pixels, classes, _ = load_images("digits", OUTSIDE_TEST)
    images, labels = torch.from_numpy(pixels).float() / 255, torch.from_numpy(classes)
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=1e-4)
    steps = epochs * -(-len(labels) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(labels)).split(BATCH):
            if robust:
                adversarial_training_step(
                    network,
                    optimiser,
                    images[rows],
                    labels[rows],
                    EPSILON,
                    step_size=EPSILON / 3,
                    steps=ATTACK_STEPS,
                    beta=beta,
                )
            else:
                optimiser.zero_grad()
                F.cross_entropy(network(images[rows]), labels[rows]).backward()
                optimiser.step()
            schedule.step()


RECIPES = {
    NAMES["plain"]: Recipe(_build, partial(_train, epochs=20, robust=False)),
    NAMES["robust"]: Recipe(_build, partial(_train, epochs=100, robust=True)),
    NAMES["trades"]: Recipe(_build, partial(_train, epochs=50, robust=True, beta=BETA)),
    NAMES["ensemble"]: Recipe(_build_ensemble, _train_ensemble),
}
