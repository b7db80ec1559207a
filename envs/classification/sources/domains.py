"""Two domains of an image set: the source that it comes from, and a target of which little or nothing is told."""

from __future__ import annotations

import torch
from torch import Tensor

DOMAINS = ("source", "target", "mixed")
CHANGED = ("inverted", "rotated", "textured")  # targets whose images are others than the source's
TARGETS = (*CHANGED, "inked")
TEXTURE = 96  # the grey of every fourth diagonal of a textured background, and half of it of its neighbours


def in_target(images: Tensor, target: str) -> Tensor:
    """Images as the target domain shows them, in whole numbers.

    Args:
        images: (N, C, H, W) uint8, square for "rotated".
        target: "inverted" (black is white), "rotated" (by a quarter turn to the left), "textured" (every fourth
            diagonal behind the image is grey), or "inked", where images are what they are and others are likelier.

    Returns:
        (N, C, H, W) uint8.
    """
    if target == "inverted":
        return 255 - images
    if target == "rotated":
        return images.rot90(1, (2, 3)).contiguous()
    if target == "textured":
        down, across = (torch.arange(side, device=images.device) for side in images.shape[2:])
        ground = ((down[:, None] + across) % 4 - 2).abs() * (TEXTURE // 2)  # (H, W)
        return torch.maximum(images, ground.to(torch.uint8))
    return images


def by_ink(images: Tensor) -> tuple[Tensor, Tensor]:
    """How the target "inked" shifts what is likely: of N images, that with the r-th least ink weighs (2 r + 1) / N.

    Args:
        images: (N, C, H, W) uint8.

    Returns:
        (N,) int64 the rows, those with the least ink first, of equal ones the first; and (N,) float32 the weight of
        each row, which is how much likelier its image is in the target domain.
    """
    order = images.flatten(1).long().sum(1).argsort(stable=True)
    heavier = (2 * torch.arange(len(order)) + 1).double() / len(order)
    return order, torch.zeros(len(order), dtype=torch.float32).index_copy_(0, order, heavier.float())


def inked(noise: Tensor, order: Tensor) -> Tensor:
    """Rows (B,) of images drawn by uniforms (B,) as the target "inked" has them, given their `order` by ink (N,)."""
    count = len(order)  # the chance of less ink than that of the r-th is (r / N) squared
    return order[(noise.double().sqrt() * count).long().clamp(max=count - 1)]
