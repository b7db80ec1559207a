"""Whether pictures of digits are what was asked for, by a classifier that is shipped and frozen."""

from __future__ import annotations

from functools import lru_cache

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from ...envs.frozen.classifiers import classifier

DIGITS, SHAPE = 10, (1, 8, 8)


def are_digits(pictures: Tensor) -> bool:
    """Whether pictures (N, C, H, W) are of the size that the classifier reads."""
    return tuple(pictures.shape[1:]) == SHAPE


def sample_accuracy(pictures: Tensor, asked: Tensor) -> float:
    """The share of pictures (N, 1, 8, 8) in [0, 1] that are taken for the class asked for (N,)."""
    return float((_read(pictures) == asked.cpu()).double().mean())


def code_accuracy(pictures: Tensor, codes: Tensor, categories: int) -> float:
    """The share of pictures of the class that their code stands for, each code for another class.

    Which code stands for which is chosen so that the share is the largest. One picture again and again, whatever the
    code, has the share of one code alone; without codes that mean anything it is a little above a tenth.

    Args:
        pictures: (N, 1, 8, 8) in [0, 1].
        codes: (N,) int64, from 0 to `categories` - 1.
        categories: how many codes there are.
    """
    counts = torch.zeros(categories * DIGITS, dtype=torch.int64)
    found = codes.cpu() * DIGITS + _read(pictures)
    counts.index_add_(0, found, torch.ones_like(found))
    table = counts.view(categories, DIGITS).numpy()
    rows, columns = linear_sum_assignment(table, maximize=True)
    return float(table[rows, columns].sum() / len(pictures))


@torch.no_grad()
def _read(pictures: Tensor) -> Tensor:
    """The classes (N,) that are found."""
    return _judge()(pictures.cpu().float()).argmax(1)


@lru_cache(maxsize=1)
def _judge() -> nn.Module:
    """The classifier, read once."""
    return classifier("plain")
