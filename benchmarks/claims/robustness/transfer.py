"""Adversarial examples made for one's own model and tried on another, and whether they can be told from images."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from palaestra.neural_blocks import MLP
from palaestra.neural_blocks.robustness.adversarial import pgd
from palaestra.neural_blocks.robustness.novelty import Mahalanobis, area_under_roc, free_energy, max_softmax

from ..frame import Claim, Lines
from ..learning.digits import rows, train

RADII, ROWS, STEPS, ATTACK_STEPS = (0.05, 0.1, 0.15), 600, 200, 10


def perceptron(seed: int, width: int = 64) -> nn.Sequential:
    """A fresh classifier: features, then logits."""
    torch.manual_seed(seed)
    features = MLP(64, (), width, activation="relu", initialisation="he")
    return nn.Sequential(nn.Flatten(), features, nn.ReLU(), nn.Linear(width, 10))


def attacked(model: nn.Module, images: Tensor, labels: Tensor, radius: float) -> Tensor:
    """Projected gradient in the maximum norm."""
    return pgd(model, images, labels, radius, step_size=2.5 * radius / ATTACK_STEPS, steps=ATTACK_STEPS)


def transferred(seed: int) -> Lines:
    """Share of the digits that a victim names rightly and names wrongly after the attack, by whose gradient it was."""
    images, labels, others, right = rows(2 * ROWS, seed)
    own, own_labels, further, further_labels = images[:ROWS], labels[:ROWS], images[ROWS:], labels[ROWS:]
    victim = perceptron(1000 * seed)
    train(victim, own, own_labels, STEPS, seed)
    with torch.no_grad():
        answers, known = victim(further).argmax(1), victim(others).argmax(1) == right
    others, right = others[known], right[known]
    learners = {
        "same images, other weights": (own, own_labels, 64),
        "other images, their labels": (further, further_labels, 64),
        "other images, the victim's answers": (further, answers, 64),
        "other images, the victim's answers, wider": (further, answers, 256),
    }
    makers: dict[str, Callable[[float], Tensor]] = {"the victim itself": partial(attacked, victim, others, right)}
    for index, (name, (seen, told, width)) in enumerate(learners.items(), 1):
        model = perceptron(1000 * seed + index, width)
        train(model, seen, told, STEPS, seed + index)
        makers[name] = partial(attacked, model, others, right)
    generator = torch.Generator().manual_seed(seed)
    signs = torch.randint(2, others.shape, generator=generator) * 2.0 - 1
    makers["signs at random"] = lambda radius: (others + radius * signs).clamp(0, 1)
    found: dict[str, dict[float, float]] = {}
    for name, made in makers.items():
        with torch.no_grad():
            found[name] = {radius: float((victim(made(radius)).argmax(1) != right).float().mean()) for radius in RADII}
    return found


def detected(seed: int) -> Lines:
    """How well scores tell attacked images from images as they are, by the attack's radius."""
    images, labels, others, right = rows(2 * ROWS, seed)
    model = perceptron(1000 * seed)
    train(model, images, labels, 2 * STEPS, seed)
    layers = model[:3]  # up to the features
    distance = Mahalanobis(64, 10)
    with torch.no_grad():
        distance.fit(layers(images), labels)
    scores: dict[str, Callable[[Tensor], Tensor]] = {
        "likeliest class": lambda x: max_softmax(model(x)),
        "free energy": lambda x: free_energy(model(x)),
        "distance of features": lambda x: distance(layers(x)),
    }
    found: dict[str, dict[float, float]] = {name: {} for name in scores}
    positive = torch.arange(2 * len(others)) >= len(others)
    for radius in (*RADII, 0.3):
        both = torch.cat([others, attacked(model, others, right, radius)])
        with torch.no_grad():
            for name, score in scores.items():
                found[name][radius] = float(area_under_roc(score(both), positive))
    return found


AT = 0.15
TRANSFER = Claim(
    title="Attacks made for another model",
    says="Adversarial examples made for one model fool others, also one that learned from other images (Szegedy et "
    "al., 2014); labels that the victim itself gives are enough to learn such a model from (Papernot et al., 2016).",
    how=f"Perceptrons on 8 x 8 digits: a victim of 64 units that learned from {ROWS}, attackers' models that learned "
    f"from the same or from {ROWS} others; projected gradient of {ATTACK_STEPS} steps on each, in the maximum norm, "
    "tried on the victim: share of test digits that it named rightly and then wrongly.",
    measure=transferred,
    statements=(
        *(
            (
                f"at {AT:g} the attack on a model of {name} fools three times as often as signs at random",
                lambda found, name=name: (
                    found.above((name, AT), ("signs at random", AT))
                    and found.interval(name, AT)[1] > 3 * found.mean("signs at random", AT)
                ),
            )
            for name in ("other images, their labels", "other images, the victim's answers")
        ),
        (
            "the victim's answers serve no worse than labels, by 0.05",
            lambda found: found.above(
                ("other images, the victim's answers", AT), ("other images, their labels", AT), -0.05
            ),
        ),
        (
            "an attack on the victim itself fools more often",
            lambda found: found.above(("the victim itself", AT), ("other images, the victim's answers", AT)),
        ),
    ),
    value="share of right answers turned wrong",
    across="radius of the attack",
)
DETECTION = Claim(
    title="Telling attacked images apart",
    says="A classifier is less sure of adversarial examples when an attack barely reaches across the boundary, and "
    "surer than of images as they are when it goes on beyond (Carlini and Wagner, 2017); features give the attack "
    "away, as they lie far from those of any class (Lee et al., 2018).",
    how=f"A perceptron on {2 * ROWS} digits, projected gradient of {ATTACK_STEPS} steps on it; the area under the "
    "curve of three scores that call an image strange, over 500 test digits as they are and attacked (0.5: no better "
    "than chance). The attack knows nothing of the scores.",
    measure=detected,
    statements=(
        (
            "at 0.1 how likely the likeliest class is tells more than chance",
            lambda found: found.interval("likeliest class", 0.1)[1] > 0.5,
        ),
        (
            "it tells less at 0.3 than at 0.1",
            lambda found: found.above(("likeliest class", 0.1), ("likeliest class", 0.3)),
        ),
        (
            "at 0.3 the distance of features tells more than it",
            lambda found: found.above(("distance of features", 0.3), ("likeliest class", 0.3)),
        ),
        (
            "at 0.3 the distance of features tells more than 0.9",
            lambda found: found.interval("distance of features", 0.3)[1] > 0.9,
        ),
    ),
    value="area under the curve",
    across="radius of the attack",
)
