"""How a generator plays: which environments it knows by their spaces, and what it does in each with its model."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import gymnasium.spaces as spaces
import numpy as np
from torch import Tensor

from ...envs.generation.restore import WHITE
from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.generation.pixels import quantise
from ...neural_blocks.noise import Seed, categorical
from .model import Model
from .restoring import Denoising, Filling, Restoring
from .role import Role, has_keys

KNOWN = (
    "PixelCanvas, DigitBandit, GANGame (player='generator', dataset='digits'), Denoise, Restore (damage='noise' or "
    "'hole') and Unpaired (by='pixels')"
)


class Drawing(Role):
    """PixelCanvas: the next pixel is drawn from the model's distribution of it, given those before and the class."""

    wants = "conditionals of pixels: 'pixelcnn', 'pixelrnn' or 'pixel_transformer'"
    levels: ClassVar[int | None] = 2
    noise = 1

    @staticmethod
    def fits(seen: Any, acted: Any) -> bool:
        """A canvas, and the pixel that is next."""
        return has_keys(seen, "canvas", "position") and acted == spaces.Discrete(2)

    @classmethod
    def of(cls, seen: Any, acted: Any) -> Role:
        """With classes where one is asked for."""
        return cls(seen["canvas"].shape, int(seen["request"].n) if "request" in seen.spaces else 0)

    def serves(self, model: Model) -> bool:
        """Those that have conditionals."""
        return model.conditionals

    def require(self, task: Any, model: Model) -> None:
        """Pixels follow each other in the model's order."""
        wanted, got = getattr(task, "order", model.pictures.order), model.pictures.order
        if wanted != got:
            raise InvalidInput(f"generator: order must be {wanted!r} for this {task.name}; got {got!r}")

    def probabilities(self, model: Model, observation: Any, seed: Seed) -> Tensor:
        """Of paper and ink."""
        pixels = (observation["canvas"] > 0).long()
        place = observation["position"].clamp(max=math.prod(self.shape) - 1)
        return model.next_pixel(pixels, place, observation.get("request")).softmax(1)

    def act(self, model: Model, observation: Any, noise: Tensor, seed: Seed, greedy: bool) -> Tensor:
        """0 for paper, 1 for ink."""
        probabilities = self.probabilities(model, observation, seed)
        return probabilities.argmax(1) if greedy else categorical(probabilities, noise[:, 0])


class Naming(Role):
    """DigitBandit: by Bayes' rule, the class under which the picture is likeliest."""

    wants = "a likelihood given a class ('gan' with auxiliary: true; any other but 'rbm')"
    paints = False
    noise = 1

    @staticmethod
    def fits(seen: Any, acted: Any) -> bool:
        """A picture, and a class."""
        return _is_picture(seen) and isinstance(acted, spaces.Discrete)

    @classmethod
    def of(cls, seen: Any, acted: Any) -> Role:
        """Every action is a class."""
        return cls(seen.shape, int(acted.n))

    def serves(self, model: Model) -> bool:
        """Those that tell classes apart."""
        return model.telling

    def probabilities(self, model: Model, observation: Any, seed: Seed) -> Tensor:
        """Of the classes, which are alike before the picture is seen."""
        pixels = quantise(observation.float() / 255, model.pictures.levels)
        return model.class_scores(pixels, seed).softmax(1)

    def act(self, model: Model, observation: Any, noise: Tensor, seed: Seed, greedy: bool) -> Tensor:
        """The likeliest class, or one by its probability."""
        probabilities = self.probabilities(model, observation, seed)
        return probabilities.argmax(1) if greedy else categorical(probabilities, noise[:, 0])


class Forging(Role):
    """GANGame's generator of digits: a picture that the model makes, whatever the noise that is given."""

    wants = "samples, which every model has"

    @staticmethod
    def fits(seen: Any, acted: Any) -> bool:
        """Numbers of noise, and the pixels of a square picture."""
        square = isinstance(acted, spaces.Box) and len(acted.shape) == 1 and math.isqrt(acted.shape[0]) ** 2
        return (
            isinstance(seen, spaces.Box)
            and len(seen.shape) == 1
            and bool(square)
            and square == acted.shape[0] > 4
            and bool((acted.low == 0).all() and (acted.high == 1).all())
        )

    @classmethod
    def of(cls, seen: Any, acted: Any) -> Role:
        """No class is asked for."""
        side = math.isqrt(acted.shape[0])
        return cls((1, side, side), 0)

    def serves(self, model: Model) -> bool:
        """All."""
        return True

    def act(self, model: Model, observation: Any, noise: Tensor, seed: Seed, greedy: bool) -> Tensor:
        """Pixels."""
        return model.sample(len(observation), None, seed).flatten(1).float()


class Translating(Role):
    """Unpaired: the picture in the other domain, there and then back."""

    wants = "a translation: 'cycle_gan'"

    @staticmethod
    def fits(seen: Any, acted: Any) -> bool:
        """A picture, the stage, and the pixels of another picture."""
        fits = has_keys(seen, "picture", "example", "stage") and isinstance(acted, spaces.Box)
        return fits and acted.shape == (math.prod(seen["picture"].shape),)

    @classmethod
    def of(cls, seen: Any, acted: Any) -> Role:
        """Two domains."""
        return cls(seen["picture"].shape, 2)

    def serves(self, model: Model) -> bool:
        """A pair of translations."""
        return model.translates

    def act(self, model: Model, observation: Any, noise: Tensor, seed: Seed, greedy: bool) -> Tensor:
        """Pixels (B, 64), in the style at first and plain then."""
        pictures = observation["picture"].float() / WHITE
        return model.translate(pictures, (observation["stage"] == 0).long()).flatten(1)


ROLES: tuple[type[Role], ...] = (Drawing, Denoising, Restoring, Filling, Translating, Naming, Forging)


def role_in(seen: spaces.Space[Any], acted: spaces.Space[Any]) -> Role:
    """The role in these spaces. Raises `InvalidInput` where there is none."""
    for role in ROLES:
        if role.fits(seen, acted):
            return role.of(seen, acted)
    told = " ".join(f"observation space {seen} and action space {acted}".split())
    raise InvalidInput(f"generator: plays {KNOWN}; got {told:.200}")


def _is_picture(space: Any) -> bool:
    return isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) == 3
