"""Two domains of an image set: the source that it comes from, and a target of which little or nothing is told."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DOMAINS = ("source", "target", "mixed")
CHANGED = ("inverted", "rotated", "textured")  # targets whose images are others than the source's
TARGETS = (*CHANGED, "inked")
TEXTURE = 96  # the grey of every fourth diagonal of a textured background, and half of it of its neighbours


def in_target(images: NDArray[np.uint8], target: str) -> NDArray[np.uint8]:
    """Images as the target domain shows them, in whole numbers.

    Args:
        images: (N, C, H, W), square for "rotated".
        target: "inverted" (black is white), "rotated" (by a quarter turn to the left), "textured" (every fourth
            diagonal behind the image is grey), or "inked", where images are what they are and others are likelier.

    Returns:
        (N, C, H, W) uint8.
    """
    if target == "inverted":
        return 255 - images
    if target == "rotated":
        return np.ascontiguousarray(np.rot90(images, axes=(2, 3)))
    if target == "textured":
        height, width = images.shape[2:]
        place = (np.arange(height)[:, None] + np.arange(width)) % 4
        ground = np.array([TEXTURE, TEXTURE // 2, 0, TEXTURE // 2], np.uint8)[place]
        return np.maximum(images, ground)
    return images


def by_ink(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(N,) the rows of images, those with the least ink first; of equal ones the first."""
    return np.argsort(images.reshape(len(images), -1).sum(1, dtype=np.int64), kind="stable")
