"""The score table: its rows against exact values, its zero, and how a row is found and made."""

from __future__ import annotations

import json
import math

import gymnasium.spaces as spaces
import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_wine

import palaestra.envs as envs
from palaestra.envs import Scores, score_table
from palaestra.envs.core.splits import SPLITS, split_rows
from palaestra.envs.score_table import EPISODES, SEED, TABLE, constants, key, measure, remake
from palaestra.neural_blocks.errors import InvalidInput

ROWS = json.loads(TABLE.read_text())


def scores(name, **options):
    return envs.scores(f"palaestra/{name}-v0", **options)


def made(random=0.0, trivial=0.0, expert=1.0):
    return Scores(random, 0.01, trivial, 0.01, 3, expert, 0.01, 100, 0)


def test_random_play_scores_0_unless_a_constant_action_is_clearly_better():
    assert (made(trivial=-1).floor, made(trivial=-1).floor_policy) == (0, "random")
    assert (made(trivial=0.05).floor, made(trivial=0.05).floor_policy) == (0, "random")
    assert (made(trivial=0.06).floor, made(trivial=0.06).floor_policy) == (0.06, "always 3")
    assert made(random=-50, trivial=-20, expert=-10).floor == -20


def test_there_is_no_scale_where_a_constant_action_is_as_good_as_the_expert():
    assert math.isnan(made(trivial=1).floor)
    assert math.isnan(made(trivial=1.5).floor)
    assert math.isnan(scores("GANGame", player="discriminator").floor)  # one half is all that is to be said of samples
    assert made(expert=math.nan).floor == 0  # without an expert there is no scale either, and random play stays known


def test_no_constant_action_scores_more_than_a_twentieth():
    for place, row in ROWS.items():
        known = Scores(**row)
        if not math.isnan(known.floor):
            assert (known.trivial - known.floor) / (known.expert - known.floor) <= 0.05, place


def test_every_row_says_from_which_episodes_it_is_and_how_sure():
    for row in ROWS.values():
        assert (row["episodes"], row["seed"]) == (EPISODES, SEED)
        for policy in ("random", "trivial", "expert"):
            assert 0 <= row[f"{policy}_error"] < 0.012 * max(1, abs(row["expert"] - row["random"]))


def test_passing_on_every_digit_scores_0():
    for split in ("validation", "test"):
        known = scores("AttackDefend", player="defender", opponent="pgd", split=split)
        assert (known.trivial, known.trivial_action, known.floor) == (0, 10, 0)  # 10 passes, for nothing


def within(name, value, policy, **options):
    known = scores(name, **options)
    return abs(getattr(known, policy) - value) <= 4 * getattr(known, f"{policy}_error") + 1e-6


@pytest.mark.parametrize(("dataset", "load"), [("wine", load_wine), ("breast-cancer", load_breast_cancer)])
def test_the_commonest_class_is_right_as_often_as_it_comes(dataset, load):
    target = load().target
    for split in SPLITS:
        share = np.bincount(target[split_rows(target, split)]) / len(split_rows(target, split))
        assert scores("TabularBandit", dataset=dataset, split=split).trivial_action == share.argmax()
        assert within("TabularBandit", share.max(), "trivial", dataset=dataset, split=split)
        assert within("TabularBandit", 1 / len(share), "random", dataset=dataset, split=split)


def test_constant_actions_earn_what_can_be_computed():
    digits = load_digits().target[split_rows(load_digits().target, "train")]
    guess = scores("DigitBandit").trivial_action
    assert within("DigitBandit", (digits == guess).mean(), "trivial")
    assert scores("Calibrate").trivial == pytest.approx(-math.log(10), abs=1e-6)  # equal odds
    assert scores("Calibrate", score="brier").trivial == pytest.approx(-0.9, abs=1e-6)
    assert within("RepeatPrevious", -0.5, "trivial")  # one of four, and 1 for right, -1 for wrong, is -0.5
    assert within("BernoulliBandit", 5, "trivial")  # ten pulls of an arm of mean 1/2
    assert within("FewShot", 0.2, "trivial")
    amplitude = (5**3 - 0.1**3) / 3 / 4.9  # the mean square of one uniform from 0.1 to 5
    points = envs.make_task("palaestra/Sinusoid-v0").horizon
    assert within("Sinusoid", -points * amplitude / 2, "trivial")
    assert scores("LatentSearch").trivial == 0  # who does not move comes no nearer


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("DigitBandit", {"split": "validation"}),
        ("TabularBandit", {"dataset": "wine", "split": "test"}),
        ("Calibrate", {"score": "brier"}),
        ("Copy", {}),
        ("NextSymbol", {}),
        ("GANGame", {"player": "discriminator", "opponent": "collapsed"}),
    ],
)
def test_a_row_is_played_again_on_other_episodes_within_four_standard_errors(monkeypatch, name, options):
    stated = scores(name, **options)
    monkeypatch.setattr(score_table, "SEED", 2**43)
    played = measure(f"palaestra/{name}-v0", options, episodes=2048, constant=stated.trivial_action)
    assert (played.episodes, played.seed) == (2048, 2**43)
    for policy in ("random", "trivial", "expert"):
        error = math.hypot(getattr(stated, f"{policy}_error"), getattr(played, f"{policy}_error"))
        assert abs(getattr(stated, policy) - getattr(played, policy)) <= 4 * error + 1e-6


def test_a_row_made_again_is_the_same():
    first, second = (measure("palaestra/NextSymbol-v0", {}, 256) for _ in range(2))
    assert first == second


def test_no_other_constant_action_earns_more_than_the_one_stated():
    stated, id = scores("NextSymbol"), "palaestra/NextSymbol-v0"
    each = [measure(id, {}, 1024, constant=symbol) for symbol in range(envs.make_task(id).action_space.n)]
    best = max(each, key=lambda played: played.trivial)
    assert best.trivial_action == stated.trivial_action
    assert abs(best.trivial - stated.trivial) <= 4 * math.hypot(best.trivial_error, stated.trivial_error)


def test_options_that_are_the_defaults_find_the_row_of_the_defaults():
    assert key("palaestra/DigitBandit-v0", {"split": "train", "cache": None}) == "palaestra/DigitBandit-v0"
    assert key("palaestra/BernoulliBandit-v0", {"episodes": 10}) == "palaestra/BernoulliBandit-v0"
    assert key("palaestra/GANGame-v0", {"player": "generator", "opponent": "against-uniform"}) == "palaestra/GANGame-v0"
    assert key("palaestra/GANGame-v0", {"opponent": "against-blurred"}).endswith('{"opponent": "against-blurred"}')
    defended = {"player": "defender", "opponent": "pgd"}
    assert key("palaestra/AttackDefend-v0", defended) == 'palaestra/AttackDefend-v0 {"player": "defender"}'
    assert key("palaestra/RepeatPrevious-v0", {"delay": np.int64(1)}) == key(
        "palaestra/RepeatPrevious-v0", {"delay": 1}
    )
    assert key("palaestra/DigitBandit-v0", {"splt": None}) == 'palaestra/DigitBandit-v0 {"splt": null}'
    assert key("palaestra/PixelCanvas-v0", {"request": 1}) == 'palaestra/PixelCanvas-v0 {"request": 1}'  # not True


def test_scores_of_options_without_a_row_are_played():
    known = scores("Recall", keys=3, values=2, pairs=2, queries=1)
    assert known.expert == pytest.approx(1)
    assert abs(known.trivial) <= 4 * known.trivial_error
    with pytest.raises(InvalidInput, match="DigitBandit: split must be one of"):
        scores("DigitBandit", split=object())


def test_the_constants_tried_are_all_of_few_and_a_ladder_of_many():
    assert constants(spaces.Discrete(3, start=-1)).tolist() == [-1, 0, 1]
    assert len(constants(spaces.Discrete(1000))) == 64
    ladder = constants(spaces.Box(np.array([0, -1], "f"), np.array([1, 1], "f")))
    assert ladder.tolist() == pytest.approx(np.array([np.linspace(0, 1, 11), np.linspace(-1, 1, 11)]).T, abs=1e-6)
    assert constants(spaces.MultiDiscrete([2, 3])).tolist() == [[0, 0], [0, 1], [1, 1], [1, 2]]
    assert constants(spaces.MultiBinary(2)).tolist() == [[0, 0], [1, 1]]
    assert constants(spaces.Box(-np.inf, np.inf, (2,))).tolist() == [[0, 0]]


def test_a_table_is_remade_for_the_environments_named(monkeypatch, tmp_path, capsys):
    before = json.loads(score_table.TABLE.read_text())
    monkeypatch.setattr(score_table, "_table", lambda: dict(before))
    monkeypatch.setattr(score_table, "TABLE", tmp_path / "scores.json")
    monkeypatch.setattr(score_table, "EPISODES", 64)
    remake(["RepeatPrevious"])
    after = json.loads(score_table.TABLE.read_text())
    assert after.keys() == before.keys()
    changed = [place for place in after if after[place] != before[place]]
    assert changed == [place for place in sorted(after) if place.startswith("palaestra/RepeatPrevious-v0")]
    assert all(after[place]["episodes"] == 64 for place in changed)
    with pytest.raises(InvalidInput, match="did you mean 'RepeatPrevious'"):
        remake(["RepeatPreviou"])
