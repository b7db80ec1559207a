"""What can be done to an image before a classifier reads it: from images (B, 1, 8, 8) in [0, 1] to such images."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

COARSENESS = 0.15  # of the lowest frequency's step; that of another one is as much larger as it is higher
DARK = 0.3  # what is darker becomes black
STRETCHED = (0.25, 0.75)  # what becomes black, and what white


def stretched(images: Tensor) -> Tensor:
    """The contrast of the middle greys doubled; the darkest quarter becomes black, the lightest white."""
    low, high = STRETCHED
    return ((images - low) / (high - low)).clamp(0, 1)


def cut(images: Tensor) -> Tensor:
    """Pixels darker than 0.3 become black."""
    return torch.where(images < DARK, 0.0, images)


def quantised(images: Tensor, levels: int) -> Tensor:
    """Each pixel as the nearest of so many greys from black to white."""
    return (images * (levels - 1)).round() / (levels - 1)


def transformed(images: Tensor) -> Tensor:
    """The cosine transform of the 8 x 8 block with its coefficients rounded, the more coarsely the higher they are."""
    side = images.shape[-1]
    basis = cosines(side).to(images)
    frequency = torch.arange(side, device=images.device)
    step = COARSENESS * (1 + frequency[:, None] + frequency).to(images)
    rounded = (basis @ images @ basis.T / step).round() * step
    return (basis.T @ rounded @ basis).clamp(0, 1)


def blurred(images: Tensor) -> Tensor:
    """Each pixel as the mean of 3 x 3, weighed 1, 2, 1 both ways; the border is repeated outwards."""
    wide = F.pad(images, (1, 1, 1, 1), mode="replicate")
    rows = (wide[..., :-2, :] + 2 * wide[..., 1:-1, :] + wide[..., 2:, :]) / 4
    return (rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]) / 4


def medians(images: Tensor) -> Tensor:
    """Each pixel as the median of the 3 x 3 around it; the border is repeated outwards."""
    wide, (height, width) = F.pad(images, (1, 1, 1, 1), mode="replicate"), images.shape[-2:]
    near = [wide[..., y : y + height, x : x + width] for y in range(3) for x in range(3)]
    return torch.stack(near).sort(0).values[4]


def cosines(side: int) -> Tensor:
    """The orthonormal cosine transform of a row, (frequencies, places) float64 (Ahmed, Natarajan and Rao, 1974)."""
    places = torch.arange(side, dtype=torch.float64)
    basis = torch.cos(math.pi * places[:, None] * (2 * places + 1) / (2 * side)) * math.sqrt(2 / side)
    basis[0] /= math.sqrt(2)
    return basis


PREPROCESSINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "leave it as it is": lambda images: images,
    "stretch the contrast": stretched,
    "dark pixels to black": cut,
    "round to 4 greys": partial(quantised, levels=4),
    "round to 3 greys": partial(quantised, levels=3),
    "round to 2 greys": partial(quantised, levels=2),
    "round its frequencies": transformed,
    "blur": blurred,
    "median of 3 x 3": medians,
}
