"""Residual network."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from .convolution import check_images, checked_image, group_norm
from .initialisation import orthogonal


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

    def __init__(
        self, shape: tuple[int, ...], output_size: int = 128, *, widths: Sequence[int] = (16, 32, 64), depth: int = 1
    ) -> None:
        super().__init__()
        self.channels = shape[0]
        checked_image("ResidualNet", shape, 4)
        if not widths or depth < 1:
            raise InvalidInput(f"ResidualNet: needs at least one stage and block; got widths {widths}, depth {depth}")
        stages: list[nn.Module] = [orthogonal(nn.Conv2d(shape[0], widths[0], 3, padding=1))]
        for before, width in itertools.pairwise([widths[0], *widths]):
            stages.append(ResidualBlock(before, width, stride=1 if len(stages) == 1 else 2))
            stages += [ResidualBlock(width, width) for _ in range(depth - 1)]
        self.stages = nn.Sequential(*stages, group_norm(widths[-1]), nn.ReLU())
        self.linear = orthogonal(nn.Linear(widths[-1], output_size), 1.0)
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, output_size)."""
        check_images("ResidualNet", x, self.channels)
        return self.linear(torch.mean(self.stages(x), (2, 3)))
