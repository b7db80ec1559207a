"""The three parts of a data set: training learns on one, validation chooses, the test part is scored once.

A fifth of the rows is the test part, unless whoever published the set says which rows are. An eighth of the others is
the validation part. Both are stratified by class and drawn with a fixed seed, the same for everyone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SPLITS = ("train", "validation", "test")
OUTSIDE_TEST = "train+validation"  # what the shipped networks learned from; no option of a task
EIGHTH = 8  # one row in so many of those outside the test part is for validation
TEST_SHARE = 0.2

Rows = NDArray[np.int64]


def split_rows(labels: NDArray[Any], split: str) -> Rows:
    """The rows of a split of a data set without a published one, ascending: train 70 %, validation 10 %, test 20 %.

    Args:
        labels: (N,) the class of each row.
        split: one of `SPLITS`, or `OUTSIDE_TEST`.
    """
    from sklearn.model_selection import train_test_split

    rest, test = train_test_split(np.arange(len(labels)), test_size=TEST_SHARE, random_state=0, stratify=labels)
    if split == "test":
        return np.sort(test)
    rest = np.sort(rest)
    return rest[training_rows(labels[rest], split)]


def training_rows(labels: NDArray[Any], split: str) -> Rows:
    """The rows of a split among rows that are none of the test part, ascending: seven eighths train.

    The rows are shuffled and then sorted by class; every eighth one is for validation. So each class gives an eighth
    of its rows, rounded up or down.

    Args:
        labels: (N,) the class of each row.
        split: "train", "validation", or `OUTSIDE_TEST` for all of them.
    """
    if split == OUTSIDE_TEST:
        return np.arange(len(labels))
    shuffled = np.random.RandomState(0).permutation(len(labels))  # the generator that NumPy never changes
    order = shuffled[np.argsort(labels[shuffled], kind="stable")]
    held = np.zeros(len(labels), dtype=bool)
    held[order[EIGHTH // 2 - 1 :: EIGHTH]] = True
    return np.flatnonzero(held if split == "validation" else ~held)


def few_of_each(labels: NDArray[Any], count: int, choice: int) -> Rows:
    """Some rows, as many of each class as the number goes, ascending; where it does not go evenly, one more of some.

    Args:
        labels: (N,) the class of each row.
        count: of rows, from one a class to N; a class that has fewer than its share gives all, and others more.
        choice: which rows these are.
    """
    shuffled = np.random.RandomState(choice).permutation(len(labels))
    order = shuffled[np.argsort(labels[shuffled], kind="stable")]  # by class, each shuffled
    sizes = np.unique(labels, return_counts=True)[1]
    place = np.concatenate([np.arange(size) for size in sizes])  # of each row within its class
    return np.sort(order[np.argsort(place, kind="stable")[:count]])
