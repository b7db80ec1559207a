"""How numbers read."""

import math

import pytest

from palaestra.envs.drawing.wording import count, duration, fixed, number, score, several


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0.939999, "0.94"), (-1.86517e-14, "0"), (-0.0, "0"), (1.0, "1"), (-200.0, "-200"), (31415.926, "31,416"),
        (0.00012, "0.00012"), (1234.56, "1,235"), (0.1 + 0.2, "0.3"), (9.99999, "10"), (1e20, "1e+20"),
        (-13.37, "-13.37"),
        (math.inf, "inf"), (math.nan, "nan"), (2, "2"), (999.95, "1,000"), (12.0001, "12"),
    ],
)  # fmt: skip
def test_a_number_reads_as_a_person_would_write_it(value: float, told: str) -> None:
    assert number(value) == told


def test_fixed_decimals_are_never_a_negative_zero() -> None:
    assert [fixed(value, 3) for value in (-0.0004, 0.0, -0.0006, 1.0)] == ["0.000", "0.000", "-0.001", "1.000"]
    assert [fixed(1234.5, 1), fixed(math.nan, 2), fixed(-math.inf, 2)] == ["1,234.5", "nan", "-inf"]


def test_scores_of_a_column_line_up() -> None:
    assert [score(v) for v in (0.5, -0.0001, 9.9999, 42, 999.99, 12345.6, math.nan)] == [
        "0.500", "0.000", "10.0", "42.0", "1,000", "12,346", "",
    ]  # fmt: skip


def test_counts_and_durations_are_short() -> None:
    assert [count(n) for n in (800, 400_000, 999_949, 999_950, 1_250_000)] == ["800", "400k", "999.9k", "1M", "1.25M"]
    assert [duration(s) for s in (4.21, 12.3, 59.6, 185, 7800, math.nan)] == [
        "4.2s",
        "12s",
        "1m00s",
        "3m05s",
        "2h10m",
        "",
    ]


def test_one_of_a_kind_has_no_plural() -> None:
    assert [several(n, "episode") for n in (0, 1, 2, 1000)] == [
        "0 episodes",
        "1 episode",
        "2 episodes",
        "1,000 episodes",
    ]
