"""Encoders by name: what stands before an agent's memory and heads.

An encoder is a class that is called with an observation space and gives a module from a batch of observations
(N, ...), as the environment gives them, to (N, output_size) float32; `output_size` is an integer attribute. What it may
read of the space: `shape`, `dtype`, `n` of a Discrete one, `nvec` of a MultiDiscrete one, `spaces` of a Dict.

Without `serves` it gets the whole observation, whatever it is (for a Dict space a dict of tensors). With a static
method ``serves(space) -> bool`` it gets those parts of the observation for which that is true (the entries of a Dict,
or the whole), each part an encoder of its own; the others are taken as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .convolution import LeNet, SmallCNN
from .residual import ResidualNet
from .vision_transformer import VisionTransformer


class Flat(nn.Module):
    """A Box as a float vector: (N, ...) to (N, features); uint8 is scaled from [0, 255] to [0, 1]."""

    def __init__(self, space: Any) -> None:
        super().__init__()
        self.output_size = math.prod(space.shape)
        self.scale = 1 / 255 if space.dtype == "uint8" else 1.0

    @staticmethod
    def serves(space: Any) -> bool:
        """A Box."""
        return hasattr(space, "low")

    def forward(self, x: Tensor) -> Tensor:
        """(N, ...) to (N, features)."""
        x = x.flatten(1).float()
        return x if self.scale == 1.0 else x * self.scale


class ImageEncoder(nn.Module):
    """A uint8 image through an image network and ReLU: (N, C, H, W) to (N, 128). A subclass names the network."""

    network_class: ClassVar[Callable[..., nn.Module]]
    output_size = 128

    def __init__(self, space: Any) -> None:
        super().__init__()
        self.network = type(self).network_class(space.shape, output_size=self.output_size)

    @staticmethod
    def serves(space: Any) -> bool:
        """uint8 of three dimensions."""
        return len(space.shape or ()) == 3 and space.dtype == "uint8"

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) uint8 to (N, features)."""
        return torch.relu(self.network(x.float() * (1 / 255)))


class CNNEncoder(ImageEncoder):
    """Images through two convolutions, see `SmallCNN`."""

    network_class = SmallCNN


class Automatic(CNNEncoder):
    """Images from 16 pixels a side on as "cnn" has them, all else as it is."""

    @staticmethod
    def serves(space: Any) -> bool:
        """An image that is not tiny."""
        return ImageEncoder.serves(space) and min(space.shape[1:]) >= 16


class LeNetEncoder(ImageEncoder):
    """Images through LeNet-5 (LeCun et al., 1998)."""

    network_class = LeNet


class ResidualEncoder(ImageEncoder):
    """Images through a residual network (He et al., 2016)."""

    network_class = ResidualNet


class ViTEncoder(ImageEncoder):
    """Images through a vision transformer (Dosovitskiy et al., 2021)."""

    network_class = VisionTransformer
