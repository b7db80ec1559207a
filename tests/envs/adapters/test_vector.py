"""The vector adapter beside Gymnasium's own `SyncVectorEnv` over the same single environments."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers.vector import (
    RecordEpisodeStatistics,
    TransformReward,
    VectorizeTransformObservation,
)

from palaestra.envs import PalaestraVectorEnv, SingleEnv

DIGITS, SYMBOL, ARMS = (f"palaestra/{name}-v0" for name in ("DigitBandit", "NextSymbol", "BernoulliBandit"))
MODES = pytest.mark.parametrize("mode", AutoresetMode)


def assert_same(ours, theirs):
    """Equal in value, type and, for infos, keys."""
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        for name in theirs:
            assert_same(ours[name], theirs[name])
    elif isinstance(theirs, tuple) or np.asarray(theirs).dtype == object:
        for a, b in zip(ours, theirs, strict=True):
            assert (a is None) == (b is None)
            if b is not None:
                assert_same(a, b)
    else:
        np.testing.assert_equal(ours, theirs)
        assert np.asarray(ours).dtype == np.asarray(theirs).dtype


def play_both(ours, theirs, mode, steps, seed=13):
    """Drives both alike and returns how many episodes terminated and were truncated."""
    assert ours.single_observation_space == theirs.single_observation_space
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    assert ours.metadata["autoreset_mode"] == theirs.metadata["autoreset_mode"] == mode
    assert_same(ours.reset(seed=seed), theirs.reset(seed=seed))
    theirs.action_space.seed(seed)
    terminations = truncations = 0
    for _ in range(steps):
        actions = theirs.action_space.sample()
        mine, other = ours.step(actions), theirs.step(actions)
        assert_same(mine, other)
        terminations, truncations = terminations + mine[2].sum(), truncations + mine[3].sum()
        done = mine[2] | mine[3]
        if mode is AutoresetMode.DISABLED and done.any():
            assert_same(
                ours.reset(options={"reset_mask": done.copy()}), theirs.reset(options={"reset_mask": done.copy()})
            )
    assert_same(ours.reset(), theirs.reset())  # everywhere, in the middle of episodes
    assert_same(ours.step(actions), theirs.step(actions))
    return terminations, truncations


@pytest.mark.of_every_task
@MODES
def test_it_does_what_gymnasium_s_own_vector_does(case, mode):
    id, options = case
    ours = gymnasium.make_vec(id, 3, autoreset_mode=mode, **options)
    theirs = gymnasium.make_vec(id, 3, vectorization_mode="sync", vector_kwargs={"autoreset_mode": mode}, **options)
    assert isinstance(ours.unwrapped, PalaestraVectorEnv)
    play_both(ours, theirs, mode, steps=min(25, 2 * ours.unwrapped.batch.task.horizon + 3))


@MODES
def test_it_does_so_where_episodes_end_in_both_ways_and_observations_are_dicts(walk, mode):
    ours = PalaestraVectorEnv(walk, 5, autoreset_mode=mode)
    theirs = SyncVectorEnv([lambda: SingleEnv(walk)] * 5, autoreset_mode=mode)
    terminations, truncations = play_both(ours, theirs, mode, steps=150)
    assert min(terminations, truncations) >= 5


def test_next_step_is_the_default_and_modes_have_gymnasium_s_names(walk):
    assert PalaestraVectorEnv(walk, 2).metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    for mode in AutoresetMode:
        assert PalaestraVectorEnv(walk, 2, autoreset_mode=mode.value).mode is mode


@MODES
def test_seeds_of_a_partial_reset_go_to_their_own_rows(walk, mode):
    ours = PalaestraVectorEnv(walk, 4, autoreset_mode=mode)
    theirs = SyncVectorEnv([lambda: SingleEnv(walk)] * 4, autoreset_mode=mode)
    for env in (ours, theirs):
        env.reset(seed=0)
    mask = np.array([False, True, False, True])
    for seed in (50, [1, 2, 3, 4]):
        assert_same(
            ours.reset(seed=seed, options={"reset_mask": mask}), theirs.reset(seed=seed, options={"reset_mask": mask})
        )
        actions = np.zeros((4, 2), np.float32)
        assert_same(ours.step(actions), theirs.step(actions))


@MODES
@pytest.mark.parametrize("first", [[4, 5, 6, 7], 3])
def test_none_among_the_seeds_lets_its_row_go_on(walk, mode, first):
    ours = PalaestraVectorEnv(walk, 4, autoreset_mode=mode)
    theirs = SyncVectorEnv([lambda: SingleEnv(walk)] * 4, autoreset_mode=mode)
    mask = np.array([True, True, False, False])
    for seed in (first, [1, None, None, 2], [None] * 4, None, [None, 9, None, 9]):
        assert_same(ours.reset(seed=seed), theirs.reset(seed=seed))
        actions = np.full((4, 2), 0.1, np.float32)
        assert_same(ours.step(actions), theirs.step(actions))
        assert_same(
            ours.reset(seed=[None, 5, 6, None], options={"reset_mask": mask}),
            theirs.reset(seed=[None, 5, 6, None], options={"reset_mask": mask}),
        )


@pytest.mark.fresh_seeds
def test_the_first_reset_takes_none_among_its_seeds():
    (seeded, other), _ = gymnasium.make_vec(DIGITS, 2).reset(seed=[1, None])
    assert np.array_equal(seeded, gymnasium.make(DIGITS).reset(seed=1)[0])
    others = {gymnasium.make_vec(DIGITS, 2).reset(seed=[1, None])[0][1].tobytes() for _ in range(4)}
    assert len(others | {other.tobytes()}) > 1


@pytest.mark.fresh_seeds
def test_a_fresh_seed_is_told_and_plays_the_same_again():
    envs, again = gymnasium.make_vec(DIGITS, 3), gymnasium.make_vec(DIGITS, 3)
    first, second = envs.reset()[0], envs.reset()[0]
    np.testing.assert_equal(again.reset(seed=envs.np_random_seed)[0], first)
    np.testing.assert_equal(again.reset()[0], second)


@pytest.mark.parametrize("limit", [4, -1, 10**6])
def test_a_time_limit_is_that_of_gymnasium_s_own_vector(limit):
    ours = gymnasium.make_vec("palaestra/Copy-v0", 3, max_episode_steps=limit, length=3)
    theirs = gymnasium.make_vec("palaestra/Copy-v0", 3, vectorization_mode="sync", max_episode_steps=limit, length=3)
    assert_same(ours.reset(seed=2), theirs.reset(seed=2))
    truncations = 0
    for count in range(25):
        mine = ours.step(np.full(3, count % 4))
        assert_same(mine, theirs.step(np.full(3, count % 4)))
        truncations += mine[3].sum()
    assert (truncations > 0) == (limit == 4)


def test_a_time_limit_leaves_the_rules_alone():
    envs = gymnasium.make_vec(DIGITS, 4, max_episode_steps=3, render_mode="rgb_array")
    envs.reset(seed=0)
    assert envs.step(envs.unwrapped.expert_action())[1].tolist() == [1.0] * 4
    assert len(envs.render()) == 4


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, "SameStep"])
def test_the_specification_survives_json_and_makes_the_environments_again(mode):
    envs = gymnasium.make_vec(
        SYMBOL, 3, autoreset_mode=mode, array="torch", device=torch.device("cpu"), length=6, max_episode_steps=4
    )
    again = gymnasium.make_vec(EnvSpec.from_json(envs.spec.to_json()))
    assert again.spec == envs.spec
    assert again.metadata == envs.metadata
    assert torch.equal(again.reset(seed=1)[0], envs.reset(seed=1)[0])
    for _ in range(5):
        for a, b in zip(again.step([0, 1, 2])[:4], envs.step([0, 1, 2])[:4], strict=True):
            assert torch.equal(a, b)


@pytest.mark.fresh_seeds
def test_an_unseeded_vector_starts_anywhere():
    first, second = (gymnasium.make_vec(DIGITS, 8).reset()[0] for _ in range(2))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_gymnasium_s_episode_statistics_are_right(walk, mode):
    ours = RecordEpisodeStatistics(PalaestraVectorEnv(walk, 4, autoreset_mode=mode))
    theirs = RecordEpisodeStatistics(SyncVectorEnv([lambda: SingleEnv(walk)] * 4, autoreset_mode=mode))
    for env in (ours, theirs):
        env.reset(seed=2)
    ours.action_space.seed(0)
    for _ in range(60):
        actions = ours.action_space.sample()
        mine, other = ours.step(actions)[-1], theirs.step(actions)[-1]
        assert ("episode" in mine) == ("episode" in other)
        if "episode" in mine:
            np.testing.assert_equal(mine["episode"]["r"], other["episode"]["r"])
            np.testing.assert_equal(mine["episode"]["l"], other["episode"]["l"])
            np.testing.assert_equal(mine["_episode"], other["_episode"])
    assert ours.episode_count == theirs.episode_count > 20


def test_gymnasium_s_wrappers_transform_what_it_gives():
    class Halved(gymnasium.wrappers.TransformObservation):
        def __init__(self, env):
            space = gymnasium.spaces.Box(0, 127, env.observation_space.shape, np.uint8)
            super().__init__(env, lambda image: image // 2, space)

    envs, plain = gymnasium.make_vec(DIGITS, 3), gymnasium.make_vec(DIGITS, 3)
    wrapped = VectorizeTransformObservation(TransformReward(envs, lambda reward: 2 * reward), Halved)
    np.testing.assert_equal(wrapped.reset(seed=1)[0], plain.reset(seed=1)[0] // 2)
    for _ in range(4):
        observation, reward, *_ = wrapped.step(np.full(3, 4))
        expected, earned, *_ = plain.step(np.full(3, 4))
        np.testing.assert_equal(observation, expected // 2)
        np.testing.assert_equal(reward, 2 * earned)


@MODES
def test_tensors_say_what_arrays_say(walk, mode):
    arrays_, tensors = (PalaestraVectorEnv(walk, 4, autoreset_mode=mode, array=array) for array in ("numpy", "torch"))
    np.testing.assert_equal(arrays_.reset(seed=4)[0], tensors.reset(seed=4)[0])
    arrays_.action_space.seed(0)
    for _ in range(30):
        actions = arrays_.action_space.sample()
        *first, infos = arrays_.step(actions)
        *second, told = tensors.step(torch.from_numpy(actions))
        assert isinstance(second[1], torch.Tensor)
        for a, b in zip(first, second, strict=True):
            np.testing.assert_equal(
                a, {name: part.numpy() for name, part in b.items()} if isinstance(b, dict) else b.numpy()
            )
        known = ~told["lucky"].isnan()
        if mode is AutoresetMode.SAME_STEP:
            assert told["_final_obs"].tolist() == (second[2] | second[3]).tolist()
            for row in told["_final_obs"].nonzero()[:, 0].tolist():
                np.testing.assert_equal(
                    infos["final_obs"][row], {name: part[row].numpy() for name, part in told["final_obs"].items()}
                )
            known &= ~told["_final_obs"]
        assert infos.get("_lucky", np.zeros(4, bool)).tolist() == known.tolist()
        done = first[2] | first[3]
        if mode is AutoresetMode.DISABLED and done.any():
            arrays_.reset(options={"reset_mask": done})
            tensors.reset(options={"reset_mask": done})


def test_tensors_stay_on_their_device(monkeypatch):
    """On the device without values, which stands for a GPU, and which users are refused."""
    monkeypatch.setattr("palaestra.envs.adapters.batched.torch_device", lambda what, device: torch.device(device))
    envs = gymnasium.make_vec(SYMBOL, 3, array="torch", device="meta")
    assert isinstance(envs, VectorEnv)
    envs.unwrapped.batch.check_action = lambda action: action
    observation, _ = envs.reset(seed=0)
    step = envs.step(torch.zeros(3, dtype=torch.int64, device="meta"))
    assert {tensor.device.type for tensor in (observation, *step[:4], envs.expert_action())} == {"meta"}


def test_the_expert_speaks_for_every_row():
    envs = gymnasium.make_vec(DIGITS, 16)
    envs.reset(seed=0)
    action = envs.unwrapped.expert_action()
    assert action.shape == (16,)
    assert envs.step(action)[1].tolist() == [1.0] * 16


def test_pictures_come_as_a_tuple_of_frames():
    envs = gymnasium.make_vec(ARMS, 3, render_mode="rgb_array")
    envs.reset(seed=0)
    frames = envs.render()
    assert isinstance(frames, tuple)
    assert [frame.shape for frame in frames] == [(480, 480, 3)] * 3
    assert not np.array_equal(frames[0], frames[1])
    single = gymnasium.make(ARMS, render_mode="rgb_array")
    single.reset(seed=1)
    assert np.array_equal(single.render(), frames[1])
    assert gymnasium.make_vec(ARMS, 3).render() is None
