import math
from functools import partial

import numpy as np
import pytest
from scipy import stats

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios.statistics import (
    improvement_interval,
    interquartile_mean,
    normalised,
    paired_bootstrap,
    performance_profile,
    probability_of_improvement,
    profile_interval,
    stratified_bootstrap,
)

RNG = np.random.default_rng(7)


@pytest.mark.parametrize("runs", [1, 2, 3, 4, 5, 7, 8, 10, 33, 100])
@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_interquartile_mean_is_the_trimmed_mean(runs, axis):
    scores = RNG.normal(size=(runs, 5))
    np.testing.assert_allclose(interquartile_mean(scores, axis), stats.trim_mean(scores, 0.25, axis), rtol=1e-12)


def test_interquartile_mean_with_weights_of_a_worked_example():
    # Six runs of one scenario score 1 and weigh as much as the single 0 of another: 1/7 goes at each end, from the 0
    # below and from the ones above, and as much of each is left.
    assert interquartile_mean([1, 0, 1, 1, 1, 1, 1], weights=[1, 6, 1, 1, 1, 1, 1]) == pytest.approx(0.5)
    # Weights 1 3 1 1 2 of 8; a fifth, 1.6, goes at each end: all of 10 and 0.6 of 20; 1.6 of the 2 of 50.
    assert interquartile_mean([50, 30, 10, 20, 40], weights=[2, 1, 1, 3, 1]) == pytest.approx(
        (2.4 * 20 + 1 * 30 + 1 * 40 + 0.4 * 50) / 4.8
    )


@pytest.mark.parametrize("runs", [1, 4, 6, 11])
def test_equal_weights_change_nothing(runs):
    scores = RNG.normal(size=(3, runs))
    np.testing.assert_allclose(interquartile_mean(scores, weights=np.full(runs, 0.3)), interquartile_mean(scores))


def test_interquartile_mean_of_a_worked_example():
    # Sorted: 0 1 | 2 3 4 10 | 50 90, the middle four average 4.75.
    assert interquartile_mean([90, 0, 1, 2, 50, 3, 10, 4]) == 4.75


def test_the_bootstrap_of_one_scenario_agrees_with_scipy():
    runs = RNG.normal(0.6, 0.2, size=12)
    ours = stratified_bootstrap(runs[:, None], interquartile_mean, resamples=20_000)
    theirs = stats.bootstrap(
        (runs,), partial(stats.trim_mean, proportiontocut=0.25), n_resamples=20_000, method="percentile", rng=1
    ).confidence_interval
    np.testing.assert_allclose(ours, theirs, atol=0.01)


def test_the_bootstrap_resamples_each_scenario_on_its_own():
    # The scenarios' levels differ a thousandfold more than their runs: mixing them would widen the interval.
    scores = np.array([[0.0, 1000.0], [1.0, 1001.0], [2.0, 1002.0], [3.0, 1003.0]])
    low, high = stratified_bootstrap(scores, np.mean)
    assert 500 < low < 501.5 < high < 503


def test_the_bootstrap_takes_scenarios_with_differing_numbers_of_runs():
    scores = [[0.1, 0.2, 0.3], [0.4, 0.6], [0.5, 0.5, 0.5, 0.5]]
    low, high = stratified_bootstrap(scores, np.mean)
    pooled = np.concatenate([np.asarray(runs) for runs in scores]).mean()
    assert low < pooled < high
    columns = RNG.normal(size=(4, 3))
    assert stratified_bootstrap(columns) == stratified_bootstrap(list(columns.T))


def test_the_bootstrap_repeats_itself_and_narrows_with_confidence():
    scores = RNG.normal(size=(10, 4))
    wide, narrow = stratified_bootstrap(scores), stratified_bootstrap(scores, confidence=0.5)
    assert stratified_bootstrap(scores) == wide
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    trials = 200
    inside = 0
    for seed in range(trials):
        low, high = stratified_bootstrap(np.random.default_rng(seed).normal(size=(20, 3)), np.mean, resamples=500)
        inside += low < 0 < high
    assert 0.88 < inside / trials < 0.99


def test_a_single_run_has_no_interval():
    assert all(map(math.isnan, stratified_bootstrap(np.array([[0.5]]))))
    assert all(map(math.isnan, stratified_bootstrap([[0.5], [0.1, 0.2]])))


def test_performance_profile_of_a_worked_example():
    scores = [[0.2, 0.4, 0.6, 0.8], [0.5, 1.0]]
    profile = performance_profile(scores, [0.0, 0.4, 0.5, 1.0])
    np.testing.assert_allclose(profile, [1, (2 / 4 + 1) / 2, (2 / 4 + 1 / 2) / 2, 0])


def test_performance_profile_integrates_to_the_mean_of_scores_between_0_and_1():
    scores = RNG.random((50, 3))
    thresholds = np.linspace(0, 1, 4001)
    assert np.trapezoid(performance_profile(scores, thresholds), thresholds) == pytest.approx(scores.mean(), abs=1e-3)


def test_probability_of_improvement_is_the_mann_whitney_statistic():
    x, y = RNG.integers(0, 6, (8, 3)) / 5, RNG.integers(0, 6, (5, 3)) / 5  # with ties
    expected = [stats.mannwhitneyu(x[:, k], y[:, k]).statistic / 40 for k in range(3)]
    assert probability_of_improvement(x, y) == pytest.approx(np.mean(expected))
    assert probability_of_improvement(x, y) + probability_of_improvement(y, x) == pytest.approx(1)
    assert probability_of_improvement(x, x) == pytest.approx(0.5)


def test_each_row_of_weights_weighs_its_own_row_of_scores():
    scores, weights = RNG.normal(size=(6, 9)), RNG.random((6, 9))
    together = interquartile_mean(scores, weights=weights)
    alone = [interquartile_mean(row, weights=own) for row, own in zip(scores, weights, strict=True)]
    np.testing.assert_allclose(together, alone, rtol=1e-12)


def test_the_paired_bootstrap_of_one_scenario_agrees_with_scipys():
    x = RNG.normal(0.6, 0.2, size=15)
    y = x - RNG.normal(0.05, 0.05, size=15)
    ours = paired_bootstrap([x], [y], resamples=20_000)
    theirs = stats.bootstrap(
        (x, y), lambda x, y, axis: stats.trim_mean(x, 0.25, axis) - stats.trim_mean(y, 0.25, axis), n_resamples=20_000,
        paired=True, method="percentile", rng=1,
    ).confidence_interval  # fmt: skip
    np.testing.assert_allclose(ours, theirs, atol=0.005)


def test_the_paired_bootstrap_draws_scenarios_anew_too():
    # X is ahead by 1 on one scenario and behind by 1 on the other: drawn anew, either may stand alone.
    assert paired_bootstrap([[1.0, 1.0], [0.0, 0.0]], [[0.0, 0.0], [1.0, 1.0]]) == (-1, 1)
    assert paired_bootstrap([[1.0], [1.0]], [[0.5], [0.5]]) == (0.5, 0.5)
    assert all(map(math.isnan, paired_bootstrap([[1.0]], [[0.0]])))


def test_the_interval_of_a_profile_is_that_of_the_binomial():
    # Of 20 runs 10 score above 0.5; drawn anew the number is binomial.
    low, high = profile_interval([[0.0] * 10 + [1.0] * 10], [0.5, 2.0], resamples=20_000)
    assert low.tolist() == pytest.approx([stats.binom.ppf(0.025, 20, 0.5) / 20, 0])
    assert high.tolist() == pytest.approx([stats.binom.ppf(0.975, 20, 0.5) / 20, 0])
    assert np.isnan(profile_interval([[0.5]], [0.0])).all()


def test_the_interval_of_an_improvement_agrees_with_scipys_bootstrap_of_mann_whitneys_statistic():
    x, y = RNG.integers(0, 6, 9) / 5, RNG.integers(0, 5, 7) / 5
    ours = improvement_interval([x], [y], resamples=20_000)

    def share(x, y, axis):
        wins = (x[..., :, None] > y[..., None, :]) + 0.5 * (x[..., :, None] == y[..., None, :])
        return wins.mean((-1, -2))

    theirs = stats.bootstrap((x, y), share, n_resamples=20_000, method="percentile", rng=1).confidence_interval
    np.testing.assert_allclose(ours, theirs, atol=0.02)
    assert ours[0] < probability_of_improvement([x], [y]) < ours[1]
    assert all(map(math.isnan, improvement_interval([[1.0], [1.0, 2.0]], [[1.0, 2.0]] * 2)))


def test_normalised_puts_random_play_at_0_and_the_expert_at_1():
    assert normalised(0.1, 0.1, 1.0) == 0
    assert normalised(1.0, 0.1, 1.0) == 1
    assert normalised(-30.0, -50.0, -10.0) == 0.5
    assert math.isnan(normalised(1.0, 0.5, 0.5))
    assert math.isnan(normalised(1.0, math.nan, 0.5))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: interquartile_mean([]), r"scores must not be empty; got shape \(0,\)"),
        (lambda: stratified_bootstrap(np.zeros(3)), r"must be \(runs, scenarios\); got shape \(3,\)"),
        (lambda: stratified_bootstrap([]), "at least one scenario; got none"),
        (lambda: stratified_bootstrap([0.1, 0.2]), r"scores\[0\] must be the runs of one scenario; got shape \(\)"),
        (lambda: stratified_bootstrap([[0.1], []]), r"scores\[1\] must be the runs of one scenario; got shape \(0,\)"),
        (lambda: stratified_bootstrap([[0.1, math.nan]]), r"scores\[0\] must be finite; got nan"),
        (lambda: stratified_bootstrap([[0.1, 0.2]], confidence=95), "confidence must lie between 0 and 1; got 95"),
        (lambda: probability_of_improvement([[1.0]], [[1.0], [2.0]]), "must cover the same scenarios; got 1 and 2"),
    ],
)
def test_wrong_scores_are_refused(call, message):
    with pytest.raises(InvalidInput, match=message):
        call()


def waves(runs: int, shift: float) -> np.ndarray:
    """Scores (runs, 4), of which rliable was asked."""
    run, task = np.ogrid[:runs, :4]
    return np.round(0.5 + 0.4 * np.sin(1.7 * run + 0.9 * task * task + shift) + 0.05 * task, 3)


def test_what_rliable_says_of_the_same_scores():
    """Recorded from rliable 1.2.0 (Agarwal et al., 2021) on arch 8.0.0: 20,000 resamples, of improvement 2,000."""
    x, y = waves(5, 0.0), waves(6, 0.6)
    assert interquartile_mean(x, None) == pytest.approx(0.6307, abs=1e-5)
    assert interquartile_mean(y, None) == pytest.approx(0.58008, abs=1e-5)
    assert stratified_bootstrap(x, resamples=20_000) == pytest.approx((0.4281, 0.8081), abs=6e-3)
    assert stratified_bootstrap(y, resamples=20_000) == pytest.approx((0.41741, 0.74042), abs=6e-3)
    assert probability_of_improvement(x, y) == pytest.approx(0.53333, abs=1e-5)
    assert improvement_interval(x, y, resamples=20_000) == pytest.approx((0.35, 0.71667), abs=0.015)
    thresholds = np.linspace(0, 1, 6)
    assert performance_profile(x, thresholds) == pytest.approx([1.0, 0.9, 0.7, 0.5, 0.4, 0.05])
    low, high = profile_interval(x, thresholds, resamples=20_000)
    assert low == pytest.approx([1.0, 0.75, 0.5, 0.3, 0.2, 0.0], abs=1e-9)
    assert high == pytest.approx([1.0, 1.0, 0.9, 0.7, 0.6, 0.15], abs=1e-9)
