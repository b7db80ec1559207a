"""Abstain: name what one knows, and pass on what one does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ...neural_blocks.errors import InvalidInput
from ..checks.options import choice, integer, number
from ..core.splits import SPLITS
from ..core.task import Step, Task
from ..core.tracing import judged_at_end
from ..core.tree import select
from ..drawing.canvas import MUTED, Canvas
from ..drawing.choices import Choice, numbered
from ..drawing.wording import fixed
from .sources.novelty import KINDS, KNOWN, average_precision, mixed_images, ranking

RIGHT, WRONG, PASSED = 1, 0, 2


@dataclass(frozen=True)
class AbstainState:
    """The images of an episode, and what was answered.

    Attributes:
        row: (B, T) int64 the rows of all images of the episode, in order.
        time: (B,) int64 images answered.
        suspicion: (B, T) float32 how strange each was called, 0 where it is still to come.
        answer: (B,) float32 the last answer: a class, or the anomaly score; -1 before the first.
    """

    row: Tensor
    time: Tensor
    suspicion: Tensor
    answer: Tensor


class Abstain(Task[AbstainState]):
    """Name the digits one knows and pass on whatever else is shown.

    Half of an episode's images are digits of known classes; the other half are none: digits of other classes, known
    ones beyond recognition, and drawings that are no digits.

    Isolates knowing what one does not know. The strange digits that training shows are 6 and 7, those that count 8 and
    9; and the drawings are of other programs: what is learned must be what a known digit looks like.

    Observation: (1, 8, 8) uint8, the image; black after the last.
    Action: for answer "pass" Discrete(7), a class from 0 to 5, or 6 to pass; for "score" Box(0, 1, (1,)), how strange
        the image is.
    Reward: for "pass", over length: 1 for the right class, -1 for a wrong one or for naming what is strange, -`fee` for
        passing. For "score", minus the squared distance of the score from 1 for a strange image and 0 for a known one,
        over length.
    Episode: terminates after `length` images.
    Metrics: for "pass" accuracy of the classes named, coverage (the share of known digits that were named) and caution
        (the share of strange images passed on). For "score", at the end, auroc and average_precision of the episode's
        scores, the strange images being the positive ones.
    Expert: names the known and passes on the rest, return (1 - `fee`) / 2; for "score" it returns 0.
    Source: Chow (1970) for the fee; Hendrycks and Gimpel (2017) for the measures; digits of Alpaydin and Kaynak (1998).

    Args:
        answer: "pass" or "score".
        fee: what passing costs, from 0 to 1.
        strange: "all", or one kind alone: "classes", "corrupted" or "foreign".
        length: images of an episode, even.
        split: "train", "validation" or "test". Validation shows the strange digits of training, among images of its
            own.

    Raises:
        InvalidInput: an unknown answer, kind or split, or a number out of its range.
    """

    variants = (
        {"split": "test"},
        {"answer": "score"},
        {"answer": "score", "strange": "foreign", "split": "test"},
        {"strange": "classes", "fee": 0.1, "length": 6},
    )

    images: Tensor
    labels: Tensor

    def __init__(
        self,
        *,
        answer: str = "pass",
        fee: float = 0.3,
        strange: str = "all",
        length: int = 16,
        split: str = "train",
    ) -> None:
        super().__init__()
        self.scored = choice("Abstain: answer", answer, ("pass", "score")) == "score"
        self.fee = number("Abstain: fee", fee, 0, 1)
        choice("Abstain: strange", strange, ("all", *KINDS))
        self.each, odd = divmod(integer("Abstain: length", length, 2, 1000), 2)
        if odd:
            raise InvalidInput(f"Abstain: length must be even; got {length}")
        choice("Abstain: split", split, SPLITS)
        images, labels = mixed_images(split, KINDS if strange == "all" else (strange,))
        self.known = int((labels < KNOWN).sum())  # these rows come first
        self.register_buffer("images", torch.from_numpy(images), persistent=False)  # the last one is black
        self.register_buffer("labels", torch.from_numpy(labels), persistent=False)
        self.class_names = [str(k) for k in range(KNOWN)]
        self.horizon = 2 * self.each
        self.reset_noise = 2 * self.horizon
        self.observation_space = spaces.Box(0, 255, images.shape[1:], np.uint8)
        self.action_space = spaces.Box(0, 1, (1,), np.float32) if self.scored else spaces.Discrete(KNOWN + 1)

    def reset(self, noise: Tensor) -> AbstainState:
        """Known images and as many strange ones, drawn uniformly, in a random order."""
        drawn, order = noise.chunk(2, 1)
        strange = len(self.images) - 1 - self.known
        rows = [
            (drawn[:, : self.each] * self.known).long(),
            self.known + (drawn[:, self.each :] * strange).long(),
        ]
        row = torch.cat(rows, 1).gather(1, order.argsort(dim=1, stable=True))  # (B, T)
        time = torch.zeros_like(row[:, 0])
        return AbstainState(row, time, torch.zeros_like(drawn), torch.full_like(drawn[:, 0], -1))

    def _label(self, state: AbstainState) -> Tensor:
        """(B,) the class of the image shown, the number of classes for a strange one."""
        return self.labels[self._shown(state)]

    def _shown(self, state: AbstainState) -> Tensor:
        row = state.row.gather(1, state.time.clamp(max=self.horizon - 1)[:, None]).squeeze(1)
        return row.masked_fill(state.time >= self.horizon, len(self.images) - 1)

    def step(self, state: AbstainState, action: Tensor, noise: Tensor) -> Step[AbstainState]:
        """Judges the answer; at the end ranks all scores."""
        label, time = self._label(state), state.time + 1
        strange, ended = label == KNOWN, time >= self.horizon
        said = action[:, 0] if self.scored else action.float()
        here = torch.arange(self.horizon, device=label.device) == state.time[:, None]  # (B, T)
        suspicion = torch.where(here, said[:, None], state.suspicion)
        if self.scored:
            reward = -(said - strange.float()).square()
            auroc, precision = judged_at_end(ended, self._ranked, suspicion, state.row).unbind(1)
            metrics = {"auroc": auroc, "average_precision": precision}
        else:
            passed, right = action == KNOWN, action == label
            reward = torch.where(passed, -self.fee, torch.where(right, 1.0, -1.0)).to(said.dtype)
            metrics = {
                "accuracy": right.float().masked_fill(passed, torch.nan),
                "coverage": (~passed).float().masked_fill(strange, torch.nan),
                "caution": passed.float().masked_fill(~strange, torch.nan),
            }
        following = AbstainState(state.row, time, suspicion, said)
        return Step(following, reward / self.horizon, ended, metrics)

    def _ranked(self, suspicion: Tensor, row: Tensor) -> Tensor:
        """How well suspicions (B, T) tell apart the images in these rows (B, T): two measures, (B, 2)."""
        strange = self.labels[row] == KNOWN
        return torch.stack([ranking(suspicion, strange), average_precision(suspicion, strange)], 1)

    def observe(self, state: AbstainState) -> Tensor:
        """The image, (B, 1, 8, 8)."""
        return select(self.images, self._shown(state))

    def expert(self, state: AbstainState) -> Tensor:
        """The class, or to pass; the right score."""
        label = self._label(state)
        return (label == KNOWN).float()[:, None] if self.scored else label

    def draw(self, state: AbstainState, canvas: Canvas) -> None:
        """The image, and the last answer with what would have been right."""
        self.draw_seen(self.observe_one(state), canvas)
        time, middle = int(state.time), canvas.width // 2
        if not canvas.spectator:
            return
        canvas.text(f"image {min(time + 1, self.horizon)} of {self.horizon}", (middle, 462), 20, MUTED, "center")
        if not time:
            return
        label, said = int(self.labels[state.row[time - 1]]), float(state.answer)
        truth = "strange" if label == KNOWN else f"a {label}"
        if self.scored:
            told, right = f"strangeness {fixed(said, 2)}", abs(said - (label == KNOWN)) < 0.5
        else:
            told, right = "passed" if said == KNOWN else f"named {int(said)}", said == label
        canvas.verdict(right, (middle - 180, 395, 360, 50))
        canvas.text(f"before: {told}, it was {truth}", (middle, 420), size=22, anchor="center")

    def draw_seen(self, observation: Any, canvas: Canvas) -> None:
        """The image, and what may be answered."""
        middle = canvas.width // 2
        canvas.image(observation, (middle - 120, 30, 240, 240))
        asked = "How strange is it?" if self.scored else "Which digit is it? Pass if it is none of these"
        canvas.text(asked, (middle, 305), size=26, anchor="center")
        if self.scored:
            canvas.text("0 a digit from 0 to 5, 1 anything else", (middle, 350), 24, MUTED, "center")
        else:
            canvas.cards([*self.class_names, f"{KNOWN} pass"], (20, 335, canvas.width - 40, 48))

    def choices(self) -> list[Choice]:
        """A number for each class, and one to pass."""
        return [] if self.scored else numbered([*self.class_names, "pass"])

    def entries(self) -> list[str]:
        """How strange the image is."""
        return ["strange"]
