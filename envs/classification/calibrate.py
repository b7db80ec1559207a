"""Calibrate: say how likely each class is, and be scored on the honesty of that forecast."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..checks.options import choice, number
from ..core.splits import SPLITS
from ..core.task import Step, Task
from ..core.tree import select
from ..drawing.canvas import ACCENT, MUTED, Canvas
from .sources.domains import CHANGED, in_target
from .sources.images import load_images

LEAST = 1e-3  # the log score takes no probability for smaller than this


@dataclass(frozen=True)
class CalibrateState:
    """The image, where it comes from and what was forecast.

    Attributes:
        image: (B, 1, 8, 8) uint8 what is shown.
        chances: (B, 10) float32 each class's chance of being the label, given the source images and their weights.
        label: (B,) int64 the class drawn from these chances.
        forecast: (B, 10) float32 the probabilities given, all 0 before.
    """

    image: Tensor
    chances: Tensor
    label: Tensor
    forecast: Tensor


class Calibrate(Task[CalibrateState]):
    """Say how likely each class of an ambiguous digit is.

    Forecast the label of a digit that may be blended with another one and speckled with noise.

    Isolates knowing what one does not know: a blended image has no single right answer, only right odds. With chance
    `blend` an image is w times one digit plus 1 - w times another, w uniform on [0, 1], and its label is that of the
    first with chance w, else that of the second. Each pixel is then replaced, with a chance that is uniform on
    [0, `corruption`] for the whole image, by a uniform grey.

    Observation: (1, 8, 8) uint8, the image.
    Action: Box(0, 1, (10,)), weights of the classes, which are divided by their sum; no weight at all means equal ones.
    Reward: the score of the forecast p for the label y. "log": ln p_y, with p_y taken as at least 0.001. "brier": minus
        the sum over classes of (p_k - [k = y])^2. Either is highest on average for the honest forecast.
    Episode: terminates after one forecast.
    Metrics: accuracy of the likeliest class, and confidence, its probability: their pairs are what an expected
        calibration error is computed from, and on average they are equal for a calibrated forecaster.
    Expert: the chances that the label was drawn with. It sees the two sources and w, so it is the best there is for
        whoever could recognise both through blend and noise, and a bound for everyone else. Its mean log score is
        -0.5 `blend` for two different classes (the mean entropy of (w, 1 - w)), about -0.135 by default; random
        weights score about -2.6. Brier: about -0.09 and -0.93.
    Source: Brier (1950), Good (1952) for the scores; Ovadia et al. (2019) for what becomes of forecasts in another
        domain; Alpaydin and Kaynak (1998) for the digits, by scikit-learn.

    Args:
        score: "log" or "brier".
        blend: the share of images that are blends, 0 to 1.
        corruption: the largest share of pixels that noise replaces, 0 to 0.5.
        split: "train", "validation" or "test", the images that are blended; that of `DigitBandit`.
        domain: "source", the images as they are, or "target", as `target` says: a forecaster that learned on the one
            should be less sure on the other.
        target: "inverted", "rotated" or "textured", see `DigitBandit`.

    Raises:
        InvalidInput: an unknown score, split, domain or target, or a share outside its limits.
    """

    variants = (
        {"split": "test"},
        {"score": "brier"},
        {"score": "brier", "split": "test"},
        {"blend": 1.0, "corruption": 0.0},
        {"domain": "target", "target": "rotated", "split": "test"},
    )

    horizon = 1
    images: Tensor
    labels: Tensor

    def __init__(
        self,
        *,
        score: str = "log",
        blend: float = 0.3,
        corruption: float = 0.1,
        split: str = "train",
        domain: str = "source",
        target: str = "rotated",
    ) -> None:
        super().__init__()
        self.score = choice("Calibrate: score", score, ("log", "brier"))
        self.blend = number("Calibrate: blend", blend, 0, 1)
        self.corruption = number("Calibrate: corruption", corruption, 0, 0.5)
        choice("Calibrate: split", split, SPLITS)
        choice("Calibrate: domain", domain, ("source", "target"))
        choice("Calibrate: target", target, CHANGED)
        pixels, labels, self.class_names = load_images("digits", split, None)
        images = torch.from_numpy(pixels)
        images = in_target(images, target) if domain == "target" else images
        self.register_buffer("images", images, persistent=False)
        self.register_buffer("labels", torch.from_numpy(labels), persistent=False)
        self.observation_space = spaces.Box(0, 255, images.shape[1:], np.uint8)
        self.action_space = spaces.Box(0, 1, (len(self.class_names),), np.float32)
        self.reset_noise = 5 + (1 + images[0].numel() if self.corruption else 0)

    def reset(self, noise: Tensor) -> CalibrateState:
        """Two sources, their weights, the label, then the pixels' noise."""
        first, second = (noise[:, :2] * len(self.labels)).long().unbind(1)  # (B,)
        weight = torch.where(noise[:, 2] < self.blend, noise[:, 3], 1)
        classes = torch.stack([self.labels[first], self.labels[second]], 1)  # (B, 2)
        shares = torch.stack([weight, 1 - weight], 1)
        chances = noise.new_zeros(len(noise), len(self.class_names)).scatter_add(1, classes, shares)
        label = torch.where(noise[:, 4] < weight, classes[:, 0], classes[:, 1])
        second_image = select(self.images, second).float()
        image = torch.lerp(second_image, select(self.images, first).float(), weight[:, None, None, None])
        if self.corruption:
            level, pixel = self.corruption * noise[:, 5, None, None, None], noise[:, 6:].view_as(image)
            image = torch.where(pixel < level, 255 * pixel / level, image)  # below its limit the uniform is one again
        return CalibrateState(image.round().to(torch.uint8), chances, label, torch.zeros_like(chances))

    def step(self, state: CalibrateState, action: Tensor, noise: Tensor) -> Step[CalibrateState]:
        """Scores the forecast."""
        total = action.sum(1, keepdim=True)
        forecast = torch.where(total > 0, action / total, 1 / action.shape[1])
        given = forecast.gather(1, state.label[:, None])[:, 0]  # (B,) the label's probability
        brier = 1 - 2 * given + forecast.square().sum(1)
        reward = given.clamp(min=LEAST).log() if self.score == "log" else -brier
        confidence, likeliest = forecast.max(1)
        metrics = {"accuracy": (likeliest == state.label).float(), "confidence": confidence}
        following = CalibrateState(state.image, state.chances, state.label, forecast)
        return Step(following, reward, torch.ones_like(reward, dtype=torch.bool), metrics)

    def observe(self, state: CalibrateState) -> Tensor:
        """The image, (B, 1, 8, 8)."""
        return state.image

    def expert(self, state: CalibrateState) -> Tensor:
        """The chances of the classes, (B, 10)."""
        return state.chances

    def draw(self, state: CalibrateState, canvas: Canvas) -> None:
        """The image beside the hidden chances; below, the forecast as bars with the label framed."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        canvas.text("How likely is each digit?", (canvas.width // 2, 30), size=30, anchor="center")
        canvas.image(state.image, (20, 60, 190, 190))
        canvas.text("true chances (hidden)", (345, 60), size=22, colour=MUTED, anchor="midtop")
        canvas.bars(state.chances, (235, 80, 225, 170), labels=self.class_names, colours=[MUTED], maximum=1.0)
        if not bool(state.forecast.any()):
            canvas.text("no forecast yet", (canvas.width // 2, 360), size=28, colour=MUTED, anchor="center")
            return
        label = int(state.label)
        told = f"forecast (framed: the label, {self.class_names[label]})"
        canvas.text(told, (canvas.width // 2, 280), size=26, anchor="center")
        area = (20, 300, canvas.width - 40, 165)
        canvas.bars(state.forecast, area, labels=self.class_names, colours=[ACCENT], highlight=label, maximum=1.0)

    def draw_seen(self, observation: Tensor, canvas: Canvas) -> None:
        """The image."""
        canvas.text("How likely is each digit?", (canvas.width // 2, 40), size=30, anchor="center")
        canvas.image(observation, (70, 75, 340, 340))
        told = "It may be a blend of two: give each digit its share"
        canvas.text(told, (canvas.width // 2, 445), size=24, colour=MUTED, anchor="center")

    def entries(self) -> list[str]:
        """The classes."""
        return self.class_names
