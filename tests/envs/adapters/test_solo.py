"""One environment compiled to work in place plays what it plays eagerly."""

from __future__ import annotations

import copy
import pickle

import gymnasium
import numpy as np
import pytest

from palaestra.envs import SingleEnv, make_task
from palaestra.envs.adapters import single
from palaestra.envs.adapters.solo import Solo
from palaestra.neural_blocks.errors import InvalidInput

ids = ["Copy", "RepeatPrevious", "PointGoal", "Recall", "Glimpse", "FewShot", "LIFNeuron", "TabularMDP", "Denoise"]


@pytest.fixture
def traced(monkeypatch):
    """Programs run as operators: no code is generated, which takes seconds."""
    monkeypatch.setattr(single, "Solo", lambda *arguments: Solo(*arguments, backend="aot_eager"))


def pair(name, **options):
    """An environment run eagerly and compiled."""
    return [gymnasium.make(f"palaestra/{name}-v0", execution=how, **options) for how in ("eager", "compiled")]


def assert_alike(first, second, tolerance=0.0):
    assert type(first) is type(second)
    if isinstance(first, dict):
        assert first.keys() == second.keys()
        for key, value in first.items():
            assert_alike(value, second[key], tolerance)
    elif isinstance(first, np.ndarray):
        assert (first.dtype, first.shape) == (second.dtype, second.shape)
        np.testing.assert_allclose(first, second, rtol=tolerance, atol=tolerance)
    else:
        assert first == pytest.approx(second, rel=tolerance, abs=tolerance)


def play(eager, compiled, steps, tolerance=0.0):
    """Both side by side: reset with a seed, then without, whenever an episode ends; and with another seed half-way."""
    eager.action_space.seed(0)
    kept = [(eager.reset(seed=5)[0], compiled.reset(seed=5)[0])]
    for turn in range(steps):
        action = eager.action_space.sample()
        one, two = eager.step(action), compiled.step(action)
        for first, second in zip(one, two, strict=True):
            assert_alike(first, second, tolerance)
        kept.append((one[0], two[0]))
        if one[2] or one[3] or turn == steps // 2:
            seed = 7 if turn == steps // 2 else None
            kept.append((eager.reset(seed=seed)[0], compiled.reset(seed=seed)[0]))
    for first, second in kept:  # what it gave is not overwritten
        assert_alike(first, second, tolerance)


@pytest.mark.parametrize("name", ids)
def test_it_plays_the_same_episodes(name, traced):
    play(*pair(name), 60)


@pytest.mark.parametrize(("name", "tolerance"), [("DigitBandit", 0.0), ("PointGoal", 1e-6)])
def test_generated_code_plays_the_same_episodes(name, tolerance):
    play(*pair(name), 300, tolerance)


def test_pictures_and_experts_are_of_the_state_it_is_in(traced):
    eager, compiled = pair("RepeatPrevious", render_mode="rgb_array")
    for env in (eager, compiled):
        env.reset(seed=1)
    for _ in range(53):
        action = eager.unwrapped.expert_action()
        assert compiled.unwrapped.expert_action() == action
        _, reward, terminated, _, _ = compiled.step(action)
        assert eager.step(action)[1] == reward
        np.testing.assert_array_equal(eager.render(), compiled.render())
        if terminated:
            eager.reset(), compiled.reset()


@pytest.mark.parametrize("again", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copy_goes_its_own_way(again, traced):
    env = gymnasium.make("palaestra/RepeatPrevious-v0", execution="compiled", render_mode="rgb_array")
    env.reset(seed=3)
    env.step(1)
    other = again(env)
    first = [env.step(2)[:4] for _ in range(20)]
    assert [other.step(2)[:4] for _ in range(20)] == first
    np.testing.assert_array_equal(env.render(), other.render())


def test_it_goes_on_from_where_its_batch_is_put(traced):
    eager, compiled = (env.unwrapped for env in pair("Copy"))
    for env in (eager, compiled):
        env.reset(seed=2)
        env.step(0)
    saved = compiled.batch.state_dict()
    ahead = [compiled.step(1)[:4] for _ in range(5)]
    assert [eager.step(1)[:4] for _ in range(5)] == ahead
    compiled.batch.load_state_dict(saved)
    assert [compiled.step(1)[:4] for _ in range(5)] == ahead


WRONG = {
    "Copy": [4, -1, 1.0, [1], "a", None],
    "PointGoal": [np.float32([0.2, 0.0]), [np.nan, 0.0], np.float32([np.nan, 0.0]), [0.0]],
}


@pytest.mark.parametrize(("name", "action"), [(name, action) for name, actions in WRONG.items() for action in actions])
def test_wrong_actions_are_refused_in_the_same_words(name, action, traced):
    told = []
    for env in pair(name, disable_env_checker=True):
        env.reset(seed=0)
        with pytest.raises(InvalidInput) as refused:
            env.step(action)
        told.append(str(refused.value))
    assert told[0] == told[1]


@pytest.mark.parametrize("action", [np.int64(1), np.int32(1), np.array(1), True, np.uint8(1)])
def test_an_action_may_come_as_any_whole_number(action, traced):
    eager, compiled = (env.unwrapped for env in pair("RepeatPrevious"))
    for env in (eager, compiled):
        env.reset(seed=0)
    assert eager.step(action)[:4] == compiled.step(action)[:4]
    assert int(compiled.batch.state.answer) == 1


def test_a_step_after_the_end_is_refused(traced):
    _, env = pair("DigitBandit", disable_env_checker=True)
    env.reset(seed=0)
    env.step(0)
    with pytest.raises(InvalidInput, match="have ended; reset them"):
        env.step(0)
    env.reset()
    env.step(0)


def test_an_execution_that_is_none_is_refused():
    with pytest.raises(InvalidInput, match=r"Copy: execution must be one of .*got 'jit'"):
        SingleEnv(make_task("palaestra/Copy-v0"), execution="jit")
    with pytest.raises(InvalidInput, match="only CUDA has graphs"):
        gymnasium.make("palaestra/Copy-v0", execution="captured")
