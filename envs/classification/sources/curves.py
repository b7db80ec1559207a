"""Curves to be fitted: polynomials with fixed coefficients, and noisy rows of them."""

from __future__ import annotations

from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

HEIGHT = 0.8
"""The largest magnitude of a curve."""
REACH = 1.5
"""The largest magnitude of an answer, and of an outlier."""


def curve(degree: int) -> Values:
    """The coefficients (degree + 1,) of the suite's polynomial of a degree, in Chebyshev's basis on [-1, 1].

    They are drawn with a fixed seed and scaled, so that the curve reaches 0.8 and no more; the highest is at least a
    half of the largest, so that no lower degree comes near.
    """
    coefficients = np.random.RandomState(1000 + degree).uniform(-1, 1, degree + 1)  # NumPy never changes it
    largest = np.abs(coefficients).max()
    coefficients[-1] = np.copysign(max(abs(coefficients[-1]), largest / 2), coefficients[-1])
    height = np.abs(np.polynomial.chebyshev.chebval(np.linspace(-1, 1, 10_001), coefficients)).max()
    return coefficients * (HEIGHT / height)


def draw_rows(
    coefficients: Values, count: int, split: str, noise: float, *, growing: bool, outliers: float
) -> tuple[Values, Values, Values]:
    """Rows of a curve: x, y and the curve's value at x, each (count,).

    Fewer rows are the first of more, so that data sets of one curve grow.

    Args:
        coefficients: in Chebyshev's basis.
        count: N.
        split: each has rows of its own.
        noise: deviation of y around the curve.
        growing: let it grow from 0 at x = -1 to twice `noise` at x = 1.
        outliers: share of rows whose y is uniform on [-1.5, 1.5] instead.
    """
    drawn = np.random.RandomState(crc32(split.encode())).random_sample((count, 4))
    x: Values = 2 * drawn[:, 0] - 1
    mean: Values = np.asarray(np.polynomial.chebyshev.chebval(x, coefficients), np.float64)
    normal = _normal(drawn[:, 1])
    y = mean + noise * (x + 1 if growing else 1.0) * normal
    y = np.where(drawn[:, 2] < outliers, REACH * (2 * drawn[:, 3] - 1), y)
    return x, y.astype(np.float64), mean


def _normal(uniform: Values) -> Values:
    from scipy.special import ndtri

    return np.asarray(ndtri(np.clip(uniform, 1e-9, 1 - 1e-9)))
