"""Blocks learn: what each should reach on digits and small sequences. About eight minutes of one core.

python -m pytest benchmarks/blocks
"""

import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits():
    """scikit-learn's digits: training images (N, 1, 8, 8) in [0, 1], labels (N,), test images, test labels."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype("float32").reshape(-1, 1, 8, 8)
    train, test, train_labels, test_labels = train_test_split(
        images, labels, test_size=0.2, random_state=0, stratify=labels
    )
    return tuple(map(torch.from_numpy, (train, train_labels, test, test_labels)))
