"""Generators that draw pixel after pixel: PixelCNN, PixelRNN and the pixel transformer."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.generation.autoregressive import PixelCNN
from ...neural_blocks.generation.pixel_rnn import DiagonalPixelRNN, PixelRNN
from ...neural_blocks.generation.pixel_transformer import PixelTransformer
from ...neural_blocks.generation.pixels import quantise
from ...neural_blocks.noise import Seed
from ..core.config import AgentConfig
from .model import Model


class PixelCNNConfig(AgentConfig):
    """Settings of a PixelCNN.

    Attributes:
        channels: features of the hidden layers, even.
        blocks: residual blocks.
        kernel: side of the first filter, odd; 15 lets a pixel of 8 x 8 see all before it.
        mixture: logistics that a pixel's distribution is mixed of; 0 for a softmax over greys.
        particles: copies of a picture in which its missing pixels are drawn.
    """

    channels: int = Field(32, ge=2, le=1024, multiple_of=2)
    blocks: int = Field(2, ge=0, le=64)
    kernel: int = Field(15, ge=3, le=127)
    mixture: int = Field(0, ge=0, le=64)
    particles: int = Field(16, ge=1, le=4096)


class PixelRNNConfig(AgentConfig):
    """Settings of a PixelRNN.

    Attributes:
        along: what its LSTMs read along, "row" or "diagonal".
        channels: features of the hidden layers.
        layers: LSTM layers.
        mixture: logistics that a pixel's distribution is mixed of; 0 for a softmax over greys.
        particles: copies of a picture in which its missing pixels are drawn.
    """

    along: Literal["row", "diagonal"] = "row"
    channels: int = Field(32, ge=1, le=1024)
    layers: int = Field(2, ge=1, le=64)
    mixture: int = Field(0, ge=0, le=64)
    particles: int = Field(16, ge=1, le=4096)


class PixelTransformerConfig(AgentConfig):
    """Settings of a pixel transformer.

    Attributes:
        channels: features, a multiple of `heads`.
        layers: of the transformer.
        heads: of attention.
        mixture: logistics that a pixel's distribution is mixed of; 0 for a softmax over greys.
        particles: copies of a picture in which its missing pixels are drawn.
    """

    channels: int = Field(64, ge=1, le=1024)
    layers: int = Field(2, ge=1, le=64)
    heads: int = Field(4, ge=1, le=64)
    mixture: int = Field(0, ge=0, le=64)
    particles: int = Field(16, ge=1, le=4096)


class Autoregressive(Model):
    """What they share: the likelihood is exact, and trained by itself."""

    conditionals = True
    restores = True

    def build(self) -> None:
        """The block, for grey pictures of this size."""
        self.require_grey()
        self.block = self.make((self.pictures.shape[1], self.pictures.shape[2]))

    @abstractmethod
    def make(self, size: tuple[int, int]) -> Any:
        """The block, a `PixelModel`."""

    @property
    def scored(self) -> bool:
        """The likelihood itself."""
        return True

    def loss(self, part: str, pixels: Tensor, labels: Tensor | None, seed: Seed) -> Tensor:
        """Bits per pixel."""
        return self.block.loss(pixels, labels)

    def sample(self, n: int, labels: Tensor | None, seed: Seed) -> Tensor:
        """Drawn pixel after pixel."""
        return self.greys(self.block.sample(n, seed, labels))

    def log_prob(self, pixels: Tensor, labels: Tensor | None, seed: Seed) -> Tensor:
        """The sum over pixels."""
        return self.block.log_prob(pixels, labels)

    def restore(self, pictures: Tensor, missing: Tensor, most: int, seed: Seed) -> Tensor:
        """By likelihood weighting."""
        pixels = quantise(pictures, self.pictures.levels)
        return self.block.restore(pixels, missing, most, self.config.particles, seed) / (self.pictures.levels - 1)

    def next_pixel(self, pixels: Tensor, place: Tensor, labels: Tensor | None) -> Tensor:
        """That pixel's of all factors."""
        logits = self.block(pixels, labels).flatten(2)  # (B, levels, H W)
        return logits.gather(2, place[:, None, None].expand(-1, logits.shape[1], 1))[:, :, 0]


class PixelCNNModel(Autoregressive):
    """A `PixelCNN`."""

    Config: ClassVar = PixelCNNConfig

    def make(self, size: tuple[int, int]) -> PixelCNN:
        """In either order."""
        one, of = self.config, self.pictures
        return PixelCNN(size, of.levels, one.channels, one.blocks, one.kernel, of.order, of.classes, one.mixture)


class PixelRNNModel(Autoregressive):
    """A `PixelRNN` or `DiagonalPixelRNN`, both of which draw row by row."""

    Config: ClassVar = PixelRNNConfig

    def make(self, size: tuple[int, int]) -> PixelRNN | DiagonalPixelRNN:
        """Row by row."""
        one, of = self.config, self.pictures
        if of.order != "raster":
            raise InvalidInput(f"generator: order must be 'raster' with a pixelrnn; got {of.order!r}")
        kind = PixelRNN if one.along == "row" else DiagonalPixelRNN
        return kind(size, of.levels, one.channels, one.layers, of.classes, one.mixture)


class PixelTransformerModel(Autoregressive):
    """A `PixelTransformer`."""

    Config: ClassVar = PixelTransformerConfig

    def make(self, size: tuple[int, int]) -> PixelTransformer:
        """In either order."""
        one, of = self.config, self.pictures
        return PixelTransformer(size, of.levels, one.channels, one.layers, one.heads, of.order, of.classes, one.mixture)
