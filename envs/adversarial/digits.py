"""Small digits to forge: handwritten ones are real, and a classifier says which of the ten a forged one shows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..classification.sources.images import load_images
from ..core.game import Opponent
from ..core.tree import select
from ..drawing.canvas import BAD, MUTED, Canvas
from ..frozen.classifiers import classifier
from .lookup import Lookup
from .source import Source

LATENTS = 8  # numbers of noise
LEVELS = 16  # steps from black to white in the data set
SURE = 0.9  # the classifier's probability from which on an image counts as one of a class
TYPICAL = 2.5  # squared distance of a digit from the nearest mean digit, in units of the range from black to white


class Digits(Source):
    """scikit-learn's digits of 8 x 8 pixels, to be made out of noise, all pixels at once.

    Args:
        split: "train", "validation" or "test".
    """

    noun = "image"
    entries: list[str] = []  # noqa: RUF012
    real_uniforms, noise_uniforms = 1, LATENTS
    images: Tensor
    labels: Tensor

    def __init__(self, split: str) -> None:
        super().__init__()
        images, labels, self.class_names = load_images("digits", split)
        self.register_buffer("images", torch.from_numpy(images), persistent=False)  # (N, 1, 8, 8)
        self.register_buffer("labels", torch.from_numpy(labels), persistent=False)  # (N,)
        self.classifier, self.modes = classifier("robust").double(), len(self.class_names)
        self.noise_space = spaces.Box(-1, 1, (LATENTS,), np.float32)
        self.action_space = spaces.Box(0, 1, (images[0].size,), np.float32)
        self.sample_space = spaces.Box(0, 255, images.shape[1:], np.uint8)
        self.register_buffer("blank", torch.zeros_like(self.images[0]), persistent=False)

    def real(self, uniforms: Tensor) -> Tensor:
        """Digits (B, 1, 8, 8)."""
        return select(self.images, (uniforms[:, 0] * len(self.images)).long())

    def noise(self, uniforms: Tensor) -> Tensor:
        """Numbers (B, 8), uniform from -1 to 1."""
        return 2 * uniforms - 1

    def make(self, noise: Tensor, action: Tensor) -> Tensor:
        """Images (B, 1, 8, 8) of the pixels (B, 64), in the data set's 17 greys, by which none can be told apart."""
        greys = (LEVELS * action).round() * (255 / LEVELS)
        return greys.round().to(torch.uint8).view(-1, *self.images.shape[1:])

    def near(self, samples: Tensor) -> Tensor:
        """(B, 10) bool: the class that the classifier is sure of, if any."""
        return self.classifier(samples.double() / 255).softmax(1) > SURE

    def expert(self, noise: Tensor) -> Tensor:
        """(B, 64) the pixels of the digit that the first number of the noise picks."""
        return pixels(select(self.images, picked(noise[:, 0], len(self.images))))

    def opponents(self, player: str) -> dict[str, Callable[[], Opponent]]:
        """Generators that copy one digit, mix two or paint pixels by chance, and a discriminator by distance."""
        if player == "discriminator":
            return {"nearest-mean": partial(NearestMean, self.images, self.labels)}
        zeros = self.images[self.labels == 0]
        return {
            "true": partial(Copyist, self.images, self.images),
            "collapsed": partial(Copyist, self.images, zeros),
            "blurred": partial(Mixer, self.images),
            "uniform": partial(Chance, self.images),
        }

    def draw(self, made: Tensor, shown: Tensor, canvas: Canvas) -> None:
        """The image shown, the last ones made, and a real one of each class."""
        canvas.text("on trial", (120, 60), size=22, colour=BAD, anchor="center")
        canvas.image(shown, (25, 75, 190, 190), border=BAD)
        canvas.text("latest forgeries" if len(made) else "nothing forged yet", (350, 60), size=22, anchor="center")
        side = 50
        for place, image in enumerate(made[-16:]):
            row, column = divmod(place, 4)
            canvas.image(image, (250 + column * side, 75 + row * side, side - 6, side - 6))
        canvas.text("real ones", (canvas.width // 2, 315), size=22, colour=MUTED, anchor="center")
        for label in range(self.modes):
            canvas.image(self.images[self.labels == label][0], (15 + 45 * label, 332, 40, 40))

    def draw_noise(self, noise: Tensor, canvas: Canvas) -> None:
        """The numbers of noise as bars."""
        canvas.text("Paint a digit that passes for real", (canvas.width // 2, 50), size=30, anchor="center")
        told = "these random numbers may help to choose which"
        canvas.text(told, (canvas.width // 2, 95), size=22, colour=MUTED, anchor="center")
        canvas.bars(noise, (40, 120, canvas.width - 80, 300))

    def draw_sample(self, shown: Tensor, canvas: Canvas) -> None:
        """The image."""
        canvas.image(shown, (70, 75, 340, 340))


def picked(number: Tensor, count: int) -> Tensor:
    """(B,) rows below `count` that numbers (B,) from -1 to 1 pick."""
    return ((number + 1) / 2 * count).long().clamp(max=count - 1)


def pixels(images: Tensor) -> Tensor:
    """Images (B, 1, 8, 8) uint8 as a generator's actions (B, 64)."""
    return images.flatten(1).float() / 255


class Painter(Opponent):
    """A scripted generator of digits; unless it says otherwise, none of its images is a real one.

    Args:
        images: (N, 1, 8, 8) uint8 the real digits.
    """

    images: Tensor

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.register_buffer("images", images, persistent=False)
        self.lookup = Lookup(images)

    def best_response(self, observation: Any) -> Tensor:
        """(B, 1) how likely images (B, 1, 8, 8) are real: 1 or 0."""
        return (self.lookup(observation) >= 0).float()[:, None]


class Chance(Painter):
    """A generator that paints every pixel by chance."""

    noise = 64

    def forward(self, observation: Tensor, noise: Tensor) -> Tensor:
        """(B, 64) the uniforms (B, 64)."""
        return noise


class Mixer(Painter):
    """A generator that shows the mean of two digits; that these are one and the same is left out of account."""

    def forward(self, observation: Tensor, noise: Tensor) -> Tensor:
        """(B, 64) the mean of the digits that the first two numbers of the noise (B, 8) pick."""
        first, second = (pixels(select(self.images, picked(observation[:, k], len(self.images)))) for k in (0, 1))
        return (first + second) / 2


class Copyist(Painter):
    """A generator that shows digits of the set.

    Args:
        images: (N, 1, 8, 8) uint8 the real digits.
        shown: (M, 1, 8, 8) uint8 those of them that it shows.
    """

    shown: Tensor

    def __init__(self, images: Tensor, shown: Tensor) -> None:
        super().__init__(images)
        self.register_buffer("shown", shown, persistent=False)
        self.copies = Lookup(shown)

    def forward(self, observation: Tensor, noise: Tensor) -> Tensor:
        """(B, 64) the digits that the first number of the noise (B, 8) picks."""
        return pixels(self.shown[picked(observation[:, 0], len(self.shown))])

    def best_response(self, observation: Any) -> Tensor:
        """(B, 1) how likely images (B, 1, 8, 8) are real: each of the N is so as often, each of the M made so."""
        made = (self.copies(observation) >= 0) * (len(self.images) / len(self.shown))
        return super().best_response(observation) / (1 + made)[:, None]


class NearestMean(Opponent):
    """A discriminator that believes in an image the more, the nearer it is to the mean digit of some class.

    Args:
        images: (N, 1, 8, 8) uint8 the real digits.
        labels: (N,) int64 their classes.
    """

    means: Tensor

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        super().__init__()
        means = [images[labels == label].float().mean(0).round() for label in labels.unique()]
        self.register_buffer("means", torch.stack(means).flatten(1), persistent=False)  # (10, 64)

    def forward(self, observation: Tensor, noise: Tensor) -> Tensor:
        """(B, 1) the probability that images (B, 1, 8, 8) are real: 1 at a mean, 1/2 as far off as digits are."""
        x = observation.flatten(1).float()
        # whole numbers below 2^24, so that the products are exact
        apart = self.means.square().sum(1) - 2 * x @ self.means.t() + x.square().sum(1, keepdim=True)  # (B, 10)
        return 1 / (1 + apart.amin(1, keepdim=True) / (TYPICAL * 255**2))
