"""Adversarial training in its forms against attacks of growing reach, on digits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

import palaestra.agents as agents
import palaestra.envs as envs
from palaestra.neural_blocks.robustness.adversarial import pgd, random_in_ball

from ..frame import Claim, Lines

REACH = 0.1  # of the attacks in training, as a share of the images' range
RADII = (0, 0.05, 0.1, 0.15, 0.2)
STEPS, ATTACK_STEPS = 60_000, 40
ATTACKED: dict[str, Any] = {"adversarial_epsilon": REACH}
TRAININGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "FGSM": {**ATTACKED, "adversarial_steps": 1},
    "PGD": {**ATTACKED, "adversarial_steps": 7},
    "TRADES": {**ATTACKED, "adversarial_steps": 7, "adversarial_beta": 6.0},
}


def trained(seed: int, settings: dict[str, Any]) -> Any:
    """A cloner of the labels of the training images."""
    env = envs.make_batched("palaestra/DigitBandit-v0", num_envs=64, seed=seed)
    agent = agents.make(
        "behaviour_cloning", env, seed=seed, hidden=(128,), rollout_steps=8, updates=8, minibatch_size=128,
        anneal=True, **settings,
    )  # fmt: skip
    agent.train(env, STEPS)
    return agent


def accuracy(agent: Any, radius: float, seed: int) -> float:
    """The share of all test images that are answered rightly, plain and under projected gradient of that radius."""
    task: Any = envs.make_task("palaestra/DigitBandit-v0", split="test")
    x: Tensor = task.inputs.float() / 255
    labels: Tensor = task.labels
    start = torch.zeros(len(x), dtype=torch.bool)

    def model(images: Tensor) -> Tensor:
        logits: Tensor = agent.network.act(images * 255, (), start)[0]
        return logits

    with torch.no_grad():
        right = model(x).argmax(-1) == labels
        if radius:
            begin = random_in_ball(x, radius, seed=seed)
            settings: dict[str, Any] = {"step_size": 2.5 * radius / ATTACK_STEPS, "steps": ATTACK_STEPS}
            right = right & (model(pgd(model, x, labels, radius, start=begin, **settings)).argmax(-1) == labels)
    return float(right.float().mean())


def measure(seed: int) -> Lines:
    """Accuracy by the attack's radius, for each way of training."""
    learned = {name: trained(seed, settings) for name, settings in TRAININGS.items()}
    return {name: {radius: accuracy(agent, radius, seed) for radius in RADII} for name, agent in learned.items()}


CLAIM = Claim(
    title="Adversarial training by form and reach of the attack",
    says="Learning from projected-gradient examples makes a classifier hold where plain learning does not (Madry et "
    "al., 2018); one step from a random place does nearly as well (Wong et al., 2020); so does holding answers "
    "together (TRADES, Zhang et al., 2019); it costs accuracy on images as they are (Tsipras et al., 2019).",
    how=f"8 x 8 digits, 1,257 to learn from and 360 to be tested on; {STEPS:,} labels are cloned, on images moved by "
    f"up to {REACH:g} of their range in 1 (FGSM) or 7 steps (PGD), TRADES with a weight of 6; attacked by projected "
    f"gradient of {ATTACK_STEPS} steps from a random place in the maximum norm.",
    measure=measure,
    statements=(
        (
            "at the radius trained for, 0.1, training on PGD holds more than plain training",
            lambda found: found.above(("PGD", 0.1), ("plain", 0.1)),
        ),
        ("so does TRADES", lambda found: found.above(("TRADES", 0.1), ("plain", 0.1))),
        ("so does FGSM", lambda found: found.above(("FGSM", 0.1), ("plain", 0.1))),
        (
            "FGSM is not 0.05 below PGD there",
            lambda found: found.above(("FGSM", 0.1), ("PGD", 0.1), -0.05),
        ),
        (
            "on images as they are plain training is better than PGD",
            lambda found: found.above(("plain", 0), ("PGD", 0)),
        ),
    ),
    value="share of right answers",
    across="radius of the attack",
    seeds=4,
)
