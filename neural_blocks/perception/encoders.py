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
import warnings
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .classic import VGG, AlexNet, DenseNet, Inception
from .convolution import LeNet, NatureCNN, SmallCNN, StridedCNN
from .images import SMALLEST_SIDE, brightest, image_layout
from .residual import BottleneckResidualNet, ResidualNet
from .vision_transformer import SwinTransformer, VisionTransformer

FROM_NATURE = 64
"""Pixels a side from which on "auto" takes strides as large as "nature" does."""
LARGE_IMAGE = 4096
"""Numbers from which on flattening an image is worth a word."""


class Flat(nn.Module):
    """A Box as a vector: (N, ...) to (N, features) of the module's dtype; uint8 is scaled from [0, 255] to [0, 1]."""

    scale: Tensor

    def __init__(self, space: Any) -> None:
        super().__init__()
        self.output_size = math.prod(space.shape)
        self.bytes = space.dtype == "uint8"
        self.register_buffer("scale", torch.tensor(1 / 255), persistent=False)
        if self.output_size >= LARGE_IMAGE and image_layout(space) is not None:
            warnings.warn(
                f"an image of shape {space.shape} is flattened to {self.output_size} features; "
                "encoder='auto' sees it as an image",
                stacklevel=2,
            )

    @staticmethod
    def serves(space: Any) -> bool:
        """A Box."""
        return hasattr(space, "low")

    def forward(self, x: Tensor) -> Tensor:
        """(N, ...) to (N, features)."""
        x = x.reshape(len(x), self.output_size).to(self.scale.dtype)
        return x * self.scale if self.bytes else x


class ImageEncoder(nn.Module):
    """An image through an image network and ReLU: (N, *shape) to (N, 128). A subclass names the network.

    Its axes are brought to (C, H, W), see `image_layout`, and its values scaled to at most 1.

    Args:
        space: of the images.
        depth: of the network, where it has one to choose; None for its own.
        settings: further ones of the network.
    """

    network_class: type[nn.Module]
    depth_setting: ClassVar[str | None] = None  # what the network calls its depth
    output_size = 128
    scale: Tensor

    def __init__(self, space: Any, depth: int | None = None, **settings: Any) -> None:
        super().__init__()
        layout = image_layout(space)
        assert layout is not None
        self.layout = layout
        chosen: dict[str, Any] = {self.depth_setting: depth} if depth is not None and self.depth_setting else {}
        self.network = self.network_class(layout.shape, output_size=self.output_size, **chosen, **settings)
        self.register_buffer("scale", torch.tensor(1 / brightest(space)), persistent=False)

    @staticmethod
    def serves(space: Any) -> bool:
        """An image, see `image_layout`."""
        return image_layout(space) is not None

    def forward(self, x: Tensor) -> Tensor:
        """(N, *shape) to (N, features)."""
        return torch.relu(self.network(self.layout(x).to(self.scale.dtype) * self.scale))


class CNNEncoder(ImageEncoder):
    """Images through two convolutions, see `SmallCNN`."""

    network_class = SmallCNN


class StridedEncoder(ImageEncoder):
    """Images through two convolutions that halve them, see `StridedCNN`."""

    network_class = StridedCNN


class NatureEncoder(ImageEncoder):
    """Images through three convolutions that soon make them small, see `NatureCNN`."""

    network_class = NatureCNN
    output_size = 512


class Automatic(ImageEncoder):
    """Images from 64 pixels a side on as "nature" has them, from 16 on as "cnn" has them, all else as it is."""

    def __init__(self, space: Any) -> None:
        layout = image_layout(space)
        assert layout is not None
        chosen = NatureEncoder if min(layout.shape[1:]) >= FROM_NATURE else CNNEncoder
        self.network_class, self.output_size = chosen.network_class, chosen.output_size
        super().__init__(space)

    @staticmethod
    def serves(space: Any) -> bool:
        """An image that is not tiny."""
        layout = image_layout(space)
        return layout is not None and min(layout.shape[1:]) >= SMALLEST_SIDE


class LeNetEncoder(ImageEncoder):
    """Images through LeNet-5 (LeCun et al., 1998)."""

    network_class = LeNet


class AlexNetEncoder(ImageEncoder):
    """Images through AlexNet (Krizhevsky et al., 2012)."""

    network_class = AlexNet


class DeepEncoder(ImageEncoder):
    """An image network of a depth that can be chosen."""

    depth_setting = "depth"


class VGGEncoder(DeepEncoder):
    """Images through stages of small convolutions (Simonyan and Zisserman, 2015); depth: convolutions in a stage."""

    network_class = VGG


class InceptionEncoder(DeepEncoder):
    """Images through inception modules (Szegedy et al., 2015); depth: modules in a stage."""

    network_class = Inception


class ResidualEncoder(DeepEncoder):
    """Images through a residual network (He et al., 2016); depth: residual blocks in a stage."""

    network_class = ResidualNet


class BottleneckResidualEncoder(DeepEncoder):
    """Images through a residual network of bottlenecks (He et al., 2016); depth: blocks in a stage."""

    network_class = BottleneckResidualNet


class DenseNetEncoder(DeepEncoder):
    """Images through densely connected convolutions (Huang et al., 2017); depth: convolutions in a block."""

    network_class = DenseNet


class ViTEncoder(DeepEncoder):
    """Images through a vision transformer (Dosovitskiy et al., 2021); depth: its layers."""

    network_class = VisionTransformer
    depth_setting = "layers"


class SwinEncoder(DeepEncoder):
    """Images through a transformer over shifted windows (Liu et al., 2021); depth: its layers."""

    network_class = SwinTransformer
    depth_setting = "layers"
