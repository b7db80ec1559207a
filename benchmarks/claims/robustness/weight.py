"""TRADES for two classes on digits: what its weight buys, and what it costs."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from palaestra.neural_blocks.perception.mlp import MLP
from palaestra.neural_blocks.robustness.adversarial import pgd, random_in_ball

from ..frame import Claim, Lines
from ..learning.digits import rows

RADIUS, WEIGHTS = 0.1, (0, 0.1, 0.3, 1, 3)
EPOCHS, BATCH, ATTACK_STEPS, CHECK_STEPS = 30, 100, 5, 20


def scores(net: nn.Module, images: Tensor) -> Tensor:
    """(N,) f: above 0 for odd digits."""
    found: Tensor = net(images.flatten(1))[:, 0]
    return found


def surrogate(margin: Tensor) -> Tensor:
    """φ, the logistic loss of a margin: at least ln 2 where an answer is wrong."""
    return F.softplus(-margin)


def pair(score: Tensor) -> Tensor:
    """Logits (N, 2) whose cross-entropy for the second class is φ(score)."""
    return torch.stack([-score, score], 1) / 2


def agreement(net: nn.Module, own: Tensor, images: Tensor) -> Tensor:
    """Logits (N, 2) for whether f has the sign on images that `own` (N,) has."""
    return pair(own * scores(net, images))


def learned(seed: int, weight: float, images: Tensor, sides: Tensor) -> nn.Module:
    """A network that descends φ(f(X) T) + weight max φ(f(X) f(X')), X' within the radius of X."""
    torch.manual_seed(seed)
    net = MLP(64, (64,), 1, activation="relu")
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(images), generator=generator).split(BATCH):
            x, side = images[batch], sides[batch]
            loss = surrogate(scores(net, x) * side)
            if weight:
                own = scores(net, x).detach()
                near = x + 1e-3 * torch.randn(x.shape, generator=generator)
                label, step = torch.ones_like(batch), 2.5 * RADIUS / ATTACK_STEPS
                agreeing = partial(agreement, net, own)
                moved = pgd(agreeing, x, label, RADIUS, step_size=step, steps=ATTACK_STEPS, start=near)
                loss = loss + weight * surrogate(scores(net, x) * scores(net, moved))
            optimiser.zero_grad()
            loss.mean().backward()
            optimiser.step()
    return net


def errors(net: nn.Module, images: Tensor, sides: Tensor, seed: int) -> tuple[float, float]:
    """The share of images with f(X) T of 0 or less, and that of those with such an X' within the radius."""
    label = (sides > 0).long()
    begin = random_in_ball(images, RADIUS, seed=seed)
    step = 2.5 * RADIUS / CHECK_STEPS
    moved = pgd(
        lambda x: pair(scores(net, x)), images, label, RADIUS, step_size=step, steps=CHECK_STEPS, start=begin
    )  # fmt: skip
    with torch.no_grad():
        natural = scores(net, images) * sides <= 0
        robust = natural | (scores(net, moved) * sides <= 0)
    return float(natural.float().mean()), float(robust.float().mean())


def measure(seed: int) -> Lines:
    """Natural and robust error on held-out digits, by the weight."""
    images, labels, others, right = rows(1000, seed)
    sides, other_sides = (2.0 * (one % 2) - 1 for one in (labels, right))
    found: dict[str, dict[float, float]] = {"natural error": {}, "robust error": {}}
    for weight in WEIGHTS:
        both = errors(learned(seed, weight, images, sides), others, other_sides, seed)
        for line, error in zip(found.values(), both, strict=True):
            line[weight] = error
    return found


CLAIM = Claim(
    title="Accuracy against robustness by the weight of TRADES",
    says="The error under attack is the natural error and what lies near the boundary; a surrogate for both, with a "
    "weight between them, trades one for the other (Zhang et al., 2019).",
    how="Even and odd digits, 1,000 of 8 x 8 pixels to learn from and 500 to be tested on: a network f of 64 units "
    f"descends φ(f(X) T) + weight max φ(f(X) f(X')), φ logistic, X' within {RADIUS:g} of X in the maximum norm by "
    f"{ATTACK_STEPS} steps of projected gradient; the robust error is by {CHECK_STEPS}. As φ(f(X) f(X')) is small "
    "too where all answers are alike, a large weight ends there.",
    measure=measure,
    statements=(
        ("without it an attack turns more than half", lambda found: found.interval("robust error", 0)[1] > 0.5),
        (
            "with a weight of 0.3 it turns less, by 0.2",
            lambda found: found.above(("robust error", 0), ("robust error", 0.3), 0.2),
        ),
        (
            "a weight of 1 costs accuracy on images as they are",
            lambda found: found.above(("natural error", 1), ("natural error", 0)),
        ),
        (
            "at 3 all answers are alike: the natural error is above 0.4",
            lambda found: found.interval("natural error", 3)[1] > 0.4,
        ),
    ),
    value="share of errors",
    across="weight of the robust term",
)
