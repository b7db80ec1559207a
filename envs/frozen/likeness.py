"""How much pictures of digits are like real ones, all together: measures by what a frozen classifier finds in them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from ...neural_blocks.generation.measures import frechet_distance, inception_score, neighbourhoods
from .classifiers import classifier

MOST = 1024  # pictures that are compared: distances of all pairs are taken
NEAREST = 5  # neighbours that a picture's ball reaches to


def likeness(made: Tensor, real: Tensor) -> dict[str, float]:
    """Measures of made pictures beside real ones, by the plain classifier of `frozen.classifiers`.

    Features are the 128 of its last hidden layer. As a set of finite size has a Fréchet distance from any other, the
    distances of sets of different sizes should not be compared.

    Args:
        made: (N, 1, 8, 8) uint8; of more than 1024 the first count.
        real: (M, 1, 8, 8) uint8, likewise.

    Returns:
        Named as "picture_frechet": the Fréchet distance of the features, 0 at best; inception, the inception score,
        10 at best; precision, recall, density and coverage by balls to the fifth neighbour. Nothing for fewer than six
        pictures, which have no fifth neighbour.
    """
    made, real = made[:MOST], real[:MOST]
    if min(len(made), len(real)) <= NEAREST:
        return {}
    features, probabilities = _read(made)
    others, _ = _read(real)
    found = {
        "frechet": frechet_distance(others, features),
        "inception": inception_score(probabilities),
        **neighbourhoods(others, features, NEAREST),
    }
    return {f"picture_{name}": float(value) for name, value in found.items()}


@torch.no_grad()
def _read(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """The features (N, 128) and class probabilities (N, 10) of pictures."""
    flatten, perceptron = _judge()
    *hidden, last = perceptron.layers
    features = nn.Sequential(flatten, *hidden)(pictures.cpu().double() / 255)
    return features, last(features).softmax(1)


@lru_cache(maxsize=1)
def _judge() -> Any:
    """The classifier, read once."""
    return classifier("plain").double()
