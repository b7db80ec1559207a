"""Which observations are images, and where their channels are: the one rule that environments and encoders follow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

SMALLEST_SIDE = 16  # pixels from which on a Box of numbers that are not bytes is taken for an image
COLOURS = 4  # channels of a picture with an opacity, the most that a last axis can have for it to be colour at sight


@dataclass(frozen=True)
class ImageLayout:
    """How the axes of an image are brought to (C, H, W); those that are not H and W become channels, in their order.

    Attributes:
        axes: the image's own axes: those of the channels, then H, then W.
        shape: (C, H, W).
    """

    axes: tuple[int, ...]
    shape: tuple[int, int, int]

    @property
    def channel_first(self) -> bool:
        """Whether the image is (C, H, W) as it stands."""
        return self.axes == (0, 1, 2)

    def __call__(self, images: Tensor) -> Tensor:
        """Images (N, ...) as (N, C, H, W)."""
        if self.channel_first:
            return images
        return images.permute(0, *(axis + 1 for axis in self.axes)).reshape(-1, *self.shape)

    def array(self, image: Any) -> Any:
        """One NumPy image as (C, H, W)."""
        return image.transpose(self.axes).reshape(self.shape)


def image_layout(space: Any, *, foreign: bool = False) -> ImageLayout | None:
    """The layout of an image's axes; None for a space that holds no images.

    Images are Boxes of three axes, or of four for stacked ones: of bytes, or of any numbers from 16 pixels a side on.
    Boxes of bytes that have two such axes alone are grey ones. H and W are the neighbouring axes whose lesser one is
    largest; of equals the pair that is square, then the last one. So (84, 84, 4), (4, 84, 84) and (4, 84, 84, 1) all
    have 4 channels.

    Args:
        space: of an observation or of a part of one; of a Box its `shape` and `dtype` are read.
        foreign: the space is somebody else's. In this suite an image of three axes is (C, H, W), whatever its sizes,
            unless its last axis can only be colour: no more than four values beside two axes of 16 or more.
    """
    if not hasattr(space, "low"):
        return None
    shape, axes = tuple(space.shape), range(len(space.shape))
    if len(shape) not in (2, 3, 4) or min(shape) < 1:
        return None
    first = max(axes[:-1], key=lambda i: (min(shape[i : i + 2]), shape[i] == shape[i + 1], i))
    if len(shape) == 3 and not foreign and not shape[2] <= COLOURS < SMALLEST_SIDE <= min(shape[:2]):
        first = 1
    height, width = shape[first : first + 2]
    pixels, grey = space.dtype == np.uint8, len(shape) == 2
    if (grey and not pixels) or (min(height, width) < SMALLEST_SIDE and (grey or not pixels)):
        return None
    channels = tuple(axis for axis in axes if axis not in (first, first + 1))
    count = math.prod(shape[axis] for axis in channels)
    return ImageLayout((*channels, first, first + 1), (count, height, width))


def brightest(space: Any) -> float:
    """What an image's values are divided by: 255 for bytes, else the largest size that they can have; 1 without one."""
    if space.dtype == np.uint8:
        return 255.0
    largest = float(max(np.abs(space.low).max(), np.abs(space.high).max()))
    return largest if math.isfinite(largest) and largest > 0 else 1.0
