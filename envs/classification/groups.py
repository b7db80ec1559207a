"""Groups: name digits whose background nearly always agrees with the class in training, and not when it counts."""

from __future__ import annotations

from dataclasses import replace

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..checks.options import choice, flag, number
from ..core.splits import SPLITS
from ..core.task import Step
from ..drawing.canvas import Canvas
from .bandit import BanditState, ClassificationBandit
from .sources.images import load_images

CLASSES = ["low: 0 to 4", "high: 5 to 9"]
BACKGROUNDS = ["rows", "columns"]
INK = 100
"""How bright the background's stripes are, of 255."""
EVEN = 0.5
"""Share of rows whose background agrees, outside training."""
GROUPS = [f"{kind}_on_{ground}" for kind in ("low", "high") for ground in BACKGROUNDS]


class Groups(ClassificationBandit):
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

    grounds: Tensor
    first: Tensor
    count: Tensor

    def __init__(self, *, agreement: float = 0.95, balance: bool = False, split: str = "train") -> None:
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
        inputs = torch.from_numpy(np.maximum(images, stripes[grounds]))
        super().__init__(inputs, torch.from_numpy(labels), CLASSES, spaces.Box(0, 255, images.shape[1:], np.uint8))
        self.reset_noise = 2 if balance else 1
        for name, values in {"grounds": grounds, "first": count.cumsum() - count, "count": count}.items():
            self.register_buffer(name, torch.from_numpy(values), persistent=False)

    def reset(self, noise: Tensor) -> BanditState:
        """An image drawn uniformly, or from a group drawn uniformly."""
        if not self.balance:
            return super().reset(noise)
        group = (noise[:, 1] * len(GROUPS)).long()
        index = self.first[group] + (noise[:, 0] * self.count[group]).long()
        return BanditState(index, torch.full_like(index, -1))

    def step(self, state: BanditState, action: Tensor, noise: Tensor) -> Step[BanditState]:
        """Judges the guess, for its group too."""
        step = super().step(state, action, noise)
        group = 2 * self.labels[state.index] + self.grounds[state.index]
        each = {name: step.reward.masked_fill(group != k, torch.nan) for k, name in enumerate(GROUPS)}
        return replace(step, metrics=step.metrics | each)

    def summarise(self, metrics: dict[str, float]) -> dict[str, float]:
        """The means with the worst group's accuracy; without it where a group was not met."""
        return metrics | ({"worst": min(metrics[name] for name in GROUPS)} if metrics.keys() >= set(GROUPS) else {})

    def draw_input(self, example: Tensor, area: tuple[int, int, int, int], canvas: Canvas) -> None:
        """The image, each pixel a square."""
        canvas.image(example, area)


def _grounds(labels: np.ndarray, agreement: float) -> np.ndarray:
    """(N,) int64 the background of each image: its class's for that share of each class, rounded, else the other."""
    grounds = labels.copy()
    for label in range(len(CLASSES)):
        rows = np.flatnonzero(labels == label)
        shuffled = np.random.RandomState(label).permutation(rows)  # the generator that NumPy never changes
        grounds[shuffled[round(len(rows) * agreement) :]] = 1 - label
    return grounds
