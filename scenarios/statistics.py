"""Statistics over few runs: interquartile mean, bootstraps, performance profile, probability of improvement.

Source: Agarwal, Schwarzer, Castro, Courville and Bellemare (2021), "Deep Reinforcement Learning at the Edge of the
Statistical Precipice".

Scores are an array (runs, scenarios), or a list with one sequence of runs per scenario where their numbers differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..neural_blocks.errors import InvalidInput

Array = NDArray[np.float64]
Scores = NDArray[np.floating] | Sequence[ArrayLike]


def normalised(return_: float, random: float, expert: float) -> float:
    """The return on the scale on which random play is 0 and the expert 1; NaN where the two do not differ."""
    return (return_ - random) / (expert - random) if expert != random else math.nan


def interquartile_mean(scores: ArrayLike, axis: int | None = -1, weights: ArrayLike | None = None) -> Array:
    """The mean of the middle half: the lowest and the highest quarter of the scores are left out.

    Of n scores floor(n / 4) are left out at each end, as in `scipy.stats.trim_mean(scores, 0.25)`.

    Args:
        scores: any shape.
        axis: the axis to reduce; None means all of them.
        weights: (n,) or the scores' shape: relative weight of each score along that axis, equal by default. Of the
            whole weight the share floor(n / 4) / n is left out at each end; a score on the border counts with the part
            that is kept.

    Returns:
        The scores' shape without that axis.
    """
    values = np.asarray(scores, dtype=np.float64)
    values = values.ravel() if axis is None else np.moveaxis(values, axis, -1)  # (..., n)
    count = values.shape[-1]
    if not count:
        raise InvalidInput(f"interquartile_mean: scores must not be empty; got shape {np.shape(scores)}")
    share = np.ones(count) if weights is None else np.asarray(weights, dtype=np.float64)
    order = values.argsort(-1)
    values = np.take_along_axis(values, order, -1)
    share = np.take_along_axis(np.broadcast_to(share / share.sum(-1, keepdims=True), values.shape), order, -1)
    end = share.cumsum(-1)  # the scores lie side by side on [0, 1], each as wide as its weight
    quarter = (count // 4) / count
    kept = (end.clip(max=1 - quarter) - (end - share).clip(min=quarter)).clip(min=0)
    return np.asarray((values * kept).sum(-1) / kept.sum(-1))


def stratified_bootstrap(
    scores: Scores,
    statistic: Callable[..., Array] = interquartile_mean,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """A percentile interval of a statistic, resampling the runs of each scenario on their own.

    Args:
        scores: (runs, scenarios), or one sequence of runs per scenario.
        statistic: called as `statistic(pooled, axis=-1)` with all runs of the first scenario, then of the second, and
            so on, (resamples, runs of all scenarios); such as `interquartile_mean` or `np.mean`.
        resamples: how often the runs are drawn anew.
        confidence: the share of resamples within the interval.
        seed: of the resampling; the same seed gives the same interval.

    Returns:
        The ends of the interval; (nan, nan) if any scenario has a single run, because one run tells nothing about how
        much runs differ and an interval of zero width would claim that they do not.
    """
    strata = _strata("stratified_bootstrap", scores)
    if not 0 < confidence < 1:
        raise InvalidInput(f"stratified_bootstrap: confidence must lie between 0 and 1; got {confidence!r}")
    if min(map(len, strata)) < 2:
        return math.nan, math.nan
    generator = np.random.default_rng(seed)
    drawn = [runs[generator.integers(0, len(runs), (resamples, len(runs)))] for runs in strata]
    values = statistic(np.concatenate(drawn, axis=1), axis=-1)  # (resamples,)
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def paired_bootstrap(
    x: Scores,
    y: Scores,
    weighted: Callable[..., Array] = interquartile_mean,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """A percentile interval of a statistic's difference, X's less Y's, over scenarios and seeds drawn anew together.

    In each resample the scenarios are drawn with replacement, the same for both, and within a scenario the runs: where
    both have equally many, run i of X stays with run i of Y, so that what a seed does to both cancels out; else each
    draws its own.

    Args:
        x, y: as in `stratified_bootstrap`, over the same scenarios.
        weighted: called as `weighted(pooled, axis=-1, weights=weights)`; each scenario drawn weighs the same.
        resamples, confidence, seed: see `stratified_bootstrap`.

    Returns:
        The ends of the interval; (nan, nan) where there is one scenario with a single run of either.
    """
    ours, theirs = _pair("paired_bootstrap", x, y)
    if len(ours) == 1 and min(len(ours[0]), len(theirs[0])) < 2:
        return math.nan, math.nan
    generator = np.random.default_rng(seed)
    drawn = generator.integers(0, len(ours), (resamples, len(ours)))
    times = (drawn[:, :, None] == np.arange(len(ours))).sum(1)  # (resamples, scenarios)
    values: tuple[list[Array], list[Array]] = ([], [])
    for mine, other in zip(ours, theirs, strict=True):
        chosen = generator.integers(0, len(mine), (resamples, len(mine)))
        values[0].append(mine[chosen])
        paired = len(mine) == len(other)
        values[1].append(other[chosen if paired else generator.integers(0, len(other), (resamples, len(other)))])
    sides = []
    for strata in values:
        weights = [np.repeat(times[:, [k]] / part.shape[1], part.shape[1], 1) for k, part in enumerate(strata)]
        sides.append(weighted(np.concatenate(strata, 1), axis=-1, weights=np.concatenate(weights, 1)))
    low, high = np.quantile(sides[0] - sides[1], [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def performance_profile(scores: Scores, thresholds: ArrayLike) -> Array:
    """The share of runs that score above each threshold, averaged over scenarios; (thresholds,)."""
    above = np.asarray(thresholds, dtype=np.float64)[:, None]
    return np.mean([(runs > above).mean(1) for runs in _strata("performance_profile", scores)], axis=0)


def profile_interval(
    scores: Scores, thresholds: ArrayLike, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
) -> tuple[Array, Array]:
    """The ends of the profile's pointwise interval, (thresholds,) each, by the stratified bootstrap; NaN as there."""
    strata = _strata("profile_interval", scores)
    at = np.asarray(thresholds, dtype=np.float64)
    if min(map(len, strata)) < 2:
        return np.full(len(at), math.nan), np.full(len(at), math.nan)
    generator = np.random.default_rng(seed)
    profile = np.zeros((resamples, len(at)))
    for runs in strata:
        drawn = generator.multinomial(len(runs), np.full(len(runs), 1 / len(runs)), resamples)  # (resamples, runs)
        profile += drawn / len(runs) @ (runs[:, None] > at)
    low, high = np.quantile(profile / len(strata), [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return low, high


def probability_of_improvement(x: Scores, y: Scores) -> float:
    """The chance that a run of X beats a run of Y on a scenario drawn at random; a tie counts as half a win.

    Within a scenario it is the Mann-Whitney statistic U / (n m) of X's n and Y's m runs.
    """
    ours, theirs = _pair("probability_of_improvement", x, y)
    return float(np.mean([_wins(mine, other).mean() for mine, other in zip(ours, theirs, strict=True)]))


def improvement_interval(
    x: Scores, y: Scores, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """A percentile interval of the probability of improvement, X's and Y's runs drawn anew within each scenario.

    (nan, nan) if a scenario has a single run of either, see `stratified_bootstrap`.
    """
    ours, theirs = _pair("improvement_interval", x, y)
    if min(map(len, [*ours, *theirs])) < 2:
        return math.nan, math.nan
    generator = np.random.default_rng(seed)
    found = np.zeros(resamples)
    for mine, other in zip(ours, theirs, strict=True):
        times = [
            generator.multinomial(len(runs), np.full(len(runs), 1 / len(runs)), resamples) for runs in (mine, other)
        ]
        found += np.einsum("rn,nm,rm->r", times[0] / len(mine), _wins(mine, other), times[1] / len(other))
    low, high = np.quantile(found / len(ours), [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _wins(mine: Array, other: Array) -> Array:
    """(n, m): 1 where a run of the one beats a run of the other, half where they tie."""
    return (mine[:, None] > other) + 0.5 * (mine[:, None] == other)


def _pair(what: str, x: Scores, y: Scores) -> tuple[list[Array], list[Array]]:
    """The strata of two, of which there must be equally many."""
    ours, theirs = _strata(what, x), _strata(what, y)
    if len(ours) != len(theirs):
        raise InvalidInput(f"{what}: x and y must cover the same scenarios; got {len(ours)} and {len(theirs)}")
    return ours, theirs


def _strata(what: str, scores: Scores) -> list[Array]:
    """One array of runs per scenario."""
    if isinstance(scores, np.ndarray):
        if scores.ndim != 2:
            raise InvalidInput(f"{what}: an array of scores must be (runs, scenarios); got shape {scores.shape}")
        scores = list(scores.T)
    strata = [np.asarray(runs, dtype=np.float64) for runs in scores]
    if not strata:
        raise InvalidInput(f"{what}: scores must hold at least one scenario; got none")
    for index, runs in enumerate(strata):
        if runs.ndim != 1 or not len(runs):
            raise InvalidInput(f"{what}: scores[{index}] must be the runs of one scenario; got shape {runs.shape}")
        if not np.isfinite(runs).all():
            raise InvalidInput(f"{what}: scores[{index}] must be finite; got {runs[~np.isfinite(runs)][0]}")
    return strata
