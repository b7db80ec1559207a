"""Dose: its curves and rows against NumPy and SciPy, its rewards by hand."""

import numpy as np
import pytest
import torch
from scipy import stats

from palaestra.envs import make_task, scores
from palaestra.envs.classification.sources.curves import HEIGHT, REACH, curve, draw_rows
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/Dose-v0"


@pytest.mark.parametrize("degree", range(13))
def test_a_curve_has_its_degree_and_its_height(degree):
    coefficients = curve(degree)
    power = np.polynomial.chebyshev.cheb2poly(coefficients)
    x = np.linspace(-1, 1, 20_001)
    assert len(power) == degree + 1
    assert np.abs(np.polyval(power[::-1], x)).max() == pytest.approx(HEIGHT, abs=1e-4)
    if degree:  # no polynomial of a lower degree is near: the error of the best one is that of the last coefficient
        assert abs(coefficients[-1]) == pytest.approx(abs(power[-1]) * 0.5 ** (degree - 1))
        assert abs(coefficients[-1]) > 0.04


def test_rows_are_normal_around_the_curve():
    coefficients = curve(5)
    x, y, mean = draw_rows(coefficients, 50_000, "train", 0.2, growing=False, outliers=0.0)
    np.testing.assert_allclose(mean, np.polyval(np.polynomial.chebyshev.cheb2poly(coefficients)[::-1], x), atol=1e-12)
    assert stats.kstest(y - mean, "norm", (0, 0.2)).pvalue > 0.01
    assert stats.kstest(x, "uniform", (-1, 2)).pvalue > 0.01


def test_noise_may_grow_and_rows_may_lie_far_off():
    x, y, mean = draw_rows(curve(3), 50_000, "train", 0.1, growing=True, outliers=0.0)
    for low, high in ((-1, -0.8), (-0.1, 0.1), (0.8, 1)):
        within = (x >= low) & (x < high)
        square = ((1 + high) ** 3 - (1 + low) ** 3) / 3 / (high - low)  # the mean of (1 + x)^2 there
        assert (y - mean)[within].std() == pytest.approx(0.1 * square**0.5, rel=0.05)
    _, y, mean = draw_rows(curve(3), 50_000, "train", 0.0, growing=False, outliers=0.3)
    assert (y != mean).mean() == pytest.approx(0.3, abs=0.01)
    assert stats.kstest(y[y != mean], "uniform", (-REACH, 2 * REACH)).pvalue > 0.01


def test_splits_are_other_rows_of_one_curve_and_outliers_are_in_training_only():
    train, validation, test = (
        make_task(ID, rows=50, outliers=0.5, noise=0.0, split=split) for split in ("train", "validation", "test")
    )
    assert [len(task.x) for task in (train, validation, test)] == [50, 200, 1000]
    assert not set(train.x.tolist()) & set(test.x.tolist()) | set(train.x.tolist()) & set(validation.x.tolist())
    assert (train.y != train.mean).any()
    assert torch.equal(test.y, test.mean)
    assert torch.equal(validation.y, validation.mean)


def test_more_rows_begin_with_the_fewer():
    assert torch.equal(make_task(ID, rows=300).x[:6], make_task(ID, rows=6).x)


def test_a_dose_pays_its_squared_distance():
    task = make_task(ID, split="test")
    state = task.reset(torch.tensor([[0.0], [0.5]]))
    assert state.row.tolist() == [0, 500]
    step = task.step(state, torch.tensor([[0.25], [-1.0]]) / 1.5, torch.empty(2, 0))
    y, mean = task.y[[0, 500]].double(), task.mean[[0, 500]].double()
    given = torch.tensor([0.25, -1.0], dtype=torch.float64)
    torch.testing.assert_close(step.reward.double(), -((given - y) ** 2), atol=1e-6, rtol=0)
    torch.testing.assert_close(step.metrics["excess"].double(), (given - mean) ** 2, atol=1e-6, rtol=0)
    assert step.terminated.all()


def test_the_expert_knows_the_label_in_training_and_the_curve_elsewhere():
    assert scores(ID).expert == 0
    task = make_task(ID, split="test")
    state = task.reset(torch.arange(1000)[:, None] / 1000 + 1e-4)
    torch.testing.assert_close(1.5 * task.expert(state)[:, 0], task.mean)
    assert -scores(ID, split="test").expert == pytest.approx(float((task.y - task.mean).square().mean()), rel=0.05)


@pytest.mark.parametrize(
    "options",
    [{"rows": 1}, {"degree": 13}, {"noise": -0.1}, {"outliers": 0.6}, {"heteroscedastic": 1}, {"split": "all"}],
)
def test_what_is_not_allowed_is_refused(options):
    (name,) = options
    with pytest.raises(InvalidInput, match=f"Dose: {name} must be"):
        make_task(ID, **options)
