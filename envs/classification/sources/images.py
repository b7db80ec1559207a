"""Labelled image sets: scikit-learn's embedded digits, and three that OpenML keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....neural_blocks.errors import InvalidInput
from ...core.splits import split_rows, training_rows


@dataclass(frozen=True)
class OpenMLImages:
    """Where OpenML keeps an image set: its number, one image's shape, and the share of rows, the last, for testing."""

    data_id: int
    shape: tuple[int, int, int]
    test_share: float
    class_names: list[str]


DIGITS = [str(digit) for digit in range(10)]
OPENML = {
    "mnist": OpenMLImages(554, (1, 28, 28), 1 / 7, DIGITS),
    "fashion-mnist": OpenMLImages(
        40996,
        (1, 28, 28),
        1 / 7,
        ["T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"],
    ),
    "cifar-10": OpenMLImages(
        40927,
        (3, 32, 32),
        1 / 6,
        ["aeroplane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "lorry"],
    ),
}
IMAGE_SETS = ("digits", *OPENML)


def load_images(
    dataset: str, split: str, cache: str | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.int64], list[str]]:
    """Images (N, C, H, W) uint8, labels (N,) int64 and the class names of one split.

    The test part of a set of OpenML is the published one; the validation part is an eighth of the published training
    part (see `core.splits`).

    Args:
        dataset: one of `IMAGE_SETS`.
        split: one of `SPLITS`, or `OUTSIDE_TEST`.
        cache: folder of downloaded sets.

    Raises:
        InvalidInput: the set is neither in the cache nor reachable, or what is cached is not what it should be.
    """
    if dataset == "digits":
        from sklearn.datasets import load_digits

        bunch = load_digits()
        rows = split_rows(bunch.target, split)
        images = np.round(bunch.images[rows, None] * (255 / 16)).astype(np.uint8)
        return images, bunch.target[rows].astype(np.int64), DIGITS
    source = OPENML[dataset]
    pixels, classes = _fetch(dataset, source, cache)
    train = len(classes) - round(len(classes) * source.test_share)
    rows = np.arange(train, len(classes)) if split == "test" else training_rows(classes[:train], split)
    return pixels.reshape(-1, *source.shape)[rows], classes[rows], source.class_names


def _fetch(dataset: str, source: OpenMLImages, cache: str | None) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    from sklearn.datasets import fetch_openml

    try:
        bunch: Any = fetch_openml(
            data_id=source.data_id, data_home=cache, as_frame=False, parser="liac-arff", n_retries=1, delay=0.5
        )
    except Exception as error:  # a broken network or cache file raises whatever the layer that met it does
        raise InvalidInput(
            f"DigitBandit: dataset {dataset!r} could not be fetched from OpenML ({' '.join(str(error).split())}); "
            "the embedded data set 'digits' needs no network"
        ) from error
    features = int(np.prod(source.shape))
    if bunch.data.shape[1] != features:
        raise InvalidInput(f"DigitBandit: dataset {dataset!r} must have {features} pixels; got {bunch.data.shape[1]}")
    return bunch.data.astype(np.uint8), bunch.target.astype(np.int64)
