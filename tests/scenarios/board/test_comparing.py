"""Tie groups, rank intervals and what two standings come to beside each other."""

import math

import pytest

from palaestra.scenarios.board.comparing import Comparison, Place, compare, compare_all, places, scores_by_seed
from palaestra.tests.scenarios.board.conftest import row


def apart(*pairs: tuple[int, int]) -> dict[tuple[int, int], Comparison]:
    """Comparisons of which those named are clear, the first above the second."""
    above = Comparison(1, 0.1, 0.3, 0.9, 0.8, 1.0)
    return dict.fromkeys(pairs, above) | {pair[::-1]: above.reverse for pair in pairs}


def test_tie_groups_and_rank_intervals_of_a_worked_example():
    # The first is clearly above the last two; the second above the last; the third is not told from its neighbours.
    assert places(4, apart((0, 2), (0, 3), (1, 3))) == [
        Place(group=1, best=1, worst=2), Place(1, 1, 3), Place(2, 2, 4), Place(2, 3, 4),
    ]  # fmt: skip
    assert places(2, {}) == [Place(1, 1, 2), Place(1, 1, 2)]


def test_a_seed_that_does_the_same_to_both_does_not_hide_the_difference():
    luck = [0.1, 0.5, 0.9, 0.3, 0.7]
    better = {"a": [score + 0.05 for score in luck]}
    found = compare(better, {"a": luck})
    assert found.low == pytest.approx(0.05)
    assert found.high == pytest.approx(0.05)
    shuffled = compare({"a": better["a"][:4]}, {"a": luck})  # unlike numbers of runs cannot be paired
    assert shuffled.low < 0 < shuffled.high


def test_only_common_scenarios_count_and_the_reverse_is_the_other_way_round():
    x, y = {"a": [0.8, 0.9], "b": [0.1, 0.1]}, {"a": [0.5, 0.6], "c": [1.0, 1.0]}
    comparisons = compare_all([x, y, {"d": [0.0, 1.0]}])
    assert comparisons.keys() == {(0, 1), (1, 0)}
    found, back = comparisons[0, 1], comparisons[1, 0]
    assert (found.scenarios, found.improvement) == (1, 1)
    assert 0.2 <= found.low <= found.high <= 0.4
    assert (back.low, back.high, back.improvement) == (-found.high, -found.low, 0)


def test_single_runs_of_one_scenario_are_never_told_apart():
    comparisons = compare_all([{"a": [1.0]}, {"a": [0.0]}])
    assert math.isnan(comparisons[0, 1].low)
    assert places(2, comparisons) == [Place(1, 1, 2), Place(1, 1, 2)]


def test_scores_are_ordered_by_seed_so_that_they_pair():
    runs = {"a": [row("ppo", 2, 0.2), row("ppo", 0, 0.0), row("ppo", 1, None)], "b": [row("ppo", 0, None)]}
    assert scores_by_seed(runs) == {"a": [0.0, 0.2]}
