"""How a world changes images: whole numbers throughout, so that every device shows the same pixels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

CHANGES = ("names", "rotation", "contrast", "brightness", "noise", "pixels", "none")
WORLDS = 4
CONTRAST = (8, 4, 2, -8)
"""Eighths by which a pixel's distance from the middle grey is multiplied, by world."""
BRIGHTNESS = (0, 64, 128, -64)
"""What is added to every pixel, by world."""
NOISE = (0, 1, 2, 3)
"""Sixths of the pixels that are replaced by a uniform grey, by world."""
MIDDLE = 128


def permutations(pixels: int) -> Tensor:
    """(4, pixels) int64 the order of pixels in each world: the usual one, and three fixed ones."""
    generator = np.random.RandomState(0)  # the one that NumPy never changes
    orders = [np.arange(pixels), *(generator.permutation(pixels) for _ in range(WORLDS - 1))]
    return torch.from_numpy(np.stack(orders).astype(np.int64))


def changed(change: str, image: Tensor, world: Tensor, speck: Tensor, orders: Tensor) -> Tensor:
    """Images as their worlds show them.

    Args:
        change: one of `CHANGES`; "names" and "none" leave images as they are.
        image: (B, C, H, W) uint8, square for "rotation".
        world: (B,) int64 from 0 to 3.
        speck: (B, C H W) uniforms for "noise".
        orders: (4, C H W) int64 for "pixels", see `permutations`.

    Returns:
        (B, C, H, W) uint8.
    """
    if change == "rotation":
        turned = torch.stack([image.rot90(k, (2, 3)) for k in range(WORLDS)], 1)  # (B, 4, C, H, W)
        return turned[torch.arange(len(image), device=image.device), world]
    if change == "pixels":
        return image.flatten(1).gather(1, orders[world]).view_as(image)
    if change == "noise":
        level = _of(NOISE, world)[:, None] / 6  # (B, 1)
        grey = (speck * 256 / level.clamp(min=1 / 6)).long().clamp(max=255)  # below its limit the uniform is one again
        return torch.where(speck < level, grey, image.flatten(1).long()).to(torch.uint8).view_as(image)
    if change == "contrast":
        scaled = (image.long() - MIDDLE) * _of(CONTRAST, world)[:, None, None, None]
        return (scaled.div(8, rounding_mode="floor") + MIDDLE).clamp(0, 255).to(torch.uint8)
    if change == "brightness":
        return (image.long() + _of(BRIGHTNESS, world)[:, None, None, None]).clamp(0, 255).to(torch.uint8)
    return image


def _of(values: tuple[int, ...], world: Tensor) -> Tensor:
    """(B,) int64 the value of each world."""
    first, second, third, fourth = values
    return torch.where(world < 2, torch.where(world < 1, first, second), torch.where(world < 3, third, fourth))
