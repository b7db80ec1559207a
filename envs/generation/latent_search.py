"""LatentSearch: steer a decoder's latent point until it shows what is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..checks.options import choice, integer, number
from ..classification.sources.images import load_images
from ..core.splits import OUTSIDE_TEST
from ..core.task import Step, Task
from ..drawing.canvas import ACCENT, GOOD, MUTED, Canvas
from ..frozen.classifiers import classifier
from ..frozen.generators import autoencoder
from ..frozen.likeness import likeness
from ..frozen.rounding import normal, rounded


@dataclass(frozen=True)
class LatentSearchState:
    """Where the search is, and where it should end.

    Attributes:
        latent: (B, D) float32 the point.
        image: (B, 1, 8, 8) uint8 what the decoder makes of it.
        goal: (B, D) float32 a point that shows what is asked for; hidden.
        target: (B, 1, 8, 8) uint8 what the decoder makes of that.
        request: (B,) int64 the class asked for; 0 where an image is.
        start: (B,) float32 the distance of the first image from the target, greys from 0 to 255.
        closeness: (B,) float32 how near the image is, 1 at best.
    """

    latent: Tensor
    image: Tensor
    goal: Tensor
    target: Tensor
    request: Tensor
    start: Tensor
    closeness: Tensor


class LatentSearch(Task[LatentSearchState]):
    """Steer a decoder's latent point until it shows the image asked for.

    Move a point in the latent space of a frozen decoder until the decoded digit is the one asked for.

    Isolates control through a learnt, nonlinear map: the steps are made in one space and judged in another. The decoder
    is that of a variational autoencoder of scikit-learn's digits with 6 latents. The search starts at a point drawn
    from the prior, a standard normal, and leads to another one or to a class: there is no data to split.

    Observation: a dict. "latent": (6,) float32, the point; "image": (1, 8, 8) uint8, what it decodes to; and, for the
        target "image", "target": (1, 8, 8) uint8, the image to be shown, decoded from another point of the prior; for
        the target "class", "request": Discrete(10), the class to be shown, uniform.
    Action: Box(-0.5, 0.5, (6,)), the step along each latent.
    Reward: the gain of closeness. For an image that is 1 - d / d0, d being the root mean squared difference of the two
        images and d0 the one at the start, so that a return is the share of the way covered; for a class the
        probability that a frozen classifier (the adversarially trained one of `frozen.classifiers`) gives to it.
    Episode: truncated after `length` steps.
    Metrics: closeness. An evaluation adds the last images' likeness to the digits that the decoder learned from, see
        `frozen.likeness`.
    Expert: walks straight to the hidden point, or to the digit of the class, of those outside the test split, whose
        decoded latent the classifier is surest of, the longest step allowed on each axis; both it reads in the state.
        For an image it returns 1, the best there is, if `length` is enough; for a class 0.90, the best digit's
        probability of 0.99 less that of the first image. Random steps return -0.11 and 0.
    Source: Kingma and Welling (2014) for the decoder; steering one by actions is Palaestra's.

    Args:
        target: "image" or "class".
        length: steps of an episode.
        stride: the longest step along each latent.

    Raises:
        InvalidInput: an unknown target, or a number outside its limits.
    """

    variants = ({"target": "class"}, {"length": 20, "stride": 0.25})

    goals: Tensor

    def __init__(self, *, target: str = "image", length: int = 12, stride: float = 0.5) -> None:
        super().__init__()
        self.target = choice("LatentSearch: target", target, ("image", "class"))
        self.horizon = integer("LatentSearch: length", length, 1, 1000)
        self.stride = number("LatentSearch: stride", stride, 0.01, 10)
        self.autoencoder, self.classifier = autoencoder(), classifier("robust").double()
        pixels, classes, self.class_names = load_images("digits", OUTSIDE_TEST)
        means = self.autoencoder.encode(torch.from_numpy(pixels).double() / 255)[0]
        shown = self.classifier(self._decode(means).double() / 255).softmax(1)  # (N, 10)
        shown = shown * (torch.from_numpy(classes)[:, None] == torch.arange(len(self.class_names)))
        self.register_buffer("goals", rounded(means)[shown.argmax(0)], persistent=False)  # (10, D) the surest
        self.latents, size = self.autoencoder.latent_size, self.autoencoder.shape
        image = spaces.Box(0, 255, size, np.uint8)
        asked = {"target": image} if target == "image" else {"request": spaces.Discrete(len(self.class_names))}
        latent = spaces.Box(-np.inf, np.inf, (self.latents,), np.float32)
        self.observation_space = spaces.Dict({"latent": latent, "image": image, **asked})
        self.action_space = spaces.Box(-self.stride, self.stride, (self.latents,), np.float32)
        self.reset_noise = self.latents + (self.latents if target == "image" else 1)

    def _decode(self, latent: Tensor) -> Tensor:
        """Points (B, D) to images (B, 1, 8, 8) uint8."""
        return (self.autoencoder.decode(latent.double()) * 255).round().to(torch.uint8)

    def reset(self, noise: Tensor) -> LatentSearchState:
        """A point to start from, and what is asked for."""
        latent = rounded(normal(noise[:, : self.latents]))
        if self.target == "image":
            request = torch.zeros_like(noise[:, 0], dtype=torch.int64)
            goal = rounded(normal(noise[:, self.latents :]))
        else:
            request = (noise[:, self.latents] * len(self.goals)).long()
            goal = self.goals[request]
        image, target = self._decode(latent), self._decode(goal)
        if self.target == "image":
            closeness = torch.zeros_like(latent[:, 0])
            start = _difference(image, target)
        else:
            closeness = self._confidence(image, request)
            start = closeness
        return LatentSearchState(latent, image, goal, target, request, start, closeness)

    def step(self, state: LatentSearchState, action: Tensor, noise: Tensor) -> Step[LatentSearchState]:
        """Moves, decodes and compares."""
        latent = state.latent + action
        image = self._decode(latent)
        if self.target == "image":
            closeness = 1 - _difference(image, state.target) / state.start.clamp(min=1)
        else:
            closeness = self._confidence(image, state.request)
        following = LatentSearchState(latent, image, state.goal, state.target, state.request, state.start, closeness)
        reward = closeness - state.closeness
        return Step(following, reward, torch.zeros_like(reward, dtype=torch.bool), {"closeness": closeness})

    def _confidence(self, image: Tensor, request: Tensor) -> Tensor:
        """The classifier's probability (B,) of the class asked for."""
        return rounded(self.classifier(image.double() / 255).softmax(1).gather(1, request[:, None])[:, 0])

    def observe(self, state: LatentSearchState) -> dict[str, Tensor]:
        """The point, its image, and the image or class asked for."""
        asked = {"target": state.target} if self.target == "image" else {"request": state.request}
        return {"latent": state.latent, "image": state.image, **asked}

    def made(self, action: Tensor, observation: Any) -> Tensor:
        """The decoded image."""
        return observation["image"]

    def measured(self, made: Tensor) -> dict[str, float]:
        """Its likeness to the digits that the decoder learned from."""
        return likeness(made, torch.from_numpy(load_images("digits", OUTSIDE_TEST)[0]))

    def expert(self, state: LatentSearchState) -> Tensor:
        """What is left of the way, at most a stride along each latent."""
        return (state.goal - state.latent).clamp(-self.stride, self.stride)

    def draw(self, state: LatentSearchState, canvas: Canvas) -> None:
        """The decoded image beside what it should become, and the point and the goal as bars."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        middle, label = canvas.width // 2, self.class_names[int(state.request)]
        asked = "the image on the right" if self.target == "image" else f"the digit {label}"
        canvas.text(f"Turn the left image into {asked}", (middle, 30), size=28, anchor="center")
        canvas.image(state.image, (30, 55, 190, 190), border=ACCENT)
        canvas.image(state.target, (260, 55, 190, 190), border=GOOD)
        canvas.text("decoded now", (125, 262), size=22, colour=ACCENT, anchor="center")
        told = "target" if self.target == "image" else f"such a digit {label} (hidden)"
        canvas.text(told, (355, 262), size=22, colour=GOOD, anchor="center")
        canvas.text(f"closeness {float(state.closeness):.2f} of 1", (middle, 295), size=26, anchor="center")
        told = "latent numbers, each beside the hidden goal's"
        canvas.text(told, (middle, 330), size=22, colour=MUTED, anchor="center")
        pairs = torch.stack([state.latent, state.goal], 1).flatten()
        names = ["now", "goal"] * self.latents
        canvas.bars(pairs, (20, 345, canvas.width - 40, 125), labels=names, colours=[ACCENT, GOOD])

    def draw_seen(self, observation: Any, canvas: Canvas) -> None:
        """The decoded image, the image or the class asked for, and the point as bars."""
        middle, side = canvas.width // 2, 190
        left, told = (30, "the image on the right") if self.target == "image" else (middle - side // 2, "")
        if not told:
            told = f"the digit {self.class_names[int(observation['request'])]}"
        turned = "left image" if self.target == "image" else "image"
        canvas.text(f"Turn the {turned} into {told}", (middle, 30), 28, anchor="center")
        canvas.image(observation["image"], (left, 55, side, side), border=ACCENT)
        canvas.text("decoded now", (left + side // 2, 262), size=22, colour=ACCENT, anchor="center")
        if self.target == "image":
            canvas.image(observation["target"], (260, 55, side, side), border=GOOD)
            canvas.text("target", (355, 262), size=22, colour=GOOD, anchor="center")
        canvas.text("the numbers it is decoded from; move them", (middle, 320), size=22, colour=MUTED, anchor="center")
        names = [str(k) for k in range(self.latents)]
        canvas.bars(observation["latent"], (20, 340, canvas.width - 40, 130), labels=names, colours=[ACCENT])


def _difference(image: Tensor, other: Tensor) -> Tensor:
    """Root mean squared difference (B,) of uint8 images (B, 1, 8, 8), greys from 0 to 255."""
    apart = image.int() - other.int()
    return apart.square().sum((1, 2, 3)).float().div(image[0].numel()).sqrt()
