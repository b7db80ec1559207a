"""U-Net: an image to an image."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from ..layers.initialisation import orthogonal
from .convolution import group_norm


class DoubleConvolution(nn.Module):
    """Two 3 x 3 convolutions, each normalised in groups and followed by SiLU; a condition shifts the maps between.

    (B, C, H, W) to (B, filters, H, W).

    Args:
        channels: C.
        filters: channels out.
        condition_size: features of the condition; None for none.
    """

    def __init__(self, channels: int, filters: int, condition_size: int | None = None) -> None:
        super().__init__()
        self.first = nn.Sequential(orthogonal(nn.Conv2d(channels, filters, 3, padding=1)), group_norm(filters))
        self.second = nn.Sequential(orthogonal(nn.Conv2d(filters, filters, 3, padding=1)), group_norm(filters))
        self.shift = None if condition_size is None else nn.Linear(condition_size, filters)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """(B, C, H, W), and a condition (B, condition_size) if there is one, to (B, filters, H, W)."""
        x = self.first(x)
        if self.shift is not None and condition is not None:
            x = x + self.shift(condition)[:, :, None, None]
        return nn.functional.silu(self.second(nn.functional.silu(x)))


class UNet(nn.Module):
    """Halves an image level by level, then doubles it by transposed convolutions, joining what each level saw.

    (B, C, H, W) float to (B, output_channels, H, W); Ronneberger et al. (2015), padded so that sizes stay. A condition,
    such as the sinusoids of a diffusion step (Ho et al., 2020), shifts the maps at every level.

    Args:
        channels: C.
        output_channels: channels out, such as a logit for each class of pixel.
        widths: filters of each level, the finest first; H and W must be divisible by 2 ^ (levels - 1).
        condition_size: features of the condition; None for none.

    Raises:
        InvalidInput: no level.
    """

    def __init__(
        self, channels: int, output_channels: int, widths: Sequence[int] = (16, 32), condition_size: int | None = None
    ) -> None:
        super().__init__()
        if not widths:
            raise InvalidInput(f"UNet: widths must name at least one level; got {widths}")
        self.channels, self.condition_size, self.factor = channels, condition_size, 2 ** (len(widths) - 1)
        self.down = nn.ModuleList(
            DoubleConvolution(before, width, condition_size)
            for before, width in itertools.pairwise([channels, *widths])
        )
        upwards = list(itertools.pairwise(reversed(widths)))
        self.up = nn.ModuleList(nn.ConvTranspose2d(below, width, 2, stride=2) for below, width in upwards)
        self.join = nn.ModuleList(DoubleConvolution(2 * width, width, condition_size) for _, width in upwards)
        self.output = nn.Conv2d(widths[0], output_channels, 1)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """(B, C, H, W), and a condition (B, condition_size) if there is one, to (B, output_channels, H, W).

        Raises:
            InvalidInput: shapes that do not fit.
        """
        self._check(x, condition)
        seen: list[Tensor] = []
        for level in self.down:
            x = level(nn.functional.max_pool2d(x, 2) if seen else x, condition)
            seen.append(x)  # (B, width, H / 2^i, W / 2^i)
        for up, join, finer in zip(self.up, self.join, reversed(seen[:-1]), strict=True):
            x = join(torch.cat([finer, up(x)], 1), condition)
        return self.output(x)

    def _check(self, x: Tensor, condition: Tensor | None) -> None:
        shape = tuple(x.shape)
        if len(shape) != 4 or shape[1] != self.channels or shape[2] % self.factor or shape[3] % self.factor:
            wanted = f"(B, {self.channels}, H, W) with H and W divisible by {self.factor}"
            raise InvalidInput(f"UNet: images must have shape {wanted}; got {shape}")
        got = None if condition is None else tuple(condition.shape)
        wanted_condition = None if self.condition_size is None else (shape[0], self.condition_size)
        if got != wanted_condition:
            raise InvalidInput(f"UNet: condition must have shape {wanted_condition}; got {got}")
