"""Groups: name digits whose background nearly always agrees with the class in training, and not when it counts."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..checks.options import choice, flag, number
from ..core.splits import SPLITS
from ..core.task import Step, Task
from ..core.tree import select
from ..drawing.canvas import MUTED, Canvas
from ..drawing.choices import Choice, numbered
from .images import load_images

CLASSES = ["low: 0 to 4", "high: 5 to 9"]
BACKGROUNDS = ["rows", "columns"]
INK = 100
"""How bright the background's stripes are, of 255."""
EVEN = 0.5
"""Share of rows whose background agrees, outside training."""
GROUPS = [f"{kind}_on_{ground}" for kind in ("low", "high") for ground in BACKGROUNDS]


@dataclass(frozen=True)
class GroupsState:
    """Which image is shown, and what was guessed.

    Attributes:
        index: (B,) int64 the image's row.
        guess: (B,) int64 the class named, -1 before the guess.
    """

    index: Tensor
    guess: Tensor


class Groups(Task[GroupsState]):
    """Tell low digits from high ones while the background tempts.

    A digit lies on stripes. In training low digits lie on rows and high ones on columns, but for a few; elsewhere both
    lie on both.

    Isolates spurious correlation: who names the background is right nearly always in training, and half of the time
    when it counts. What is scored is the worst of the four groups of class and background.

    Observation: (1, 8, 8) uint8, the digit on stripes.
    Action: Discrete(2), 0 for a digit from 0 to 4, 1 for one from 5 to 9.
    Reward: 1 for the right class, 0 for the wrong one.
    Episode: terminates after one step.
    Metrics: accuracy; that of each group: low_on_rows, low_on_columns, high_on_rows, high_on_columns; and worst, the
        lowest of these four.
    Expert: the class, return 1. A guess returns 0.5.
    Source: Sagawa et al. (2020), whose landbirds stand on land; digits of Alpaydin and Kaynak (1998).

    Args:
        agreement: share of the training images whose background agrees with their class, from 0.5 to 1. Each image has
            one background for good, so of 1,257 training images 63 disagree by default.
        balance: draw each group as often as any other, as group weighting asks for, though some have few images.
        split: "train", "validation" or "test", the images of `DigitBandit`; of the latter two, half of each class lies
            on either background.

    Raises:
        InvalidInput: an unknown split, an agreement outside its limits, or balance with a group that has no image.
    """

    variants = ({"split": "test"}, {"balance": True}, {"agreement": 0.8})

    horizon = 1
    reset_noise = 2
    images: Tensor
    labels: Tensor
    grounds: Tensor
    first: Tensor
    count: Tensor

    def __init__(self, *, agreement: float = 0.95, balance: bool = False, split: str = "train") -> None:
        super().__init__()
        number("Groups: agreement", agreement, 0.5, 1)
        self.balance = flag("Groups: balance", balance)
        choice("Groups: split", split, SPLITS)
        images, digits, _ = load_images("digits", split, None)
        labels = (digits >= 5).astype(np.int64)
        grounds = _grounds(labels, agreement if split == "train" else EVEN)
        order = np.argsort(2 * labels + grounds, kind="stable")  # group after group
        images, labels, grounds = images[order], labels[order], grounds[order]
        count = np.bincount(2 * labels + grounds, minlength=len(GROUPS))
        if balance:
            number("Groups: agreement with balance", agreement, 0.5, 0.999)
        stripes = np.zeros((2, 1, 8, 8), np.uint8)
        stripes[0, :, 1::2], stripes[1, :, :, 1::2] = INK, INK
        buffers = {
            "images": np.maximum(images, stripes[grounds]),
            "labels": labels,
            "grounds": grounds,
            "first": count.cumsum() - count,
            "count": count,
        }
        for name, values in buffers.items():
            self.register_buffer(name, torch.from_numpy(values), persistent=False)
        self.observation_space = spaces.Box(0, 255, images.shape[1:], np.uint8)
        self.action_space = spaces.Discrete(len(CLASSES))

    def reset(self, noise: Tensor) -> GroupsState:
        """An image drawn uniformly, or from a group drawn uniformly."""
        index = (noise[:, 0] * len(self.labels)).long()
        if self.balance:
            group = (noise[:, 1] * len(GROUPS)).long()
            index = self.first[group] + (noise[:, 0] * self.count[group]).long()
        return GroupsState(index, torch.full_like(index, -1))

    def step(self, state: GroupsState, action: Tensor, noise: Tensor) -> Step[GroupsState]:
        """Judges the guess, for its group too."""
        label = self.labels[state.index]
        group, correct = 2 * label + self.grounds[state.index], (label == action).float()
        each = {name: correct.masked_fill(group != k, torch.nan) for k, name in enumerate(GROUPS)}
        ended = torch.ones_like(label, dtype=torch.bool)
        return Step(GroupsState(state.index, action), correct, ended, {"accuracy": correct, **each})

    def summarise(self, metrics: dict[str, float]) -> dict[str, float]:
        """The means with the worst group's accuracy; without it where a group was not met."""
        return metrics | ({"worst": min(metrics[name] for name in GROUPS)} if metrics.keys() >= set(GROUPS) else {})

    def observe(self, state: GroupsState) -> Tensor:
        """The image, (B, 1, 8, 8)."""
        return select(self.images, state.index)

    def expert(self, state: GroupsState) -> Tensor:
        """The class."""
        return self.labels[state.index]

    def draw(self, state: GroupsState, canvas: Canvas) -> None:
        """The image; then the guess, its verdict and the group."""
        if not canvas.spectator or int(state.guess) < 0:
            return self.draw_seen(self.observe_one(state), canvas)
        label, ground = int(self.labels[state.index]), int(self.grounds[state.index])
        guess, middle = int(state.guess), canvas.width // 2
        canvas.image(self.images[state.index], (middle - 140, 30, 280, 280))
        canvas.verdict(guess == label, (middle - 180, 335, 360, 85))
        canvas.text(f"guess: {CLASSES[guess]}", (middle, 360), size=26, anchor="center")
        canvas.text(f"truth: {CLASSES[label]}", (middle, 395), size=26, anchor="center")
        told = f"group: {CLASSES[label].split(':')[0]} digit on {BACKGROUNDS[ground]}"
        canvas.text(told, (middle, 450), size=24, colour=MUTED, anchor="center")

    def draw_seen(self, observation: Tensor, canvas: Canvas) -> None:
        """The image and the two classes."""
        middle = canvas.width // 2
        canvas.image(observation, (middle - 140, 30, 280, 280))
        canvas.text("Is the digit low or high? Mind the digit alone", (middle, 350), size=26, anchor="center")
        canvas.cards([f"{k}  {name}" for k, name in enumerate(CLASSES)], (40, 385, canvas.width - 80, 70))

    def choices(self) -> list[Choice]:
        """0 for low, 1 for high."""
        return numbered(CLASSES)


def _grounds(labels: np.ndarray, agreement: float) -> np.ndarray:
    """(N,) int64 the background of each image: its class's for that share of each class, rounded, else the other."""
    grounds = labels.copy()
    for label in range(len(CLASSES)):
        rows = np.flatnonzero(labels == label)
        shuffled = np.random.RandomState(label).permutation(rows)  # the generator that NumPy never changes
        grounds[shuffled[round(len(rows) * agreement) :]] = 1 - label
    return grounds
