"""What a method of pretraining is: an encoder, and a loss that needs no labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import gymnasium.spaces as spaces
from pydantic import Field
from torch import Tensor, nn

from ...envs.core.task import Observation
from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.language.words import has_words
from ...neural_blocks.perception.augmentation import Augmentation
from ...neural_blocks.perception.images import image_layout
from ...neural_blocks.representation.codes import bounded
from ..learning.optimisation import OptimisationConfig
from ..networks.network import make_encoder
from ..networks.network_config import EncoderName
from ..networks.pretrained import Recipe, is_file

Reads = Literal["rows", "sequences", "finals"]


class PretrainConfig(OptimisationConfig):
    """Settings that every method has beside its optimiser's.

    Attributes:
        updates: gradient steps.
        batch_size: observations, or sequences of them, in a step.
        samples: observations that are gathered.
        player: who acts while they are gathered: "random", or the environment's "expert".
        part: of observations with several parts, the one to be encoded; null where only one can be.
    """

    updates: int = Field(2000, ge=1, le=10**9)
    batch_size: int = Field(128, ge=2, le=10**6)
    samples: int = Field(8192, ge=2, le=10**8)
    player: Literal["random", "expert"] = "random"
    part: str | None = None


class EncodingConfig(PretrainConfig):
    """Settings of a method that fits any encoder.

    Attributes:
        encoder: its name, as agents have it; where "auto" has no weights to fit it is "cnn" for small images, "words"
            for words, and "bottleneck" for other bounded observations.
        encoder_depth: see there too.
    """

    encoder: EncoderName = "auto"
    encoder_depth: int | None = Field(None, ge=1, le=64)


class Method(nn.Module, ABC):
    """A way to fit an encoder without labels.

    Args:
        space: of one observation.
        config: of the method.

    Raises:
        InvalidInput: observations that it cannot learn from.

    Attributes:
        name: what the command line calls it.
        reads: what its batches are: "rows" of single observations (N, ...), "sequences" of them (L, N, ...) beside
            where episodes start (L, N), or "finals", the last observations of episodes (N, ...).
        length: L, of sequences.
        part: of a Dict, what it encodes; None for all of it.
        seen: the space of what it encodes.
        encoder: what is fitted, from (N, ...) to (N, output_size).
        recipe: that makes it anew.
    """

    name: ClassVar[str]
    reads: ClassVar[Reads] = "rows"
    Config: ClassVar[type[PretrainConfig]] = PretrainConfig
    length = 1
    part: str | None = None
    seen: spaces.Space[Any]
    encoder: Any
    recipe: Recipe

    def __init__(self, space: spaces.Space[Any], config: Any) -> None:
        super().__init__()
        self.config = config
        self.part = self.chosen_part(space)
        self.seen = space if self.part is None or not isinstance(space, spaces.Dict) else space[self.part]
        self.build()

    @classmethod
    @abstractmethod
    def fits(cls, space: spaces.Space[Any]) -> bool:
        """Whether it can encode such observations."""

    needs: ClassVar[str]
    """What `fits` asks for, in words."""

    @abstractmethod
    def build(self) -> None:
        """Makes the encoder, its recipe, and what else is learned."""

    @abstractmethod
    def loss(self, batch: Any, seed: Tensor) -> Tensor:
        """The loss of a batch, a scalar.

        Args:
            batch: as `reads` says, of the encoded part alone.
            seed: () int64, of all that is drawn.
        """

    def prepare(self, everything: Any, start: Tensor) -> None:
        """What is done once with all that was gathered, before the first step.

        Args:
            everything: (T, B, ...), of the encoded part alone.
            start: (T, B) bool, the first of an episode.
        """

    def pictures_of(self, places: Tensor) -> Tensor | None:
        """Images (N, C, H, W) in [0, 1] of codes of two numbers; None where codes are others or make no image.

        Args:
            places: (N, 2) in (0, 1), the share of all codes that is smaller, of each number.
        """
        return None

    def after(self) -> None:
        """What is done after each step of the optimiser."""

    def chosen_part(self, space: spaces.Space[Any]) -> str | None:
        """The entry of a Dict that is encoded; None where the space is no Dict."""
        wanted, name = self.config.part, self.name
        if not isinstance(space, spaces.Dict):
            if wanted is not None:
                raise InvalidInput(f"{name}: part must be null for an observation without parts; got {wanted!r}")
            if not self.fits(space):
                raise InvalidInput(f"{name}: needs {self.needs}; the observation is {_one_line(space)}")
            return None
        able = [part for part, inner in space.items() if self.fits(inner)]
        if wanted is None and len(able) == 1:
            return able[0]
        if wanted in able:
            return wanted
        if not able:
            raise InvalidInput(f"{name}: needs {self.needs}; the observation is {_one_line(space)}")
        raise InvalidInput(f"{name}: part must be one of {', '.join(map(repr, able))}; got {wanted!r}")

    def make_encoder(self) -> None:
        """Makes the encoder that the settings name."""
        name, depth = self.config.encoder, self.config.encoder_depth
        if is_file(name):
            raise InvalidInput(f"{self.name}: encoder must be a name, of one to be fitted; got {name!r}")
        self.encoder = make_encoder(self.seen, name, depth)
        if name == "auto" and not has_weights(self.encoder):
            serving = {"cnn": is_image, "words": has_words, "bottleneck": bounded}
            name = next((one for one, serves in serving.items() if serves(self.seen)), name)
            self.encoder = make_encoder(self.seen, name, depth)
        if not has_weights(self.encoder):
            raise InvalidInput(f"{self.name}: encoder must have weights to fit; {name!r} has none here")
        self.recipe = Recipe(encoder=name, depth=depth, method=self.name)

    def own(self, observation: Observation) -> Any:
        """Of an observation, what it encodes."""
        return observation if self.part is None else observation[self.part]  # type: ignore[index]


class Views(nn.Module):
    """Two views of each image, changed at random, each in its own way: (N, ...) to two of (N, ...).

    Args:
        space: of the images.
        kinds: of change, see `augmentation`.
    """

    def __init__(self, space: spaces.Space[Any], kinds: tuple[str, ...]) -> None:
        super().__init__()
        self.change = Augmentation(space, kinds)

    def forward(self, x: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
        """Images (N, ...) and a seed () int64 to two views (N, ...)."""
        self.change.seed.copy_(seed)
        self.change.counter.zero_()
        return self.change(x), self.change(x)


def has_weights(module: nn.Module) -> bool:
    """Whether there is anything to fit."""
    return next(module.parameters(), None) is not None


def is_image(space: spaces.Space[Any]) -> bool:
    """Whether a space is one of images."""
    return image_layout(space) is not None


def space_test(test: Callable[[Any], bool]) -> Any:
    """A `Method.fits` from a function of a space."""
    return classmethod(lambda cls, space: test(space))


def _one_line(told: object, length: int = 120) -> str:
    text = " ".join(str(told).split())
    return text if len(text) <= length else f"{text[:length]}..."
