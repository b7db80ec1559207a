"""The list of environments and what it promises."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from dataclasses import dataclass

import gymnasium
import gymnasium.spaces as spaces
import pytest
from torch import Tensor

import palaestra.envs as envs
from palaestra.envs.registry import ENVIRONMENTS, family, ids, register, summary, task_class
from palaestra.envs.score_table import TABLE, key, listed
from palaestra.neural_blocks.errors import InvalidInput


def test_every_id_is_registered_with_gymnasium():
    assert ids() == envs.ids()
    for id in ids():
        assert gymnasium.spec(id).vector_entry_point == "palaestra.envs.adapters.vector:make_vector"
        assert id.startswith("palaestra/")
        assert id.endswith("-v0")


def test_an_id_names_the_class_of_its_task():
    for id in ids():
        assert issubclass(task_class(id), envs.Task)
        assert task_class(id).__name__ == id.removeprefix("palaestra/").removesuffix("-v0")
        assert task_class(id).__module__.split(".")[2] == family(id)


def test_every_summary_is_one_sentence_of_its_own():
    summaries = [summary(id) for id in ids()]
    assert all(summary.endswith(".") and "\n" not in summary and 20 < len(summary) < 80 for summary in summaries)
    assert len(set(summaries)) == len(summaries)


def test_every_variant_differs_from_the_defaults_and_from_the_others():
    for id in ids():
        cls = task_class(id)
        variants = [json.dumps(options, sort_keys=True) for options in cls.variants]
        assert len(set(variants)) == len(variants)
        defaults = {name: p.default for name, p in inspect.signature(cls.__init__).parameters.items()}
        defaults["episodes"] = getattr(cls, "trial_episodes", None)
        for options in cls.variants:
            assert any(defaults.get(name) != value for name, value in options.items())


def test_the_score_table_has_a_row_for_every_variant_and_no_other():
    rows = set(json.loads(TABLE.read_text()))
    assert rows == {key(id, options) for id in ids() for options in listed(id)}
    assert {key(id, options) for id in ids() for options in ({}, *task_class(id).variants)} <= rows


def test_every_public_name_can_be_had():
    for name in envs.__all__:
        assert getattr(envs, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        envs.Nothing  # noqa: B018


def test_importing_the_package_needs_no_torch():
    code = "import sys, palaestra.envs; print({'torch', 'pygame', 'stable_baselines3', 'sklearn'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_making_a_single_environment_loads_neither_stable_baselines_nor_pygame():
    code = (
        "import sys, gymnasium, palaestra; env = gymnasium.make('palaestra/RepeatPrevious-v0'); env.reset(); "
        "print({'pygame', 'stable_baselines3', 'sklearn'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


@dataclass(frozen=True)
class CoinState:
    side: Tensor  # (B,) int64
    right: Tensor  # (B,) float32


class Coin(envs.Task[CoinState]):
    """Name the side of a coin that is shown.

    A task of somebody else's.
    """

    horizon, reset_noise = 1, 1

    def __init__(self, *, sides: int = 2, known: bool = False) -> None:
        super().__init__()
        self.sides = {2: 2, 3: 3}[sides]
        self.observation_space, self.action_space = spaces.Discrete(sides), spaces.Discrete(sides)
        if known:
            self.random_return, self.expert_return = 1 / sides, 1.0

    def reset(self, noise):
        side = (noise[:, 0] * self.sides).long()
        return CoinState(side, side.float() * 0)

    def step(self, state, action, noise):
        right = (action == state.side).float()
        return envs.Step(CoinState(state.side, right), right, right > -1)

    def observe(self, state):
        return state.side

    def expert(self, state):
        return state.side

    def draw(self, state, canvas):
        canvas.text(str(int(state.side)), (240, 240))


class Coins(envs.ProblemTask[CoinState, Tensor]):
    """A coin that keeps its side."""

    horizon, sample_noise, trial_episodes = 1, 1, 3
    observation_space, action_space = spaces.Discrete(2), spaces.Discrete(2)

    def sample(self, noise):
        return noise[:, 0].round().long()

    def begin(self, problem, noise):
        return CoinState(problem, problem * 0.0)

    step, observe, draw = Coin.step, Coin.observe, Coin.draw


@pytest.fixture
def acme(monkeypatch):
    """Registrations that last for one test."""
    monkeypatch.setattr(ENVIRONMENTS, "_others", {})
    yield
    for id in [id for id in gymnasium.registry if id.startswith("acme/")]:
        del gymnasium.registry[id]


def test_an_environment_of_others_is_like_the_suites_own(acme):
    register("acme/Coin-v0", f"{__name__}:Coin")
    assert (envs.ids()[-1], family("acme/Coin-v0")) == ("acme/Coin-v0", "acme")
    assert summary("acme/Coin-v0") == "Name the side of a coin that is shown."
    single = gymnasium.make("acme/Coin-v0", sides=3)
    assert single.action_space == spaces.Discrete(3)
    assert single.reset(seed=4)[0] == envs.make_batched("acme/Coin-v0", 2, seed=3, sides=3).reset()[1]
    assert gymnasium.make_vec("acme/Coin-v0", 5).reset(seed=1)[0].shape == (5,)
    assert envs.make_sb3("acme/Coin-v0", 2).reset().shape == (2,)
    with pytest.raises(InvalidInput, match=r"option must be one of 'sides', .*; got 'side' \(did you mean 'sides'"):
        envs.make_task("acme/Coin-v0", side=2)


def test_what_a_path_names_needs_no_registration():
    path = f"{__name__}:Coin"
    assert type(envs.make_task(path, sides=3)) is Coin
    assert envs.make_batched(path, 7).reset().shape == (7,)
    assert summary(path) == "Name the side of a coin that is shown."
    assert path not in ids()
    trial = envs.make_task(f"{__name__}:Coins")
    assert isinstance(trial, envs.Trial)
    assert trial.episodes == 3
    assert type(envs.make_task(f"{__name__}:Coins", episodes=1)) is Coins


def test_scores_of_others_are_what_they_state_or_are_played():
    path = f"{__name__}:Coin"
    stated = envs.scores(path, known=True)
    assert (stated.random, stated.expert, stated.episodes, stated.floor) == (0.5, 1.0, 0, 0.5)
    played = envs.scores(path, sides=3)
    assert (played.expert, played.episodes) == (1, 2048)
    assert played.random == pytest.approx(1 / 3, abs=0.05)


@pytest.mark.parametrize(
    ("id", "options", "told"),
    [
        ("palaestra/Digit-v0", {}, "did you mean 'palaestra/DigitBandit-v0'?"),
        ("acme/Cone-v0", {}, "did you mean 'acme/Coin-v0'?"),
        ("nowhere.at_all:Coin", {}, "nowhere.at_all cannot be imported: ModuleNotFoundError"),
        ("palaestra.agents:PPO", {}, "must be a class derived from palaestra.envs.core.task.Task"),
        ("acme/Coin-v0", {"sides": 9}, "acme/Coin-v0: cannot be made with options {'sides': 9}: KeyError: 9"),
        (f"{__name__}:Unfinished", {}, "Can't instantiate abstract class Unfinished"),
    ],
)
def test_what_cannot_be_made_is_one_line(acme, id, options, told):
    register("acme/Coin-v0", Coin)
    with pytest.raises(InvalidInput) as refusal:
        envs.make_task(id, **options)
    assert told in str(refusal.value)
    assert "\n" not in str(refusal.value)


class Unfinished(envs.Task):
    """Without rules."""


@pytest.mark.parametrize("id", ["DigitBandit-v0", "palaestra/DigitBandit-v0", "palaestra/Mine-v0", "Coin"])
def test_the_suites_own_ids_are_kept(acme, id):
    with pytest.raises(InvalidInput, match="environment id must"):
        register(id, Coin)
    assert id in ids() or id not in gymnasium.registry


def test_an_id_of_gymnasiums_is_not_taken_over(acme):
    gymnasium.register("acme/Old-v0", entry_point="acme:Old")
    with pytest.raises(InvalidInput, match="environment id 'acme/Old-v0' is taken in Gymnasium"):
        register("acme/Old-v0", Coin)
