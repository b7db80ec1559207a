"""Calibrate: where its images and labels come from, and scores against scikit-learn and torchmetrics."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from torchmetrics.classification import MulticlassCalibrationError

from palaestra.envs import BatchedEnv, make_task
from palaestra.envs.core.splits import split_rows
from palaestra.envs.score_table import measure
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.robustness.calibration import expected_calibration_error

ID = "palaestra/Calibrate-v0"


def forecasts(**options):
    """1,000 random forecasts: weights and labels as NumPy, and the step they led to."""
    env = BatchedEnv(make_task(ID, **options), 1000, seed=0)
    env.reset()
    weights, labels = torch.rand(1000, 10, generator=torch.Generator().manual_seed(0)), env.state.label
    return weights.double().numpy(), labels.numpy(), env.step(weights)


def test_reset_is_the_plain_loop_over_environments():
    """Image, chances and label by the docstring's words, one environment and one pixel at a time."""
    task, bunch = make_task(ID, blend=0.7, corruption=0.4), load_digits()
    rows = split_rows(bunch.target, "train")
    noise = torch.rand(30, task.reset_noise, generator=torch.Generator().manual_seed(1))
    state = task.reset(noise)
    for row, u in enumerate(noise.double().tolist()):
        first, second = (rows[int(v * len(rows))] for v in u[:2])
        weight = u[3] if u[2] < 0.7 else 1.0
        chances = np.zeros(10)
        chances[bunch.target[first]] += weight
        chances[bunch.target[second]] += 1 - weight
        np.testing.assert_allclose(state.chances[row], chances, atol=1e-6)
        assert int(state.label[row]) == bunch.target[first if u[4] < weight else second]
        for place, v in enumerate(u[6:]):
            sources = (np.round(bunch.images[k].flat[place] * 255 / 16) for k in (first, second))
            clean = sum(share * grey for share, grey in zip((weight, 1 - weight), sources, strict=True))
            expected = 255 * v / (0.4 * u[5]) if v < 0.4 * u[5] else clean
            assert abs(int(state.image[row].flatten()[place]) - expected) <= 0.51


def test_labels_fall_as_often_as_the_chances_say():
    env = BatchedEnv(make_task(ID, blend=1), 50_000, seed=0)
    env.reset()
    stated, fell = env.state.chances.double(), torch.nn.functional.one_hot(env.state.label, 10).double()
    for low in np.arange(0.05, 0.95, 0.1):
        inside = (stated > low) & (stated <= low + 0.1)
        error = float((stated * (1 - stated))[inside].sum().sqrt() / inside.sum())
        assert abs(float(stated[inside].mean() - fell[inside].mean())) < 4 * error


def test_noise_replaces_as_many_pixels_as_the_option_says_by_uniform_greys():
    sources = make_task(ID, blend=0, corruption=0)
    task = make_task(ID, blend=0, corruption=0.5)
    noise = torch.rand(20_000, task.reset_noise, generator=torch.Generator().manual_seed(2))
    replaced = task.reset(noise).image != sources.reset(noise[:, :5]).image
    assert float(replaced.float().mean()) == pytest.approx(0.25 * 255 / 256, abs=0.003)
    greys = task.reset(noise).image[replaced & (noise[:, 5, None, None, None] > 0.2)].double().numpy()
    inner = greys[(greys > 20) & (greys < 120)]  # a grey that happens to be the digit's own is not seen as replaced
    assert stats.kstest((inner - 20.5 + np.random.default_rng(0).random(len(inner))) / 99, "uniform").statistic < 0.02


def test_the_log_score_is_minus_scikit_learn_s_log_loss():
    weights, labels, step = forecasts()
    probabilities = weights / weights.sum(1, keepdims=True)
    above = probabilities[np.arange(1000), labels] > 1e-3  # the rest is held at the floor
    expected = -log_loss(labels[above], probabilities[above], labels=range(10))
    assert float(step.reward[torch.from_numpy(above)].mean()) == pytest.approx(expected, abs=1e-5)
    assert above.sum() > 950
    assert float(step.reward.min()) >= math.log(1e-3) - 1e-5


def test_the_brier_score_is_the_squared_distance_from_the_truth():
    weights, labels, step = forecasts(score="brier")
    probabilities = weights / weights.sum(1, keepdims=True)
    expected = -((probabilities - np.eye(10)[labels]) ** 2).sum(1)
    np.testing.assert_allclose(step.reward, expected, atol=1e-6)


def test_accuracy_and_confidence_give_the_calibration_error_of_torchmetrics():
    weights, labels, step = forecasts()
    probabilities = torch.from_numpy(weights / weights.sum(1, keepdims=True))
    confidence, accuracy = (step.metrics[name].double().numpy() for name in ("confidence", "accuracy"))
    place = np.minimum((confidence * 15).astype(int), 14)
    gaps = [abs((confidence - accuracy)[place == m].sum()) for m in range(15)]
    reference = MulticlassCalibrationError(10, n_bins=15)(probabilities, torch.from_numpy(labels))
    assert sum(gaps) / 1000 == pytest.approx(float(reference), abs=1e-6)
    assert float(expected_calibration_error(probabilities, torch.from_numpy(labels))) == pytest.approx(float(reference))


@pytest.mark.parametrize(("score", "gap"), [("log", 0.5), ("brier", 1 / 3)])
def test_the_expert_reaches_the_mean_entropy_of_the_blend(score, gap):
    """For w uniform: the mean of -w ln w - (1-w) ln(1-w) is 1/2 nat, that of 2 w (1-w) is 1/3; equal classes cost 0."""
    shares = np.bincount(make_task(ID).labels) / len(make_task(ID).labels)
    for blend in (0.5, 1.0):
        played = measure(ID, {"score": score, "blend": blend, "corruption": 0.0}, episodes=2048)
        assert abs(played.expert + blend * gap * (1 - (shares**2).sum())) < 4 * played.expert_error


def test_no_weight_at_all_is_an_even_forecast():
    env = BatchedEnv(make_task(ID), 3, seed=0)
    env.reset()
    step = env.step(torch.zeros(3, 10))
    assert step.reward.tolist() == pytest.approx([math.log(0.1)] * 3)
    assert step.metrics["confidence"].tolist() == pytest.approx([0.1] * 3)


def test_a_certain_miss_costs_no_more_than_the_floor():
    env = BatchedEnv(make_task(ID), 50, seed=0)
    env.reset()
    wrong = torch.nn.functional.one_hot((env.state.label + 1) % 10, 10).float()
    assert env.step(wrong).reward.tolist() == pytest.approx([math.log(1e-3)] * 50)


@pytest.mark.parametrize(
    ("target", "change"),
    [("rotated", lambda image: np.rot90(image, axes=(2, 3))), ("inverted", lambda image: 255 - image)],
)
def test_another_domain_changes_what_is_seen_and_not_what_is_right(target, change):
    states = []
    for domain in ("source", "target"):
        env = BatchedEnv(make_task(ID, domain=domain, target=target, corruption=0.0, blend=0.0), 50, seed=3)
        env.reset()
        states.append(env.state)
    assert (states[1].image.numpy() == change(states[0].image.numpy())).all()
    assert torch.equal(states[1].label, states[0].label)
    assert torch.equal(states[1].chances, states[0].chances)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score": "brior"}, "Calibrate: score must be one of 'log', 'brier'; got 'brior'"),
        ({"corruption": 0.6}, "Calibrate: corruption must be a number from 0 to 0.5; got 0.6"),
        ({"target": "inked"}, "Calibrate: target must be one of 'inverted', 'rotated', 'textured'; got 'inked'"),
        ({"blend": -1}, "Calibrate: blend must be a number from 0 to 1; got -1"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(InvalidInput) as caught:
        make_task(ID, **options)
    assert str(caught.value).startswith(message)
