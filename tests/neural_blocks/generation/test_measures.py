"""Measures of generated samples against SciPy, scikit-learn and hand-computed examples."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from sklearn.neighbors import NearestNeighbors

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.generation.measures import frechet_distance, inception_score, neighbourhoods


@pytest.mark.parametrize(("count", "size"), [(200, 8), (60, 1), (500, 20)])
def test_the_frechet_distance_is_what_scipys_matrix_root_gives(count, size):
    generator = np.random.default_rng(size)
    real = generator.normal(size=(count, size)) @ generator.normal(size=(size, size))
    made = generator.normal(size=(count + 7, size)) @ generator.normal(size=(size, size)) + 0.3
    first, second = (np.cov(part, rowvar=False).reshape(size, size) for part in (real, made))
    root = np.real(sqrtm(first @ second))
    expected = ((real.mean(0) - made.mean(0)) ** 2).sum() + np.trace(first + second - 2 * root)
    found = frechet_distance(torch.from_numpy(real), torch.from_numpy(made))
    assert found.item() == pytest.approx(expected, rel=1e-6)


def test_the_frechet_distance_of_a_set_from_itself_is_zero_also_without_full_rank():
    features = torch.randn(10, 30, generator=torch.Generator().manual_seed(0))
    assert frechet_distance(features, features).item() == pytest.approx(0, abs=1e-5)


def test_the_inception_score_by_hand():
    assert inception_score(torch.eye(4)).item() == pytest.approx(4)  # sure and all different
    assert inception_score(torch.eye(4)[[1, 1, 1]]).item() == pytest.approx(1)  # sure and all the same
    assert inception_score(torch.full((5, 4), 0.25)).item() == pytest.approx(1)  # never sure
    mean = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert inception_score(torch.tensor([[0.75, 0.25], [0.25, 0.75]])).item() == pytest.approx(math.exp(mean))


def test_neighbourhoods_by_hand():
    """Real at 0, 1, 3 with k = 1: balls of radius 1, 1 and 2. Made at 0.5, 2.5: balls of radius 2 each."""
    found = neighbourhoods(torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([[0.5], [2.5]]), nearest=1)
    # 0.5 lies in the first two balls, 2.5 in the third alone
    assert {name: value.item() for name, value in found.items()} == {
        "precision": 1, "recall": 1, "density": 1.5, "coverage": 1,
    }  # fmt: skip
    far = neighbourhoods(torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([[0.2], [0.3]]), nearest=1)
    assert far["coverage"].item() == pytest.approx(2 / 3)
    assert far["recall"].item() == 0
    assert far["density"].item() == 2


def test_neighbourhoods_with_scikit_learns_neighbours():
    generator = np.random.default_rng(1)
    real, made = generator.normal(size=(120, 5)), 0.7 * generator.normal(size=(90, 5)) + 0.4
    reach = [NearestNeighbors(n_neighbors=6).fit(part).kneighbors(part)[0][:, 5] for part in (real, made)]
    apart = np.sqrt(((real[:, None] - made) ** 2).sum(2))
    in_real, in_made = apart <= reach[0][:, None], apart <= reach[1]
    expected = {"precision": in_real.any(0).mean(), "recall": in_made.any(1).mean(),
                "density": in_real.sum() / (5 * 90), "coverage": in_real.any(1).mean()}  # fmt: skip
    found = neighbourhoods(torch.from_numpy(real), torch.from_numpy(made))
    assert {name: value.item() for name, value in found.items()} == pytest.approx(expected)


def test_features_that_do_not_fit_are_refused():
    with pytest.raises(InvalidInput, match=r"neighbourhoods: features must .* at least 6; got \(5, 2\) and \(9, 2\)"):
        neighbourhoods(torch.zeros(5, 2), torch.zeros(9, 2))
    with pytest.raises(InvalidInput, match="frechet_distance: features must be"):
        frechet_distance(torch.zeros(5, 2), torch.zeros(5, 3))
