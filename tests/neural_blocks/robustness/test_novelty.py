"""Scores of strangeness and how they rank, against scikit-learn and SciPy."""

import pytest
import torch
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import empirical_covariance
from sklearn.metrics import roc_auc_score

from palaestra.neural_blocks import Mahalanobis, area_under_roc, free_energy, max_softmax
from palaestra.neural_blocks.errors import InvalidInput


def test_scores_of_logits_by_hand():
    logits = torch.tensor([[0.0, 0.0], [3.0, 0.0]])
    assert max_softmax(logits).tolist() == pytest.approx([-0.5, -0.952574], abs=1e-6)
    assert free_energy(logits).tolist() == pytest.approx([-0.693147, -3.048587], abs=1e-6)


def test_the_distance_to_the_nearest_class_is_scipys():
    generator = torch.Generator().manual_seed(0)
    features, labels = (
        torch.randn(60, 3, generator=generator) @ torch.randn(3, 3, generator=generator),
        torch.arange(60) % 2,
    )
    features[labels == 1] += 4
    block = Mahalanobis(3, 3)  # of the third class there is none
    block.fit(features, labels)
    means = [features[labels == k].double().numpy().mean(0) for k in (0, 1)]
    centred = features.double().numpy() - [means[k] for k in labels]
    covariance = empirical_covariance(centred, assume_centered=True)
    covariance = 0.99 * covariance + 0.01 * covariance.trace() / 3 * torch.eye(3).numpy()
    precision = torch.linalg.inv(torch.as_tensor(covariance)).numpy()
    probes = torch.randn(5, 3, generator=generator)
    expected = [min(mahalanobis(one, mean, precision) ** 2 for mean in means) for one in probes.double().numpy()]
    assert block(probes).tolist() == pytest.approx(expected, rel=1e-3)
    compiled = torch.compile(block, backend="eager", fullgraph=True)
    assert torch.equal(compiled(probes), block(probes))


def test_the_area_is_scikit_learns_with_ties_too():
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(0, 6, (200,), generator=generator).float()
    positive = torch.rand(200, generator=generator) < 0.3 + 0.1 * scores / 6
    assert area_under_roc(scores, positive).item() == pytest.approx(roc_auc_score(positive, scores))
    assert area_under_roc(scores, positive & False).isnan()


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(InvalidInput, match=r"area_under_roc: scores and positive must have one shape \(B,\)"):
        area_under_roc(torch.zeros(3), torch.zeros(2, dtype=torch.bool))
    with pytest.raises(InvalidInput, match=r"Mahalanobis: features must have shape \(B, 3\)"):
        Mahalanobis(3, 2).fit(torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64))
