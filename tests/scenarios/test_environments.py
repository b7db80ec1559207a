"""What a scenario's returns are normalised with."""

from __future__ import annotations

import json

import pytest

from palaestra.envs import ids, make_task, scores
from palaestra.envs.registry import each_task
from palaestra.envs.score_table import TABLE, key
from palaestra.scenarios import catalogue
from palaestra.scenarios.environments import score


def test_a_defender_who_passes_on_everything_scores_0_and_the_expert_1():
    scenario = catalogue.get("attack-defend")
    assert score(scenario, 0.0) == 0
    assert score(scenario, 1.0) == pytest.approx(1)
    assert score(scenario, -0.5) < 0


def test_an_empty_canvas_scores_0():
    known = scores("palaestra/PixelCanvas-v0")
    assert known.trivial_action == 0
    assert score(catalogue.get("pixel-canvas"), known.trivial) == 0
    assert score(catalogue.get("pixel-canvas"), known.expert) == 1


def test_random_play_scores_0_where_no_constant_action_is_clearly_better():
    assert score(catalogue.get("digits"), scores("palaestra/DigitBandit-v0", split="test").random) == 0


def test_a_foreign_environment_is_scored_by_its_scenario_s_reference():
    scenario = catalogue.get("cartpole")
    assert score(scenario, 22.36) == 0
    assert score(scenario, 500) == 1


def test_every_scenario_of_the_catalogue_finds_its_row_of_the_table():
    rows = json.loads(TABLE.read_text())
    for name in catalogue.names():
        scenario = catalogue.get(name)
        if scenario.environment in ids() and scenario.reference is None:
            options = scenario.evaluation_options
            for id, own in each_task(scenario.environment, options):
                task = None if key(id, own) in rows else make_task(id, **own)
                assert task is None or (task.random_return is not None and task.expert_return is not None)
