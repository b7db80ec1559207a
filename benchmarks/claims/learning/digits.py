"""Handwritten digits for claims: few rows to learn from, many to be tested on."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn


@cache
def digits() -> tuple[Tensor, Tensor]:
    """(1797, 1, 8, 8) float32 in [0, 1] and labels (1797,) int64."""
    found = load_digits()
    return torch.tensor(found.images, dtype=torch.float32).unsqueeze(1) / 16, torch.tensor(found.target)


def rows(count: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`count` images with labels to learn from, and 500 others to be tested on."""
    images, labels = digits()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    own, others = order[:count], order[-500:]
    return images[own], labels[own], images[others], labels[others]


def train(
    model: nn.Module, images: Tensor, labels: Tensor, steps: int, seed: int, batch: int = 64, rate: float = 3e-3
) -> None:
    """Adam on the cross-entropy of minibatches that are drawn with replacement."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(model.parameters(), rate)
    model.train()
    for _ in range(steps):
        chosen = torch.randint(len(labels), (batch,), generator=generator)
        optimiser.zero_grad()
        F.cross_entropy(model(images[chosen]), labels[chosen]).backward()
        optimiser.step()
    model.eval()


@torch.no_grad()
def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Share of images that get their label."""
    return float((model(images).argmax(1) == labels).float().mean())
