"""Residual network."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from ..layers.initialisation import orthogonal
from .convolution import check_images, checked_image, group_norm


class ResidualBlock(nn.Module):
    """x + f(x), f two 3 x 3 convolutions, each behind its normalisation and ReLU (He et al., 2016, second paper).

    (B, C, H, W) to (B, filters, H / stride, W / stride), rounded up. Where that is another shape, a 1 x 1 convolution
    takes x there. Normalisation is in groups, so acting and learning see the same network.

    Args:
        channels: C.
        filters: channels out.
        stride: of the first convolution.
    """

    def __init__(self, channels: int, filters: int, stride: int = 1) -> None:
        super().__init__()
        self.channels = channels
        self.change = nn.Sequential(
            group_norm(channels),
            nn.ReLU(),
            orthogonal(nn.Conv2d(channels, filters, 3, stride=stride, padding=1)),
            group_norm(filters),
            nn.ReLU(),
            orthogonal(nn.Conv2d(filters, filters, 3, padding=1)),
        )
        same = stride == 1 and channels == filters
        self.shortcut = nn.Identity() if same else orthogonal(nn.Conv2d(channels, filters, 1, stride=stride), 1.0)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, filters, H / stride, W / stride)."""
        check_images("ResidualBlock", x, self.channels)
        return self.shortcut(x) + self.change(x)


class BottleneckBlock(nn.Module):
    """x + f(x), f a 1 x 1 convolution to a quarter of the filters, a 3 x 3 one and a 1 x 1 one back (He et al., 2016).

    (B, C, H, W) to (B, filters, H / stride, W / stride), rounded up, as a `ResidualBlock`: each convolution behind its
    normalisation and ReLU. Of as many filters it takes about a seventeenth of the weights.

    Args:
        channels: C.
        filters: channels out, a multiple of 4.
        stride: of the 3 x 3 convolution.

    Raises:
        InvalidInput: filters that are not a multiple of 4.
    """

    def __init__(self, channels: int, filters: int, stride: int = 1) -> None:
        super().__init__()
        if filters % 4 or filters < 4:
            raise InvalidInput(f"BottleneckBlock: filters must be a multiple of 4; got {filters}")
        self.channels, narrow = channels, filters // 4
        self.change = nn.Sequential(
            group_norm(channels),
            nn.ReLU(),
            orthogonal(nn.Conv2d(channels, narrow, 1)),
            group_norm(narrow),
            nn.ReLU(),
            orthogonal(nn.Conv2d(narrow, narrow, 3, stride=stride, padding=1)),
            group_norm(narrow),
            nn.ReLU(),
            orthogonal(nn.Conv2d(narrow, filters, 1)),
        )
        same = stride == 1 and channels == filters
        self.shortcut = nn.Identity() if same else orthogonal(nn.Conv2d(channels, filters, 1, stride=stride), 1.0)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, filters, H / stride, W / stride)."""
        check_images("BottleneckBlock", x, self.channels)
        return self.shortcut(x) + self.change(x)


class ResidualNet(nn.Module):
    """A 3 x 3 convolution, stages of residual blocks that each halve the image, the mean over pixels, a linear layer.

    (B, C, H, W) float to (B, output_size); He et al. (2016), with group normalisation for batch normalisation.

    Args:
        shape: (C, H, W) of one image, H and W at least 4.
        output_size: features out, such as a logit for each class.
        widths: filters of each stage; the first keeps the image's size.
        depth: residual blocks in each stage.

    Raises:
        InvalidInput: a shape that is not (C, H, W) with H and W at least 4, no stage, or a depth below 1.
    """

    block: ClassVar[type[ResidualBlock] | type[BottleneckBlock]] = ResidualBlock

    def __init__(
        self, shape: tuple[int, ...], output_size: int = 128, *, widths: Sequence[int] = (16, 32, 64), depth: int = 1
    ) -> None:
        super().__init__()
        self.channels = shape[0]
        name = type(self).__name__
        checked_image(name, shape, 4)
        if not widths or depth < 1:
            raise InvalidInput(f"{name}: needs at least one stage and block; got widths {widths}, depth {depth}")
        stages: list[nn.Module] = [orthogonal(nn.Conv2d(shape[0], widths[0], 3, padding=1))]
        for before, width in itertools.pairwise([widths[0], *widths]):
            stages.append(self.block(before, width, stride=1 if len(stages) == 1 else 2))
            stages += [self.block(width, width) for _ in range(depth - 1)]
        self.stages = nn.Sequential(*stages, group_norm(widths[-1]), nn.ReLU())
        self.linear = orthogonal(nn.Linear(widths[-1], output_size), 1.0)
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, output_size)."""
        check_images(type(self).__name__, x, self.channels)
        return self.linear(torch.mean(self.stages(x), (2, 3)))


class BottleneckResidualNet(ResidualNet):
    """A `ResidualNet` of bottleneck blocks, as He et al. (2016) have it from 50 layers on: deeper for its weights.

    Arguments and errors as of `ResidualNet`, and widths must be multiples of 4.
    """

    block = BottleneckBlock
