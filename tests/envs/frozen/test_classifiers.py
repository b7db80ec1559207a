"""The shipped classifiers: as good, and as robust, as is said of them."""

from __future__ import annotations

import pytest
import torch

from palaestra.envs.classification.sources.images import load_images
from palaestra.envs.frozen.classifiers import RECIPES, classifier
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.robustness.adversarial import pgd


@pytest.fixture(scope="module")
def digits():
    """Images (N, 1, 8, 8) in [0, 1] and labels (N,) of the test split."""
    images, labels, _ = load_images("digits", "test")
    return torch.from_numpy(images).float() / 255, torch.from_numpy(labels)


def accuracy(network, images, labels):
    return float((network(images).argmax(1) == labels).float().mean())


@pytest.mark.parametrize(("kind", "clean", "low", "high"), [("plain", 0.97, 0.0, 0.15), ("robust", 0.97, 0.7, 0.85)])
def test_both_read_digits_and_the_robust_one_stands_attacks(digits, kind, clean, low, high):
    images, labels = digits
    network = classifier(kind)
    assert accuracy(network, images, labels) >= clean
    attacked = pgd(network, images, labels, 0.15, step_size=0.0375, steps=20)
    assert low <= accuracy(network, attacked, labels) <= high


def test_the_recipe_makes_a_classifier_as_good_as_the_one_shipped(digits):
    torch.manual_seed(1)
    recipe = RECIPES["digit-classifier"]
    network = recipe.build()
    recipe.train(network)
    assert accuracy(network, *digits) >= 0.96


def test_an_unknown_kind_is_refused():
    with pytest.raises(InvalidInput, match="kind must be one of 'plain', 'robust', 'trades', 'ensemble'; got 'robsut'"):
        classifier("robsut")
