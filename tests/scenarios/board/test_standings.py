"""Standings: what counts together, and who ranks above whom."""

import json
import math
import random

import numpy as np
import pytest
from scipy import stats

from palaestra.scenarios.board.ranking import rank_by_common
from palaestra.tests.scenarios.board.conftest import row


def test_a_standing_has_the_interquartile_mean_and_the_means_over_seeds(board):
    scores = [0.1, 0.9, 0.8, 0.85, 0.95]
    for seed, score in enumerate(scores):
        board.add(row("ppo", seed, score, metrics={"accuracy": score}, seconds=10.0 + seed))
    (standing,) = board.table("digits")
    assert (standing.scenario, standing.agent, standing.scenarios, standing.seeds) == ("digits", "ppo", 1, 5)
    assert standing.score == pytest.approx(stats.trim_mean(scores, 0.25))
    assert standing.low < standing.score < standing.high
    assert standing.return_mean == pytest.approx(0.1 + 0.9 * np.mean(scores))
    assert standing.metrics == {"accuracy": pytest.approx(np.mean(scores))}
    assert standing.seconds == pytest.approx(12)
    assert standing.steps == 400_000


def test_standings_come_best_first(board):
    for agent, score in [("dqn", 0.5), ("ppo", 0.9), ("random", 0.0), ("unscored", None)]:
        board.add(row(agent, 0, score))
    assert [standing.agent for standing in board.table("digits")] == ["ppo", "dqn", "random", "unscored"]


def test_without_a_reference_the_return_decides(board):
    board.add(row("a", 0, None, return_mean=20.0))
    board.add(row("b", 0, None, return_mean=200.0))
    assert [standing.agent for standing in board.table("digits")] == ["b", "a"]
    assert all(math.isnan(standing.score) for standing in board.table("digits"))


def test_the_latest_run_of_a_seed_counts(board):
    board.add(row("ppo", 0, 0.9, run_id="new", finished_at="2025-02-01T00:00:00+00:00"))
    board.add(row("ppo", 0, 0.1, run_id="old", finished_at="2025-01-01T00:00:00+00:00"))
    (standing,) = board.table("digits")
    assert (standing.score, standing.seeds) == (0.9, 1)


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_of_runs_of_one_moment_the_greater_id_counts_whichever_came_first(board, order):
    for run_id in order:
        board.add(row("ppo", 0, {"a": 0.1, "b": 0.9}[run_id], run_id=run_id))
    (standing,) = board.table("digits")
    assert standing.score == 0.9


def test_runs_of_unlike_configurations_make_standings_of_their_own(board):
    for seed in range(3):
        board.add(row("ppo", seed, 0.7, configuration="full", label="ppo"))
    board.add(row("ppo", 0, 0.1, run_id="smoke", configuration="short", label="ppo steps=2k", steps=2000))
    board.add(row("ppo", 1, 0.2, run_id="odd", configuration="odd", label="ppo gamma=0.5"))
    found = {standing.label: (standing.seeds, standing.score, standing.steps) for standing in board.table("digits")}
    assert found == {
        "ppo": (3, pytest.approx(0.7), 400_000), "ppo gamma=0.5": (1, 0.2, 400_000), "ppo steps=2k": (1, 0.1, 2000),
    }  # fmt: skip
    assert {standing.label for standing in board.table()} == set(found)


def test_two_labels_of_one_configuration_are_two_standings(board):
    board.add(row("ppo", 0, 0.5, configuration="x", label="before my fix"))
    board.add(row("ppo", 0, 0.7, run_id="later", configuration="x", label="after my fix"))
    assert [(s.label, s.score) for s in board.table("digits")] == [("after my fix", 0.7), ("before my fix", 0.5)]


def test_configurations_that_share_a_label_are_told_apart(board):
    board.add(row("ppo", 0, 0.5, configuration="aaaaaaaa", label="mine"))
    board.add(row("ppo", 0, 0.6, run_id="b", configuration="bbbbbbbb", label="mine"))
    assert [s.label for s in board.table("digits")] == ["mine #bbbbbb", "mine #aaaaaa"]


def test_runs_that_tell_no_configuration_count_together_only_with_equal_steps_and_episodes(board):
    board.add(row("ppo", 0, 0.7))
    board.add(row("ppo", 1, 0.7, version="0.2.0"))
    board.add(row("ppo", 2, 0.1, steps=2000))
    board.add(row("ppo", 3, 0.2, episodes=5))
    board.add(row("ppo", 4, 0.3, version="1.0.0"))
    assert sorted((s.seeds, s.score) for s in board.table("digits")) == [
        (1, 0.1), (1, 0.2), (1, 0.3), (2, pytest.approx(0.7)),
    ]  # fmt: skip


def test_over_all_scenarios_each_weighs_the_same(board):
    for seed in range(6):
        board.add(row("ppo", seed, 1.0, scenario="digits"))
    board.add(row("ppo", 0, 0.3, scenario="tabular"))
    board.add(row("dqn", 0, 0.1, scenario="tabular"))
    ppo, dqn = board.table()
    assert (ppo.scenario, ppo.agent, ppo.scenarios, ppo.seeds) == ("all", "ppo", 2, 1)
    assert ppo.score == pytest.approx(0.65)
    assert math.isnan(ppo.low)  # tabular has a single seed
    assert math.isnan(ppo.return_mean)
    assert ppo.metrics == {}
    assert (dqn.scenarios, dqn.score) == (1, pytest.approx(0.1))
    assert ppo.scenarios_in_all == dqn.scenarios_in_all == 2


def test_one_easy_scenario_does_not_rank_above_three_of_which_that_one_was_done_better(board):
    for seed in range(3):
        for scenario, score in [("easy", 0.95), ("middle", 0.8), ("hard", 0.5)]:
            board.add(row("complete", seed, score, scenario=scenario))
        board.add(row("only-easy", seed, 0.9, scenario="easy"))
        board.add(row("random", seed, 0.0, scenario="easy"))
        board.add(row("random", seed, 0.0, scenario="middle"))
        board.add(row("only-middle", seed, 0.85, scenario="middle"))
    ranked = [(s.agent, s.scenarios) for s in board.table()]
    assert ranked == [("only-middle", 1), ("complete", 3), ("only-easy", 1), ("random", 2)]


def test_nobody_ranks_above_one_who_did_as_much_and_did_it_better():
    draw = random.Random(0)
    for _ in range(200):
        scores = {
            agent: {name: [draw.random()] for name in draw.sample("abcde", draw.randint(1, 5))} for agent in range(7)
        }
        mean = lambda strata: float(np.mean(strata))  # noqa: E731
        ranked = rank_by_common(scores, mean)
        assert sorted(ranked) == sorted(scores)
        for place, better in enumerate(ranked):
            for worse in ranked[place + 1 :]:
                if scores[worse].keys() >= scores[better].keys():
                    common = scores[better].keys()
                    assert mean([scores[better][n] for n in common]) >= mean([scores[worse][n] for n in common])


def test_over_all_scenarios_the_interval_is_stratified(board):
    for seed in range(4):
        board.add(row("ppo", seed, 0.9 + 0.01 * seed, scenario="digits"))
        board.add(row("ppo", seed, 0.1 + 0.01 * seed, scenario="tabular"))
    (standing,) = board.table()
    assert standing.seeds == 4
    assert standing.score == pytest.approx(stats.trim_mean([0.9, 0.91, 0.92, 0.93, 0.1, 0.11, 0.12, 0.13], 0.25))
    assert standing.high - standing.low < 0.05


def test_a_standing_is_plain_json(board):
    board.add(row("ppo", 0, 0.9, metrics={"bleu": math.nan, "accuracy": 0.9}))
    values = json.loads(json.dumps(board.table("digits")[0].to_json(), allow_nan=False))
    assert values["low"] is None
    assert values["score"] == 0.9
    assert values["metrics"] == {"bleu": None, "accuracy": 0.9}
