"""How a generator plays: which environments it knows by their spaces, and what it does in each with its model."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor, nn

from ...envs.generation.denoise import waves
from ...envs.generation.restore import DEVIATION, WHITE
from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.generation.pixels import quantise
from ...neural_blocks.noise import Seed, categorical
from .model import Model

KNOWN = (
    "PixelCanvas, DigitBandit, GANGame (player='generator', dataset='digits'), Denoise, Restore (damage='noise') and "
    "Unpaired (by='pixels')"
)


class Role(nn.Module, ABC):
    """How it plays one kind of environment.

    Args:
        seen: observation space.
        acted: action space.

    Attributes:
        wants: what a model must have to play it, for messages.
        shape: (C, H, W) of the pictures.
        classes: that are asked for or told apart; 0 for none.
        levels: greys of the pictures; None for what the pictures' size suggests.
        steps: of a denoiser that plays it; None for as many as are set.
        paints: whether what its episodes leave behind are pictures of its own.
        noise: uniforms that an action takes.
    """

    wants: ClassVar[str]
    levels: ClassVar[int | None] = None
    paints: ClassVar[bool] = True
    noise: ClassVar[int] = 0
    steps: int | None = None

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.shape, self.classes = shape, classes

    @staticmethod
    @abstractmethod
    def fits(seen: Any, acted: Any) -> bool:
        """Whether these are its spaces."""

    @classmethod
    @abstractmethod
    def of(cls, seen: Any, acted: Any) -> Role:
        """The role in these spaces."""

    @abstractmethod
    def serves(self, model: Model) -> bool:
        """Whether a model can play it."""

    def require(self, task: Any, model: Model) -> None:
        """Raises `InvalidInput` where spaces fit, and what cannot be seen in them does not."""

    @abstractmethod
    def act(self, model: Model, observation: Any, noise: Tensor, seed: Seed, greedy: bool) -> Tensor:
        """Actions (B, ...), from uniforms (B, noise) and a seed for what a model draws."""

    def probabilities(self, model: Model, observation: Any, seed: Seed) -> Tensor | None:
        """Of the actions, (B, n); None where they are not few."""
        return None


class Drawing(Role):
    """PixelCanvas: the next pixel is drawn from the model's distribution of it, given those before and the class."""

    wants = "conditionals of pixels: 'pixelcnn', 'pixelrnn' or 'pixel_transformer'"
    levels: ClassVar[int | None] = 2
    noise = 1

    @staticmethod
    def fits(seen: Any, acted: Any) -> bool:
        """A canvas, and the pixel that is next."""
        return _keys(seen, "canvas", "position") and acted == spaces.Discrete(2)

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


class Denoising(Role):
    """Denoise: pushes each step from what the denoiser expects of any digit to what it expects of the one asked for.

    That is classifier-free guidance: the difference of the two means of the step, in its standard deviations, times
    the guidance, along the waves that corrections are made of. A push that is too large is made smaller as a whole.
    """

    wants = "a denoiser: 'diffusion'"
    waves: Tensor

    def __init__(self, shape: tuple[int, ...], classes: int, steps: int) -> None:
        super().__init__(shape, classes)
        self.steps = steps
        self.register_buffer("waves", waves().float(), persistent=False)

    @staticmethod
    def fits(seen: Any, acted: Any) -> bool:
        """A noisy picture, the step and the class asked for."""
        return _keys(seen, "noisy", "estimate", "time", "request") and isinstance(acted, spaces.Box)

    @classmethod
    def of(cls, seen: Any, acted: Any) -> Role:
        """As many steps as the environment has."""
        return cls(seen["estimate"].shape, int(seen["request"].n), int(seen["time"].n) - 1)

    def serves(self, model: Model) -> bool:
        """Diffusion."""
        return model.denoises

    def require(self, task: Any, model: Model) -> None:
        """Noise goes on the same schedule."""
        own: Any = model.block
        theirs = getattr(getattr(task, "diffusion", None), "signal", own.signal)
        if not torch.allclose(theirs.to(own.signal), own.signal):
            raise InvalidInput(
                f"generator: schedule must be 'cosine', that of {task.name}; got {model.config.schedule!r}"
            )

    def act(self, model: Model, observation: Any, noise: Tensor, seed: Seed, greedy: bool) -> Tensor:
        """Weights of the waves, (B, 16)."""
        block: Any = model.block
        x = observation["noisy"].view(-1, *self.shape)
        step = (block.steps - 1 - observation["time"]).clamp(min=0)
        wanted, variance = block.clean(x, step, observation["request"])
        freely, _ = block.clean(x, step)
        mean, spread = block.posterior(wanted, x, step, variance)
        apart = (mean - block.posterior(freely, x, step)[0]) / spread.clamp(min=1e-8).sqrt()
        weights = model.config.guidance * (apart.flatten(1) @ self.waves.t())
        return weights / weights.abs().amax(1, keepdim=True).clamp(min=1)


class Restoring(Role):
    """Restore with noise: the clean picture that the denoiser expects, at the step with as much noise."""

    wants = "a denoiser: 'diffusion'"

    @staticmethod
    def fits(seen: Any, acted: Any) -> bool:
        """A noisy picture, and a change of every pixel."""
        fits = _keys(seen, "damaged", "canvas") and len(seen.spaces) == 2 and isinstance(acted, spaces.Box)
        return fits and seen["damaged"].shape == seen["canvas"].shape

    @classmethod
    def of(cls, seen: Any, acted: Any) -> Role:
        """Any digit."""
        return cls(seen["canvas"].shape, 0)

    def serves(self, model: Model) -> bool:
        """Diffusion."""
        return model.denoises

    def require(self, task: Any, model: Model) -> None:
        """What is restored is noisy."""
        damage = getattr(task, "damage", "noise")
        if damage != "noise":
            raise InvalidInput(f"generator: damage must be 'noise' for a denoiser; got {damage!r}")

    def act(self, model: Model, observation: Any, noise: Tensor, seed: Seed, greedy: bool) -> Tensor:
        """How much lighter each pixel gets, (B, 64)."""
        block: Any = model.block
        damaged = 2 * observation["damaged"].float() / WHITE - 1
        ratio = block.deviation / block.signal  # of noise to picture
        step = (ratio - 2 * DEVIATION / WHITE).abs().argmin().expand(len(damaged))
        clean, _ = block.clean(block.signal[step].view(-1, 1, 1, 1) * damaged, step)
        return ((clean - damaged) / 2).flatten(1).clamp(-1, 1)


class Translating(Role):
    """Unpaired: the picture in the other domain, there and then back."""

    wants = "a translation: 'cycle_gan'"

    @staticmethod
    def fits(seen: Any, acted: Any) -> bool:
        """A picture, the stage, and the pixels of another picture."""
        fits = _keys(seen, "picture", "example", "stage") and isinstance(acted, spaces.Box)
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


ROLES: tuple[type[Role], ...] = (Drawing, Denoising, Restoring, Translating, Naming, Forging)


def role_in(seen: spaces.Space[Any], acted: spaces.Space[Any]) -> Role:
    """The role in these spaces. Raises `InvalidInput` where there is none."""
    for role in ROLES:
        if role.fits(seen, acted):
            return role.of(seen, acted)
    told = " ".join(f"observation space {seen} and action space {acted}".split())
    raise InvalidInput(f"generator: plays {KNOWN}; got {told:.200}")


def _keys(space: Any, *names: str) -> bool:
    return isinstance(space, spaces.Dict) and set(names) <= set(space.spaces)


def _is_picture(space: Any) -> bool:
    return isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) == 3
