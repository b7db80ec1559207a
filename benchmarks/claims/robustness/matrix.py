"""Which robustness comes with which: training in one norm, attacks in three, at two radii each."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import nn

from palaestra.neural_blocks.robustness.adversarial import adversarial_training_step, pgd, random_in_ball

from ..frame import Claim, Lines
from ..learning.digits import rows
from .transfer import perceptron

STEPS, BATCH, INNER, ATTACK_STEPS = 400, 64, 5, 20
TRAINED = {
    "plain": None,
    "maximum norm, 0.1": ("linf", 0.1),
    "Euclidean, 0.6": ("l2", 0.6),
    "sum of changes, 3": ("l1", 3.0),
}
ATTACKS = {  # names of the columns: norm and radius
    "max 0.05": ("linf", 0.05),
    "max 0.1": ("linf", 0.1),
    "L2 0.3": ("l2", 0.3),
    "L2 0.6": ("l2", 0.6),
    "L1 1.5": ("l1", 1.5),
    "L1 3": ("l1", 3.0),
}
DARK = 0.5  # of the brightness that is left


def trained(seed: int, ball: tuple[str, float] | None) -> tuple[nn.Module, float]:
    """A perceptron that learned from the worst images in a ball, or from images as they are, and its CPU seconds."""
    images, labels, _, _ = rows(1200, seed)
    model, generator = perceptron(seed), torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    norm, radius = ball or ("linf", 0.0)
    settings: dict[str, Any] = {"step_size": radius / 2, "steps": INNER if ball else 0, "norm": norm}
    began = time.process_time()
    for step in range(STEPS):
        chosen = torch.randint(len(labels), (BATCH,), generator=generator)
        adversarial_training_step(
            model, optimiser, images[chosen], labels[chosen], radius, seed=1000 * seed + step, **settings
        )
    return model.eval(), time.process_time() - began


def measure(seed: int) -> Lines:
    """Share right by training and attack, on images as they are and darker ones, and the time that training took."""
    _, _, images, labels = rows(1200, seed)
    found: dict[str, dict[str, float]] = {}
    seconds = {}
    for line, ball in TRAINED.items():
        model, seconds[line] = trained(seed, ball)
        tried = {"clean": images, "dark": DARK * images}
        for name, (norm, radius) in ATTACKS.items():
            settings: dict[str, Any] = {"step_size": 2.5 * radius / ATTACK_STEPS, "steps": ATTACK_STEPS, "norm": norm}
            start = random_in_ball(images, radius, norm, seed=seed).clamp(0, 1)
            tried[name] = pgd(model, images, labels, radius, start=start, **settings)
        with torch.no_grad():
            found[line] = {name: float((model(x).argmax(1) == labels).float().mean()) for name, x in tried.items()}
    for line, places in found.items():
        places["time"] = seconds[line] / max(seconds.values())
    return found


def against(attack: str) -> Any:
    """That training in the maximum norm helps against an attack."""
    return lambda found: found.above(("maximum norm, 0.1", attack), ("plain", attack))


CLAIM = Claim(
    title="Which robustness comes with which",
    says="Who withstands all changes of a ball withstands those of every ball within it, so of a smaller radius and, "
    "at the same radius, of the Euclidean one within that of the maximum norm; of larger radii, of other norms and of "
    "natural changes such as darkness nothing follows (Madry et al., 2018; Tramer and Boneh, 2019). It costs accuracy "
    "and time.",
    how=f"Perceptrons of 64 units on 1200 digits, {STEPS} steps of Adam on images as they are or on projected gradient "
    f"of {INNER} steps; share of 500 test digits named rightly as they are, at {DARK:.0%} of their brightness, and "
    f"under projected gradient of {ATTACK_STEPS} steps. Last, the CPU time of training as a share of the longest.",
    measure=measure,
    statements=(
        *(
            (f"training in the maximum norm at 0.1 helps against {attack}", against(attack))
            for attack in ("max 0.05", "max 0.1", "L2 0.3", "L1 1.5")
        ),
        (
            "against the Euclidean attack of 0.6 Euclidean training helps more",
            lambda found: found.above(("Euclidean, 0.6", "L2 0.6"), ("maximum norm, 0.1", "L2 0.6")),
        ),
        (
            "against the sum of changes of 3 training on such helps more",
            lambda found: found.above(("sum of changes, 3", "L1 3"), ("maximum norm, 0.1", "L1 3")),
        ),
        (
            "in the dark training in the maximum norm does not help",
            lambda found: not found.above(("maximum norm, 0.1", "dark"), ("plain", "dark")),
        ),
        (
            "it costs accuracy on images as they are",
            lambda found: found.above(("plain", "clean"), ("maximum norm, 0.1", "clean")),
        ),
        (
            "plain training takes less than half of its time",
            lambda found: found.interval("plain", "time")[2] < 0.5 * found.interval("maximum norm, 0.1", "time")[1],
        ),
    ),
    value="share of right answers, and of the longest time",
    seeds=4,
)
