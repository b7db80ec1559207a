"""What a generator asks of a generative model, whatever block it is made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.generation.pixels import unit_scale
from ...neural_blocks.noise import Seed
from ..core.config import AgentConfig


class Pictures(NamedTuple):
    """What pictures a model makes.

    Attributes:
        shape: (C, H, W).
        levels: greys that a pixel can have.
        classes: that can be asked for; 0 for none.
        order: in which pixels follow each other, where they do.
    """

    shape: tuple[int, ...]
    levels: int
    classes: int
    order: str


class Model(nn.Module, ABC):
    """A generative block, its loss, its samples and, if it has one, its likelihood.

    Pixels are (B, C, H, W) int64, 0 to levels - 1, labels (B,) int64, or None where there are no classes.

    Args:
        pictures: that it makes.
        config: of the class's own `Config`.

    Raises:
        InvalidInput: pictures that the block cannot make.

    Attributes:
        Config: its settings.
        phases: names of the parts that one update trains, one after the other; most models are one part.
        conditionals: whether it gives each pixel's distribution from those before it, by `next_pixel`.
        denoises: whether its block is a `Diffusion`.
        restores: whether it finds what is expected of missing pixels, by `restore`.
        translates: whether it makes pictures of one class into pictures of the other, by `translate`.
    """

    Config: ClassVar[type[AgentConfig]] = AgentConfig
    conditionals: ClassVar[bool] = False
    denoises: ClassVar[bool] = False
    restores: ClassVar[bool] = False
    translates: ClassVar[bool] = False
    phases: Sequence[str] = ("model",)

    def __init__(self, pictures: Pictures, config: Any) -> None:
        super().__init__()
        self.pictures, self.config = pictures, config
        self.build()

    @abstractmethod
    def build(self) -> None:
        """Makes the block."""

    @property
    def telling(self) -> bool:
        """Whether `class_scores` can be asked for."""
        return self.pictures.classes > 0 and self.scored

    @property
    def scored(self) -> bool:
        """Whether it has a likelihood, or a bound on it: `log_prob`."""
        return False

    def parameters_of(self, part: str) -> list[nn.Parameter]:
        """Those that a phase trains."""
        return list(self.parameters())

    def begin(self, pixels: Tensor) -> None:
        """Sets, before learning, what is known of pixels without it."""

    def rows(self, uniforms: Tensor, labels: Tensor) -> Tensor:
        """Which of N pictures of these classes (N,) make a minibatch, (M,), from uniforms (M,): any of them."""
        return (uniforms * len(labels)).long()

    @abstractmethod
    def loss(self, part: str, pixels: Tensor, labels: Tensor | None, seed: Seed) -> Tensor:
        """What a phase minimises, ()."""

    def after(self, part: str) -> None:
        """What follows a phase's step, such as a constraint."""

    @abstractmethod
    def sample(self, n: int, labels: Tensor | None, seed: Seed) -> Tensor:
        """n pictures (n, C, H, W) float32 in [0, 1]."""

    def log_prob(self, pixels: Tensor, labels: Tensor | None, seed: Seed) -> Tensor:
        """The log probability of pictures, or a lower bound on it, nats (B,)."""
        raise InvalidInput(f"{type(self).__name__}: it has no likelihood")

    def measured(self, seed: Seed) -> dict[str, float]:
        """Numbers of the model's own for an evaluation, from samples drawn by the seed."""
        return {}

    def class_scores(self, pixels: Tensor, seed: Seed) -> Tensor:
        """ln p(pixels | class) of each class, nats (B, classes); a constant apart for each picture."""
        count, classes = len(pixels), self.pictures.classes
        every = torch.arange(classes, device=pixels.device).repeat(count)
        return self.log_prob(pixels.repeat_interleave(classes, 0), every, seed).view(count, classes)

    def next_pixel(self, pixels: Tensor, place: Tensor, labels: Tensor | None) -> Tensor:
        """Logits (B, levels) of the pixels at places (B,) in raster order, from those before them."""
        raise InvalidInput(f"{type(self).__name__}: it has no conditionals")

    def restore(self, pictures: Tensor, missing: Tensor, most: int, seed: Seed) -> Tensor:
        """Pictures (B, C, H, W) in [0, 1] with what is expected of their missing pixels, bool likewise, `most` each."""
        raise InvalidInput(f"{type(self).__name__}: it does not fill gaps")

    def translate(self, pictures: Tensor, to: Tensor) -> Tensor:
        """Pictures (B, C, H, W) in [0, 1] as pictures of the classes (B,)."""
        raise InvalidInput(f"{type(self).__name__}: it does not translate")

    def greys(self, pixels: Tensor) -> Tensor:
        """Pixels as floats from 0 to 1."""
        return unit_scale(pixels, self.pictures.levels)

    def require_grey(self) -> None:
        """Refuses coloured pictures."""
        if self.pictures.shape[0] != 1:
            raise InvalidInput(
                f"generator: {type(self).__name__} is of grey pictures, (1, H, W); got {self.pictures.shape}"
            )
