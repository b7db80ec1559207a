"""Shift: name digits while the world changes now and then, and only the reward tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..checks.options import choice, integer
from ..core.splits import SPLITS
from ..core.task import Step, Task
from ..core.tree import select
from ..drawing.canvas import MUTED, Canvas
from ..drawing.choices import Choice, numbered
from .sources.changes import CHANGES, changed, permutations
from .sources.images import load_images

WRONG, RIGHT, NONE = 0, 1, 2
"""What is observed of the last answer."""


@dataclass(frozen=True)
class ShiftState:
    """The image shown, the world it is shown in, and the last answer.

    Attributes:
        row: (B,) int64 the image's row.
        world: (B,) int64 which of the worlds holds now.
        speck: (B, 1, 8, 8) float32 uniforms that decide noise; without it (B, 0).
        time: (B,) int64 answers given.
        answer: (B,) int64 the last answer, the number of classes before the first.
        verdict: (B,) int64 0 it was wrong, 1 right, 2 there is none.
        right: (B,) int64 what the right answer was, the number of classes before the first.
    """

    row: Tensor
    world: Tensor
    speck: Tensor
    time: Tensor
    answer: Tensor
    verdict: Tensor
    right: Tensor


class Shift(Task[ShiftState]):
    """Name digits while the world changes now and then.

    A digit is shown at each step and named; whether it was right is told. The world changes without a word, on average
    every `period` steps, to another of `worlds`.

    Isolates adaptation to changing distributions. With "names" an image alone no longer tells its class, because all
    names have moved on by an unknown number: only past answers and rewards tell, so that memory is what counts (concept
    shift). The others change the images and leave the names (covariate shift): an image shows how it was changed, and
    what counts is robustness, most of all for who trained with ``change="none"``.

    Observation: Dict of ``image``, (1, 8, 8) uint8; ``answer``, Discrete(11), the last answer, 10 before the first; and
        ``verdict``, Discrete(3), 0 if it was wrong, 1 if right, 2 before the first.
    Action: Discrete(10), the name.
    Reward: 1 / length for the right name, so the return is the accuracy.
    Episode: terminates after `length` answers.
    Metrics: accuracy; settled, the accuracy in the later half of the episode.
    Expert: the right name, return 1. Guessing returns 0.1. Who reads every digit but knows nothing of worlds returns
        1 / worlds with "names"; who infers the world from its mistakes about 0.92 by default.
    Source: concept drift of Widmer and Kubat (1996); corruptions as of Hendrycks and Dietterich (2019); permuted pixels
        of Goodfellow et al. (2014); digits of Alpaydin and Kaynak (1998).

    Args:
        change: "names" (moved on by the world's number), "rotation" (by 90 degrees), "contrast" (a half, a quarter,
            inverted), "brightness" (brighter, much brighter, darker), "noise" (a sixth, a third, a half of the pixels
            are replaced), "pixels" (their order, one of three fixed ones) or "none".
        worlds: how many there are, from 2 to 4; an episode begins in any, and world 0 is the usual one.
        period: mean number of steps between changes.
        length: answers of an episode.
        split: "train", "validation" or "test", the images shown; that of `DigitBandit`.

    Raises:
        InvalidInput: an unknown change or split, or a number out of its range.
    """

    variants = (
        {"split": "test"},
        *({"change": change, "split": "test"} for change in ("rotation", "contrast", "brightness", "noise", "pixels")),
        {"change": "none", "length": 10},
    )

    images: Tensor
    labels: Tensor
    orders: Tensor

    def __init__(
        self, *, change: str = "names", worlds: int = 3, period: int = 20, length: int = 60, split: str = "train"
    ) -> None:
        super().__init__()
        self.change = choice("Shift: change", change, CHANGES)
        self.worlds = integer("Shift: worlds", worlds, 2, 4)
        self.period = integer("Shift: period", period, 1)
        self.horizon = integer("Shift: length", length, 1)
        choice("Shift: split", split, SPLITS)
        images, labels, self.class_names = load_images("digits", split, None)
        self.register_buffer("images", torch.from_numpy(images), persistent=False)
        self.register_buffer("labels", torch.from_numpy(labels), persistent=False)
        self.register_buffer("orders", permutations(images[0].size), persistent=False)
        self.specks = images[0].size if change == "noise" else 0
        self.reset_noise, self.step_noise = 2 + self.specks, 3 + self.specks
        classes = len(self.class_names)
        self.observation_space = spaces.Dict(
            {
                "image": spaces.Box(0, 255, images.shape[1:], np.uint8),
                "answer": spaces.Discrete(classes + 1),
                "verdict": spaces.Discrete(3),
            }
        )
        self.action_space = spaces.Discrete(classes)

    def reset(self, noise: Tensor) -> ShiftState:
        """An image and a world, drawn uniformly."""
        row = (noise[:, 0] * len(self.labels)).long()
        zero = torch.zeros_like(row)
        none = zero + len(self.class_names)
        world = (noise[:, 1] * self.worlds).long() if self.change != "none" else zero
        return ShiftState(row, world, noise[:, 2:], zero, none, zero + NONE, none)

    def _name(self, state: ShiftState) -> Tensor:
        """(B,) the right answer."""
        label = self.labels[state.row]
        return (label + state.world) % len(self.class_names) if self.change == "names" else label

    def step(self, state: ShiftState, action: Tensor, noise: Tensor) -> Step[ShiftState]:
        """Judges the answer, shows the next image, and now and then changes the world."""
        right, time = self._name(state), state.time + 1
        correct = right == action
        other = (state.world + 1 + (noise[:, 1] * (self.worlds - 1)).long()) % self.worlds
        moves = (noise[:, 2] * self.period < 1) & (self.change != "none")
        following = ShiftState(
            row=(noise[:, 0] * len(self.labels)).long(),
            world=torch.where(moves, other, state.world),
            speck=noise[:, 3:],
            time=time,
            answer=action,
            verdict=correct.long(),
            right=right,
        )
        accuracy = correct.float()
        metrics = {"accuracy": accuracy, "settled": accuracy.masked_fill(2 * time <= self.horizon, torch.nan)}
        return Step(following, accuracy / self.horizon, time >= self.horizon, metrics)

    def observe(self, state: ShiftState) -> dict[str, Tensor]:
        """The image as this world shows it, and what became of the last answer."""
        image = changed(self.change, select(self.images, state.row), state.world, state.speck, self.orders)
        return {"image": image, "answer": state.answer, "verdict": state.verdict}

    def expert(self, state: ShiftState) -> Tensor:
        """The right name."""
        return self._name(state)

    def draw(self, state: ShiftState, canvas: Canvas) -> None:
        """What is seen, and the hidden world."""
        seen = self.observe_one(state)
        self.draw_seen(seen, canvas)
        if not canvas.spectator:
            return
        world, middle = int(state.world), canvas.width // 2
        told = f"hidden: every name is moved on by {world}" if self.change == "names" else f"hidden: world {world}"
        canvas.text(told, (middle, 395), size=24, colour=MUTED, anchor="center")
        if int(state.verdict) == WRONG:
            canvas.text(f"right was {self.class_names[int(state.right)]}", (middle, 425), size=24, anchor="center")
        canvas.text(f"step {int(state.time)} of {self.horizon}", (middle, 458), size=24, anchor="center")

    def draw_seen(self, observation: Any, canvas: Canvas) -> None:
        """The image and the verdict on the last answer."""
        middle, verdict = canvas.width // 2, int(observation["verdict"])
        canvas.text("What is this digit called now?", (middle, 30), size=28, anchor="center")
        canvas.image(observation["image"], (middle - 110, 55, 220, 220))
        if verdict == NONE:
            canvas.text("names may change without a word", (middle, 330), size=24, colour=MUTED, anchor="center")
            return
        answer = self.class_names[int(observation["answer"])]
        canvas.verdict(verdict == RIGHT, (middle - 150, 295, 300, 75))
        canvas.text(f"before: {answer}", (middle, 332), size=28, anchor="center")

    def choices(self) -> list[Choice]:
        """A number for each name."""
        return numbered(self.class_names)
