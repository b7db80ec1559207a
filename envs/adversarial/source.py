"""What there is to forge in `GANGame`: the interface that the mixture and the digits share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import gymnasium.spaces as spaces
from torch import Tensor, nn

from ..core.game import Opponent
from ..drawing.canvas import Canvas


class Source(nn.Module, ABC):
    """Where real samples come from, what a generator makes others out of, and how good they are.

    Attributes:
        noun: what a sample is called.
        noise_space: of the generator's observation, the noise.
        action_space: of the generator's action.
        sample_space: of a sample, real or made.
        real_uniforms: uniforms that a real sample takes.
        noise_uniforms: uniforms that the generator's noise takes.
        modes: the kinds of real samples.
        blank: a sample's tensor, where there is no sample yet.
        entries: what the entries of the generator's action are called; empty for their numbers.
    """

    noun: str
    noise_space: spaces.Box
    action_space: spaces.Box
    sample_space: spaces.Box
    real_uniforms: int
    noise_uniforms: int
    modes: int
    blank: Tensor
    entries: list[str]

    @abstractmethod
    def real(self, uniforms: Tensor) -> Tensor:
        """Real samples (B, ...) from uniforms (B, real_uniforms)."""

    @abstractmethod
    def noise(self, uniforms: Tensor) -> Tensor:
        """The generator's noise (B, ...) from uniforms (B, noise_uniforms)."""

    @abstractmethod
    def make(self, noise: Tensor, action: Tensor) -> Tensor:
        """The samples (B, ...) that a generator's actions (B, ...) make out of noise (B, ...)."""

    @abstractmethod
    def near(self, samples: Tensor) -> Tensor:
        """(B, modes) bool: of which modes samples (B, ...) could be."""

    @abstractmethod
    def expert(self, noise: Tensor) -> Tensor:
        """The actions (B, ...) that make real samples out of noise (B, ...)."""

    @abstractmethod
    def opponents(self, player: str) -> dict[str, Callable[[], Opponent]]:
        """Scripted generators or discriminators by name, the default first."""

    @abstractmethod
    def draw(self, made: Tensor, shown: Tensor, canvas: Canvas) -> None:
        """The samples (K, ...) made so far and the one shown to the discriminator, between y = 40 and 400."""

    @abstractmethod
    def draw_noise(self, noise: Tensor, canvas: Canvas) -> None:
        """What the generator makes its sample out of, and what it is to do."""

    @abstractmethod
    def draw_sample(self, shown: Tensor, canvas: Canvas) -> None:
        """The sample before the discriminator, below y = 60."""
