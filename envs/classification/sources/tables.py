"""Labelled tables: three that scikit-learn embeds, and five drawn with a fixed seed, four of them in the plane."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

POINTS, FEW = 1000, 300
EMBEDDED = ("iris", "wine", "breast-cancer")
DRAWN = ("xor", "blobs", "moons", "spirals", "prototypes")
TABLES = (*EMBEDDED, *DRAWN)

Table = tuple[NDArray[np.float64], NDArray[np.int64], list[str], list[str]]


def load_table(dataset: str) -> Table:
    """Features (N, D) float64, labels (N,) int64, class names and feature names."""
    if dataset in EMBEDDED:
        import sklearn.datasets

        bunch: Any = getattr(sklearn.datasets, f"load_{dataset.replace('-', '_')}")()
        names = [name.removesuffix(" (cm)") for name in bunch.feature_names]
        return bunch.data, bunch.target.astype(np.int64), [str(name) for name in bunch.target_names], names
    features, labels = _draw(dataset, np.random.default_rng(0))
    return features, labels, [f"class {k}" for k in range(labels.max() + 1)], list("xyzuvw")[: features.shape[1]]


def _draw(dataset: str, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    if dataset == "xor":
        corners = rng.integers(0, 2, (POINTS, 2))
        return corners * 2 - 1 + rng.normal(0, 0.3, (POINTS, 2)), corners[:, 0] ^ corners[:, 1]
    if dataset == "blobs":
        labels = np.arange(POINTS) % 5
        angle = 2 * np.pi * labels / 5
        return np.stack([np.cos(angle), np.sin(angle)], 1) + rng.normal(0, 0.2, (POINTS, 2)), labels
    if dataset == "moons":
        labels, angle = np.arange(POINTS) % 2, rng.uniform(0, np.pi, POINTS)
        moons = np.where(labels == 0, [np.cos(angle), np.sin(angle)], [1 - np.cos(angle), 0.5 - np.sin(angle)])
        return moons.T + rng.normal(0, 0.1, (POINTS, 2)), labels
    if dataset == "prototypes":
        labels, prototypes = np.arange(FEW) % 3, rng.uniform(-1.5, 1.5, (3, 6))
        return prototypes[labels] + rng.normal(0, 0.1, (FEW, 6)), labels
    labels, radius = np.arange(POINTS) % 3, np.sqrt(rng.uniform(0.01, 1, POINTS))
    angle = 2 * np.pi * (labels / 3 + radius)
    return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1) + rng.normal(0, 0.02, (POINTS, 2)), labels
