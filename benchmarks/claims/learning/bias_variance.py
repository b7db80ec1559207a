"""Bias and variance of fits by how flexible they are: what the error of a forecast is made of."""

from __future__ import annotations

import numpy as np

from ..frame import Claim, Lines

DEGREES, ROWS, NOISE, FITS = (0, 1, 2, 3, 5, 7, 9), 14, 0.3, 200
PLACES = np.linspace(-0.9, 0.9, 50)


def curve(x: np.ndarray) -> np.ndarray:
    """What is to be found."""
    return np.sin(2.5 * x)


def measure(seed: int) -> Lines:
    """Squared bias, variance and error of polynomials by degree, over many sets of rows."""
    draws = np.random.default_rng(seed)
    found: dict[str, dict[int, float]] = {"squared bias": {}, "variance": {}, "error": {}}
    rows = np.linspace(-1, 1, ROWS)
    told = curve(rows) + NOISE * draws.normal(size=(FITS, ROWS))
    fresh = curve(PLACES) + NOISE * draws.normal(size=(FITS, len(PLACES)))
    for degree in DEGREES:
        weights = np.linalg.lstsq(np.vander(rows, degree + 1), told.T, rcond=None)[0]  # least squares, (degree + 1, F)
        forecast = (np.vander(PLACES, degree + 1) @ weights).T  # (F, places)
        found["squared bias"][degree] = float(((forecast.mean(0) - curve(PLACES)) ** 2).mean())
        found["variance"][degree] = float(forecast.var(0).mean())
        found["error"][degree] = float(((forecast - fresh) ** 2).mean())
    return found


CLAIM = Claim(
    title="Bias and variance by degree",
    says="What bends too little errs in the mean, what bends too much follows the noise; the error of a forecast is "
    "squared bias, variance and noise, and is least in between (Geman, Bienenstock and Doursat, 1992).",
    how=f"Polynomials fitted by least squares to {ROWS} rows of sin(2.5 x) with noise of {NOISE:g}, {FITS} sets of "
    f"rows; squared bias and variance of the forecast over {len(PLACES)} places, and its error "
    "against fresh noisy rows.",
    measure=measure,
    statements=(
        (
            "at degree 0 squared bias outweighs variance",
            lambda found: found.above(("squared bias", 0), ("variance", 0)),
        ),
        (
            "at degree 9 variance outweighs squared bias",
            lambda found: found.above(("variance", 9), ("squared bias", 9)),
        ),
        ("variance grows from degree 1 to 9", lambda found: found.above(("variance", 9), ("variance", 1))),
        (
            "the error at degree 3 is below that at 0 and at 9",
            lambda found: found.above(("error", 0), ("error", 3)) and found.above(("error", 9), ("error", 3)),
        ),
        (
            "at every degree the error is bias, variance and noise, within 3 %",
            lambda found: all(
                abs(
                    found.mean("error", degree)
                    / (found.mean("squared bias", degree) + found.mean("variance", degree) + NOISE**2)
                    - 1
                )
                < 0.03
                for degree in DEGREES
            ),
        ),
    ),
    value="of the forecast, squared",
    across="degree of the polynomial",
)
