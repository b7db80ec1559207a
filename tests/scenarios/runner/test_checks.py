"""Checks during training: how many, how long, on which options; and evaluation where episodes never end."""

import gymnasium
import gymnasium.spaces as spaces
import numpy as np
import pytest

from palaestra import agents
from palaestra.agents.core import evaluation
from palaestra.envs import GymnasiumBridge, make_batched
from palaestra.scenarios import catalogue
from palaestra.scenarios.catalogue import Scenario, Validation
from palaestra.scenarios.environments import with_validation
from palaestra.scenarios.runner.checks import Checks, planned_checks


class Endless(gymnasium.Env):
    """Rewards 1 a step, and ends after so many steps, or never."""

    observation_space, action_space = spaces.Box(-1, 1, (1,), np.float32), spaces.Discrete(2)

    def __init__(self, end: int = 0):
        self.end = end

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.taken = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.taken += 1
        return np.zeros(1, np.float32), 1.0, self.taken == self.end, False, {}


gymnasium.register("Endless-v0", Endless)


def horizon(length: int):
    return make_batched("palaestra/RepeatPrevious-v0", 2, length=length)


@pytest.mark.parametrize(
    ("steps", "length", "times", "episodes"),
    [
        (12_000, 200, 3, 5),  # pendulum: 15 episodes, where ten checks of 128 were 1,280
        (400_000, 200, 10, 50),
        (10_000_000, 200, 10, 128),
        (100, 200, 1, 4),  # the last one is always there
        (0, 200, 1, 4),
    ],
)
def test_checks_take_no_more_than_a_quarter_of_the_training(steps, length, times, episodes) -> None:
    planned = planned_checks(steps, horizon(length))
    assert (planned.times, planned.episodes) == (times, episodes)
    if times > 1:
        assert times * episodes * length <= steps / 4


def test_checks_are_at_equal_distances_and_the_last_is_at_the_end() -> None:
    checks = Checks(times=4, episodes=4)
    assert [checks.due(steps, 1000) for steps in (0, 249, 250, 500, 999, 1000, 1024)] == [0, 0, 1, 2, 3, 4, 4]


def test_an_environment_tells_its_time_limit() -> None:
    assert evaluation.time_limit(horizon(9)) == horizon(9).task.horizon
    assert evaluation.time_limit(GymnasiumBridge("CartPole-v1", 1)) == 500
    assert evaluation.time_limit(GymnasiumBridge("Endless-v0", 1)) is None


def test_an_episode_that_never_ends_is_cut_off_with_a_warning_that_names_it(monkeypatch) -> None:
    monkeypatch.setattr(evaluation, "CAP", 30)
    env = GymnasiumBridge("Endless-v0", 3)
    with pytest.warns(RuntimeWarning, match=r"Endless-v0: 3 of 3 environments had an episode longer than 30 steps"):
        found = agents.evaluate(agents.make("random", env), env, 9)
    assert found.returns.tolist() == [30.0] * 3
    assert found.lengths.tolist() == [30] * 3


def test_episodes_that_end_are_counted_whole_without_a_limit_too(monkeypatch, recwarn) -> None:
    monkeypatch.setattr(evaluation, "CAP", 30)
    env = GymnasiumBridge("Endless-v0", 2, end=30)
    found = agents.evaluate(agents.make("random", env), env, 6)
    assert found.lengths.tolist() == [30] * 6
    assert not [warning for warning in recwarn if "longer than" in str(warning.message)]


def test_the_cap_leaves_an_environment_with_a_limit_of_its_own_alone(monkeypatch) -> None:
    monkeypatch.setattr(evaluation, "CAP", 5)
    env = horizon(9)
    assert agents.evaluate(agents.make("random", env), env, 4).lengths.unique().tolist() == [env.task.horizon]


def test_validation_is_the_validation_split_where_there_is_one_and_else_what_is_trained_on() -> None:
    digits = with_validation(catalogue.get("digits"))
    assert digits.validation_options == {**digits.options, "split": "validation"}
    for name in ("repeat-previous", "cartpole"):
        scenario = with_validation(catalogue.get(name))
        assert scenario.validation == Validation()
        assert scenario.validation_options == scenario.options


def test_a_scenario_may_say_its_own_validation() -> None:
    own = Scenario(
        name="own", title="", description="", environment="palaestra/DigitBandit-v0", options={"split": "train"},
        validation={"options": {"split": "train"}}, steps=10,
    )  # fmt: skip
    assert with_validation(own) == own
    assert own.validation_options == {"split": "train"}


@pytest.mark.parametrize("name", catalogue.names())
def test_no_scenario_chooses_on_what_it_is_scored_on(name: str) -> None:
    scenario = with_validation(catalogue.get(name))
    assert scenario.validation_options.get("split") != "test"
    if "split" in scenario.evaluation_options:
        assert scenario.validation_options["split"] == "validation"
