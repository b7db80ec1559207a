"""The image networks of the last years before transformers, each scaled to the image it is for."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from ..layers.initialisation import orthogonal
from .convolution import DenseBlock, InceptionModule, check_images, checked_image, group_norm

SMALLEST = 4  # pixels a side
LARGE = 64  # pixels a side from which on the first convolution takes strides, as the originals do


def _convolution(channels: int, filters: int, kernel: int, stride: int = 1) -> nn.Module:
    return orthogonal(nn.Conv2d(channels, filters, kernel, stride=stride, padding=kernel // 2))


def _stem(shape: tuple[int, ...], filters: int) -> list[nn.Module]:
    """A first convolution: of 7 x 7 pixels with stride 2 and a halving on large images, of 3 x 3 on others."""
    if min(shape[1:]) < LARGE:
        return [_convolution(shape[0], filters, 3)]
    return [_convolution(shape[0], filters, 7, 2), nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1)]


def _checked_depth(name: str, depth: int) -> None:
    if depth < 1:
        raise InvalidInput(f"{name}: depth must be at least 1; got {depth}")


class ImageNetwork(nn.Module):
    """What the networks below share: (B, C, H, W) float through `maps`, then through `head` to (B, output_size)."""

    def __init__(self, shape: tuple[int, ...], output_size: int) -> None:
        super().__init__()
        checked_image(type(self).__name__, shape, SMALLEST)
        self.shape, self.output_size = tuple(shape), output_size

    def finish(self, maps: Sequence[nn.Module], hidden: Sequence[int] = (), *, mean: bool = False) -> None:
        """Takes the layers of the maps, and makes the head: perhaps the mean over pixels, then linear layers."""
        self.maps = nn.Sequential(*maps)
        with torch.no_grad():
            channels, *sides = self.maps(torch.zeros(1, *self.shape)).shape[1:]
        layers: list[nn.Module] = [nn.AdaptiveAvgPool2d(1), nn.Flatten()] if mean else [nn.Flatten()]
        features = channels if mean else channels * math.prod(sides)
        for width in hidden:
            layers += [orthogonal(nn.Linear(features, width)), nn.ReLU()]
            features = width
        self.head = nn.Sequential(*layers, orthogonal(nn.Linear(features, self.output_size), 1.0))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, output_size)."""
        check_images(type(self).__name__, x, *self.shape)
        return self.head(self.maps(x))


class AlexNet(ImageNetwork):
    """Five convolutions with ReLU and overlapping maxima, and two hidden layers (Krizhevsky et al., 2012).

    (B, C, H, W) float to (B, output_size). Filters are a quarter as many as in the original, whose first convolution of
    11 x 11 pixels moves by 4; on images below 64 pixels a side it is of 5 x 5 and moves by 1. Dropout is left to the
    agent's settings.

    Args:
        shape: (C, H, W) of one image, H and W at least 4.
        output_size: features out.

    Raises:
        InvalidInput: another shape.
    """

    def __init__(self, shape: tuple[int, ...], output_size: int = 128) -> None:
        super().__init__(shape, output_size)
        kernel, stride = (11, 4) if min(shape[1:]) >= LARGE else (5, 1)
        halved = nn.MaxPool2d(3, stride=2, padding=1)
        maps: list[nn.Module] = [
            *(_convolution(shape[0], 24, kernel, stride), nn.ReLU(), halved),
            *(_convolution(24, 64, 5), nn.ReLU(), halved),
            *(_convolution(64, 96, 3), nn.ReLU()),
            *(_convolution(96, 96, 3), nn.ReLU()),
            *(_convolution(96, 64, 3), nn.ReLU(), halved),
        ]
        self.finish(maps, (256, 256))


class VGG(ImageNetwork):
    """Stages of 3 x 3 convolutions, each stage halved by maxima (Simonyan and Zisserman, 2015).

    (B, C, H, W) float to (B, output_size). As many stages as leave 4 pixels a side or more, at most 5; filters double
    from 16 up to 128.

    Args:
        shape: (C, H, W) of one image, H and W at least 4.
        output_size: features out.
        depth: convolutions in each stage.

    Raises:
        InvalidInput: another shape, or a depth below 1.
    """

    def __init__(self, shape: tuple[int, ...], output_size: int = 128, *, depth: int = 2) -> None:
        super().__init__(shape, output_size)
        _checked_depth("VGG", depth)
        stages = max(1, min(5, int(math.log2(min(shape[1:]))) - 1))
        maps: list[nn.Module] = []
        channels = shape[0]
        for stage in range(stages):
            width = min(16 * 2**stage, 128)
            for _ in range(depth):
                maps += [_convolution(channels, width, 3), nn.ReLU()]
                channels = width
            maps.append(nn.MaxPool2d(2))
        self.finish(maps, (128,))


class Inception(ImageNetwork):
    """Inception modules in two stages, halved between them, and the mean over pixels (Szegedy et al., 2015).

    (B, C, H, W) float to (B, output_size).

    Args:
        shape: (C, H, W) of one image, H and W at least 4.
        output_size: features out.
        depth: modules in each stage.

    Raises:
        InvalidInput: another shape, or a depth below 1.
    """

    def __init__(self, shape: tuple[int, ...], output_size: int = 128, *, depth: int = 2) -> None:
        super().__init__(shape, output_size)
        _checked_depth("Inception", depth)
        maps: list[nn.Module] = [*_stem(shape, 24), nn.ReLU()]
        channels = 24
        for stage in (1, 2):
            for _ in range(depth):
                one, three, five, pooled = 16 * stage, (12 * stage, 24 * stage), (4 * stage, 8 * stage), 8 * stage
                module = InceptionModule(channels, one, three, five, pooled)
                maps.append(module)
                channels = module.output_channels
            if stage == 1:
                maps.append(nn.MaxPool2d(3, stride=2, padding=1))
        self.finish(maps, mean=True)


class DenseNet(ImageNetwork):
    """Dense blocks, between them a 1 x 1 convolution to half the maps and a mean over 2 x 2 (Huang et al., 2017).

    (B, C, H, W) float to (B, output_size): each layer of a block sees all maps before it. Three blocks, with group
    normalisation for batch normalisation.

    Args:
        shape: (C, H, W) of one image, H and W at least 4.
        output_size: features out.
        depth: convolutions in each block.

    Raises:
        InvalidInput: another shape, or a depth below 1.
    """

    def __init__(self, shape: tuple[int, ...], output_size: int = 128, *, depth: int = 3) -> None:
        super().__init__(shape, output_size)
        _checked_depth("DenseNet", depth)
        channels = 24
        maps = _stem(shape, channels)
        for last in (False, False, True):
            block = DenseBlock(channels, 12, depth)
            maps.append(block)
            channels = block.output_channels
            maps += [group_norm(channels), nn.ReLU()]
            if not last:
                maps += [_convolution(channels, channels // 2, 1), nn.AvgPool2d(2)]
                channels //= 2
        self.finish(maps, mean=True)
