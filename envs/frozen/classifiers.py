"""Classifiers of the embedded digits that environments attack, defend or ask for an opinion."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from ...neural_blocks.perception.mlp import MLP
from ...neural_blocks.robustness.adversarial import adversarial_training_step
from ..checks.options import choice
from ..classification.sources.images import load_images
from ..core.splits import OUTSIDE_TEST
from .store import Recipe, load

NAMES = {"plain": "digit-classifier", "robust": "digit-classifier-robust"}
BATCH = 64
EPSILON, ATTACK_STEPS = 0.2, 7  # of the attacks that the robust one is trained against


def classifier(kind: str) -> nn.Module:
    """A shipped classifier of the embedded digits, frozen: (B, 1, 8, 8) float32 in [0, 1] to (B, 10) logits.

    Both have the same layers and saw the digits outside the test split, those for validation among them. The robust one
    was trained on the worst inputs that seven steps of projected gradient find within 0.2 of a pixel's range (Madry et
    al., 2018). On the test split both name about 97 % of the digits; with every pixel changed by up to 0.15, in the
    direction that hurts, the plain one names about 10 % and the robust one about 77 %.

    Args:
        kind: "plain" or "robust".

    Raises:
        InvalidInput: another kind, or the shipped file cannot be read.
    """
    return load(NAMES[choice("classifier: kind", kind, NAMES)], _build())


def _build() -> nn.Module:
    return nn.Sequential(nn.Flatten(), MLP(64, (192, 128), 10, activation="relu"))


def _train(network: nn.Module, *, epochs: int, robust: bool) -> None:
    """Adam with one cycle of the learning rate; the robust one sees attacked digits in place of clean ones."""
    pixels, classes, _ = load_images("digits", OUTSIDE_TEST)
    images, labels = torch.from_numpy(pixels).float() / 255, torch.from_numpy(classes)
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=1e-4)
    steps = epochs * -(-len(labels) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(labels)).split(BATCH):
            if robust:
                adversarial_training_step(
                    network, optimiser, images[rows], labels[rows], EPSILON, step_size=EPSILON / 3, steps=ATTACK_STEPS
                )
            else:
                optimiser.zero_grad()
                F.cross_entropy(network(images[rows]), labels[rows]).backward()
                optimiser.step()
            schedule.step()


RECIPES = {
    NAMES["plain"]: Recipe(_build, partial(_train, epochs=20, robust=False)),
    NAMES["robust"]: Recipe(_build, partial(_train, epochs=100, robust=True)),
}
