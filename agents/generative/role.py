"""What a generator does in an environment with its model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import gymnasium.spaces as spaces
from torch import Tensor, nn

from ...neural_blocks.noise import Seed
from .model import Model


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


def has_keys(space: Any, *names: str) -> bool:
    """Whether a space is a Dict with these parts, among others."""
    return isinstance(space, spaces.Dict) and set(names) <= set(space.spaces)
