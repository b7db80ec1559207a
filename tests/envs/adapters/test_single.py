"""The Gymnasium adapter of one environment."""

from __future__ import annotations

import copy
import pickle

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.wrappers import RecordEpisodeStatistics

from palaestra.envs import NoExpert, SingleEnv, make_batched
from palaestra.envs.adapters import screen

DIGITS, REPEAT, SYMBOL, ARMS = (
    f"palaestra/{name}-v0" for name in ("DigitBandit", "RepeatPrevious", "NextSymbol", "BernoulliBandit")
)


def test_it_gives_what_row_zero_of_a_batch_gives(walk):
    env, batch = SingleEnv(walk), make_batched(REPEAT, 1)
    env.reset(seed=0)
    single = gymnasium.make(REPEAT)
    assert single.reset(seed=4)[0] == int(batch.reset(4))
    observation, reward, terminated, truncated, info = single.step(0)
    step = batch.step([0])
    assert observation == int(step.observation)
    assert (reward, terminated, truncated) == (float(step.reward), False, False)
    assert info == {}  # nothing was asked yet, so there is no accuracy


def test_values_are_of_the_kinds_that_gymnasium_names():
    env = gymnasium.make(ARMS)
    observation, info = env.reset(seed=0)
    assert observation.keys() == env.observation_space.keys()
    assert type(observation["previous_action"]) is np.int64
    assert observation["previous_reward"].dtype == np.float32
    _, reward, terminated, truncated, info = env.step(2)
    assert [type(value) for value in (reward, terminated, truncated)] == [float, bool, bool]
    assert info["best_arm"] in (0, 1)


def test_the_next_reset_plays_the_next_episode_and_a_seed_starts_over():
    env = gymnasium.make(DIGITS)
    first = env.reset(seed=8)[0]
    following = [env.reset()[0] for _ in range(5)]
    assert all(not np.array_equal(first, image) for image in following)
    np.testing.assert_equal(env.reset(seed=8)[0], first)
    np.testing.assert_equal([env.reset()[0] for _ in range(5)], following)


@pytest.mark.fresh_seeds
def test_an_unseeded_environment_starts_anywhere():
    images = [gymnasium.make(DIGITS).reset()[0] for _ in range(4)]
    assert len({image.tobytes() for image in images}) > 1


def test_the_observation_after_the_end_is_the_last_one():
    env = gymnasium.make(SYMBOL, length=3)
    env.reset(seed=0)
    env.step(0)
    env.step(0)
    last, _, terminated, truncated, _ = env.step(0)
    assert (terminated, truncated) == (False, True)
    assert last == int(env.unwrapped.batch.observation)


def test_observations_are_its_own_memory():
    env = gymnasium.make(DIGITS)
    observation, _ = env.reset(seed=0)
    kept = observation.copy()
    observation.fill(0)
    np.testing.assert_equal(env.unwrapped.batch.observation[0].numpy(), kept)


def test_the_expert_is_right_and_a_task_without_one_says_so(walk):
    env = RecordEpisodeStatistics(gymnasium.make(REPEAT))
    env.reset(seed=1)
    done = False
    while not done:
        action = env.unwrapped.expert_action()
        assert env.action_space.contains(action)
        *_, terminated, truncated, info = env.step(action)
        done = terminated or truncated
    assert info["episode"]["r"] == pytest.approx(1)
    assert info["episode"]["l"] == 52
    env = SingleEnv(walk)
    env.reset(seed=0)
    with pytest.raises(NoExpert, match="Walk has no expert"):
        env.expert_action()


def test_it_draws_to_an_array_or_to_a_window():
    picture = gymnasium.make(DIGITS, render_mode="rgb_array")
    picture.reset(seed=0)
    frame = picture.render()
    assert frame.shape == (480, 480, 3)
    assert frame.dtype == np.uint8
    window = gymnasium.make(DIGITS, render_mode="human")
    window.reset(seed=0)
    window.step(1)
    assert window.render() is None
    assert window.unwrapped.screen.canvas.window
    window.close()
    window.close()
    silent = gymnasium.make(DIGITS).unwrapped
    silent.reset(seed=0)
    assert silent.render() is None


def test_the_specification_makes_the_environment_again():
    env = gymnasium.make(REPEAT, symbols=5)
    again = gymnasium.make(env.spec)
    assert again.observation_space == env.observation_space
    assert again.reset(seed=0)[0] == env.reset(seed=0)[0]


class Clock:
    """A clock that only sleeping moves, and that notes when the window was shown."""

    def __init__(self):
        self.now, self.shown = 100.0, []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.mark.parametrize("frames_per_second", [4, 10])
def test_a_window_shows_as_many_frames_a_second_as_the_metadata_say(frames_per_second, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(screen, "time", clock)
    env = gymnasium.make(REPEAT, render_mode="human").unwrapped
    assert env.metadata["render_fps"] == 4
    env.metadata = env.metadata | {"render_fps": frames_per_second}
    monkeypatch.setattr(env.screen.canvas, "show", lambda: clock.shown.append(clock.now))
    env.reset(seed=0)
    for _ in range(8):
        env.step(0)
    np.testing.assert_allclose(np.diff(clock.shown), 1 / frames_per_second)
    clock.now += 5  # a slow agent is not waited for in addition
    env.step(0)
    assert clock.shown[-1] == pytest.approx(clock.shown[-2] + 5)
    env.close()


def test_a_batch_on_another_device_is_drawn_by_rules_on_the_cpu(monkeypatch):
    env, elsewhere = (make_batched("palaestra/AttackDefend-v0", 2, seed=0) for _ in range(2))
    env.reset(), elsewhere.reset()
    monkeypatch.setattr(elsewhere, "device", torch.device("meta"))  # which only its drawing asks for here
    drawn = elsewhere._drawing
    assert drawn is not elsewhere.task
    assert drawn is elsewhere._drawing
    assert {part.device.type for part in drawn.buffers()} == {"cpu"}
    for spectator in (True, False):
        for one, other in zip(env.frames(spectator), elsewhere.frames(spectator), strict=True):
            np.testing.assert_array_equal(one, other)


def test_nothing_is_waited_for_without_a_window(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(screen, "time", clock)
    env = gymnasium.make(REPEAT, render_mode="rgb_array")
    env.reset(seed=0)
    env.step(0)
    env.render()
    assert clock.now == 100.0


@pytest.mark.of_every_task
@pytest.mark.parametrize("again", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copy_of_an_environment_that_was_drawn_goes_on_alike(case, again):
    id, options = case
    env = gymnasium.make(id, render_mode="rgb_array", **options)
    env.reset(seed=3)
    env.render()
    other = again(env)
    env.action_space.seed(0)
    action = env.action_space.sample()
    assert env.step(action)[1:4] == other.step(action)[1:4]
    np.testing.assert_array_equal(env.render(), other.render())


@pytest.mark.fresh_seeds
def test_a_fresh_seed_is_told_and_plays_the_same_again():
    env = gymnasium.make(DIGITS)
    first = env.reset()[0]
    seed = env.np_random_seed
    images = [first, *(env.reset()[0] for _ in range(3))]
    assert env.np_random_seed == seed
    again = gymnasium.make(DIGITS)
    np.testing.assert_equal([again.reset(seed=seed)[0], *(again.reset()[0] for _ in range(3))], images)
