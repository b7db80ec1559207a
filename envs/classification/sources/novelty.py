"""Images of known digits and strange ones, and how well scores tell them apart."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .glyphs import DRAWING_NOISE, PROGRAM_NOISE, SIZE, draw_glyphs, draw_programs
from .images import load_images

KNOWN = 6
"""Digits from 0 to 5 are known."""
STRANGE_DIGITS = {"train": (6, 7), "validation": (6, 7), "test": (8, 9)}
KINDS = ("classes", "corrupted", "foreign")
REPLACED = 0.7
"""Share of a corrupted image's pixels that other pixels of the same image replace."""


def mixed_images(split: str, kinds: tuple[str, ...]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (N + 1, 1, 8, 8) uint8 and classes (N + 1,) int64, `KNOWN` for what is strange.

    Known digits come first, then as many strange images of each kind as there are of the rarest, and a black one last.

    Args:
        split: of the digits.
        kinds: of strange images, of `KINDS`.
    """
    digits, labels, _ = load_images("digits", split, None)
    known = labels < KNOWN
    random = np.random.RandomState(1000 + ("train", "validation", "test").index(split))  # NumPy never changes it
    strange = []
    for kind in kinds:
        if kind == "classes":
            strange.append(digits[np.isin(labels, STRANGE_DIGITS[split])])
        elif kind == "corrupted":
            strange.append(_corrupted(digits[known], random))
        else:
            strange.append(_foreign(int(known.sum()), random, split))
    fewest = min(map(len, strange))
    blank = np.zeros((1, *digits.shape[1:]), np.uint8)
    images = np.concatenate([digits[known], *(part[:fewest] for part in strange), blank])
    return images, np.concatenate([labels[known], np.full(len(images) - int(known.sum()), KNOWN)]).astype(np.int64)


def _corrupted(digits: NDArray[np.uint8], random: np.random.RandomState) -> NDArray[np.uint8]:
    """Digits of whose pixels a share is replaced by others of the same image: as bright, and no digit any more."""
    flat = digits.reshape(len(digits), -1)
    shuffled = np.take_along_axis(flat, random.random_sample(flat.shape).argsort(1, kind="stable"), 1)
    replaced = random.random_sample(flat.shape) < REPLACED
    return np.where(replaced, shuffled, flat).reshape(digits.shape)


def _foreign(count: int, random: np.random.RandomState, split: str) -> NDArray[np.uint8]:
    """Drawings of random strokes, each of another program, at half their size."""
    programs = draw_programs(torch.from_numpy(random.random_sample((count, PROGRAM_NOISE))).float(), split)
    drawings = draw_glyphs(programs, torch.from_numpy(random.random_sample((count, DRAWING_NOISE))).float())
    pixels = drawings.numpy().reshape(count, 1, SIZE // 2, 2, SIZE // 2, 2).astype(np.int64)
    return np.minimum(pixels.sum((3, 5)) // 2, 255).astype(np.uint8)


def ranking(score: Tensor, positive: Tensor) -> Tensor:
    """Area under the receiver operating characteristic: how often a positive is scored above a negative, ties half.

    Args:
        score: (B, T).
        positive: (B, T) bool, in each row some and not all.

    Returns:
        (B,) float32.
    """
    above = (score[:, :, None] > score[:, None]).float() + 0.5 * (score[:, :, None] == score[:, None]).float()
    pairs = (positive[:, :, None] & ~positive[:, None]).float()  # (B, T, T)
    return (above * pairs).sum((1, 2)) / pairs.sum((1, 2))


def average_precision(score: Tensor, positive: Tensor) -> Tensor:
    """The mean, over positives, of the share of positives among all that are scored as high or higher.

    Arguments and result as of `ranking`.
    """
    as_high = (score[:, None] >= score[:, :, None]).float()  # (B, T, T): of each, which are as high
    hits = (as_high * positive[:, None]).sum(2)
    return (hits / as_high.sum(2) * positive).sum(1) / positive.sum(1)
