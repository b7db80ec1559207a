"""The smallest change, against what is known of linear and quadratic boundaries."""

import pytest
import torch

from palaestra.neural_blocks import dual_ascent
from palaestra.neural_blocks.errors import InvalidInput


def distance(x, found):
    return (found - x).flatten(1).norm(dim=1)


def test_of_a_linear_model_it_is_the_way_to_the_nearest_boundary():
    torch.manual_seed(0)
    weight, x = torch.randn(5, 12), 0.5 + 0.01 * torch.randn(6, 12)
    weight = weight - weight.mean(1, keepdim=True)  # so that no class wins by far
    model = lambda inputs: inputs @ weight.T  # noqa: E731
    labels = model(x).argmax(1)
    found = dual_ascent(model, x, labels, steps=120, confidence=0.02)
    assert (model(found).argmax(1) != labels).all()
    logits = model(x)
    for row, label in enumerate(labels.tolist()):
        apart = [
            float((logits[row, label] - logits[row, k]) / (weight[label] - weight[k]).norm())
            for k in range(5)
            if k != label
        ]
        likeliest = float(distance(x, found)[row])
        assert min(apart) * 0.99 < likeliest < 1.1 * sorted(apart)[1]  # the class ahead at x need not be the nearest


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("confidence", [0.01, 0.3])
def test_of_two_classes_it_is_the_margin_over_the_weights_length(targeted, confidence):
    torch.manual_seed(1)
    weight = torch.randn(9)
    model = lambda inputs: torch.stack([inputs @ weight, torch.zeros(len(inputs))], 1)  # noqa: E731
    x = 0.5 + 0.02 * torch.randn(7, 9)
    labels = model(x).argmax(1)
    wanted = 1 - labels if targeted else labels
    found = dual_ascent(model, x, wanted, steps=150, confidence=confidence, targeted=targeted, bounds=(-9, 9))
    assert (model(found).argmax(1) != labels).all()
    exact = ((x @ weight).abs() + confidence) / weight.norm()
    least = (x @ weight).abs() / weight.norm()
    assert (distance(x, found) >= least * 0.999).all()
    assert (distance(x, found) <= exact * 1.01 + 1e-4).all()
    cosine = torch.cosine_similarity(found - x, weight.expand_as(x), dim=1).abs()
    assert (cosine > 0.999).all()


def test_a_round_boundary_is_reached_along_its_radius():
    """Class 0 within a circle of radius 1 around the origin: from a point at 0.3, 0.7 are left."""
    model = lambda inputs: torch.stack([1 - inputs.square().sum(1), inputs.square().sum(1) - 1], 1)  # noqa: E731
    direction = torch.nn.functional.normalize(torch.randn(5, 2), dim=1)
    found = dual_ascent(model, 0.3 * direction, torch.zeros(5, dtype=torch.int64), steps=300, bounds=(-2, 2))
    torch.testing.assert_close(distance(0.3 * direction, found), torch.full((5,), 0.7), atol=0.03, rtol=0)


def test_bounds_are_kept_and_who_cannot_be_fooled_stays_within_them():
    x, labels = torch.rand(4, 3), torch.zeros(4, dtype=torch.int64)
    sure = lambda inputs: torch.stack([inputs.sum(1) + 10, -inputs.sum(1)], 1)  # noqa: E731
    found = dual_ascent(sure, x, labels)
    assert found.min() >= 0
    assert found.max() <= 1
    assert (sure(found).argmax(1) == 0).all()
    with pytest.raises(InvalidInput, match=r"dual_ascent: labels must have shape \(4,\); got \(3,\)"):
        dual_ascent(sure, x, labels[:3])
    with pytest.raises(InvalidInput, match=r"steps must be at least 1 and confidence above 0; got 0 and 0.01"):
        dual_ascent(sure, x, labels, steps=0)
