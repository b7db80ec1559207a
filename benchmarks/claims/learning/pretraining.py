"""A hundred labels, with an encoder that was fitted without any, and without."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

import palaestra.agents as agents
import palaestra.envs as envs
from palaestra.scenarios import catalogue
from palaestra.scenarios.pretraining import pretrain

from ..frame import Claim, Lines, Measured

ID, LABELS, ENVIRONMENTS, STEPS = "palaestra/DigitBandit-v0", 100, 64, 400
VIEWS = ("rotate", "crop", "noise")
FITTED: dict[str, Any] = {"updates": 600, "batch_size": 128, "learning_rate": 2e-3, "views": VIEWS}
LEARNED: dict[str, Any] = {
    "rollout_steps": 1,
    "updates": 1,
    "minibatch_size": 128,
    "learning_rate": 3e-3,
    "hidden": (64,),
}
ALONE = ("pixels, labels alone", "network, labels alone", "network, changed images")
PRETRAINED = "pretrained, frozen"


def accuracy(seed: int, **settings: Any) -> float:
    """Share of the test split's digits that are read, of an agent that learned from that many labels."""
    env = envs.make_batched(ID, ENVIRONMENTS, seed=1000 * seed, rows=LABELS, choice=seed)
    agent = agents.make("behaviour_cloning", env, seed=seed, **(LEARNED | settings))
    agent.train(env, STEPS * ENVIRONMENTS)
    task: Any = envs.make_task(ID, split="test")
    return float((agent.act(task.inputs, greedy=True)[0] == task.labels).float().mean())


def measure(seed: int) -> Lines:
    """Accuracy with each way to see; the labels that are given differ by seed."""
    with tempfile.TemporaryDirectory() as root:
        path, _ = pretrain("simclr", catalogue.get("digits"), settings=FITTED, seed=seed, device="cpu", root=root)
        ways: tuple[dict[str, Any], ...] = (
            {"encoder": "flat"},
            {"encoder": "cnn"},
            {"encoder": "cnn", "augment": VIEWS},
            {"encoder": str(path), "freeze": True},
        )
        found = {title: accuracy(seed, **way) for title, way in zip((*ALONE, PRETRAINED), ways, strict=True)}
    return {"accuracy": found}


def apart(alone: str) -> Callable[[Measured], bool]:
    """Whether the intervals of the two ways to learn do not meet, the pretrained one lying above."""
    return lambda found: found.interval("accuracy", PRETRAINED)[1] > found.interval("accuracy", alone)[2]


CLAIM = Claim(
    title="A hundred labels after learning without any",
    says="A representation that was learned without labels, and is then left as it is, does with few labels what else "
    "takes many (Chen et al., 2020).",
    how=f"DigitBandit with {LABELS} labelled digits, ten of each, drawn anew for each seed; behaviour cloning, "
    f"{STEPS} gradient steps of a perceptron of 64 units on the pixels, on a small convolutional network that learns "
    "too, on the same network with its images changed as SimCLR's views are, or on that network as "
    f"`palaestra pretrain simclr digits` leaves it after {FITTED['updates']} steps on the training split's images "
    "without labels. Accuracy on the test split's 360 digits.",
    measure=measure,
    statements=[
        (f"the interval with the pretrained encoder lies above that of: {title}", apart(title)) for title in ALONE
    ],
    value="accuracy on test digits",
)
