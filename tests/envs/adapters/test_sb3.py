"""The Stable-Baselines3 adapter, used as Stable-Baselines3 uses it."""

from __future__ import annotations

import sys
import types
import warnings

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    VecCheckNan,
    VecExtractDictObs,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
    VecVideoRecorder,
)

from palaestra.envs import BatchedEnv, GymnasiumBridge, SB3VecEnv, make_batched, make_sb3
from palaestra.neural_blocks.errors import InvalidInput

DIGITS, REPEAT, SYMBOL, ARMS, EVADE = (
    f"palaestra/{name}-v0" for name in ("DigitBandit", "RepeatPrevious", "NextSymbol", "BernoulliBandit", "Evade")
)


@pytest.mark.of_every_task
def test_stable_baselines_finds_no_fault(case):
    id, options = case
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(gymnasium.make(id, **options))
    told = [str(warning.message) for warning in caught]
    # advice, not faults: for its default image network, for its Gaussian policies, and for a choice at every pixel
    advice = ("minimal resolution", "symmetric and normalized Box action space", "uses a multidimensional array")
    assert [line for line in told if not any(part in line for part in advice)] == []


@pytest.mark.parametrize("batched", [True, False])
def test_ppo_trains_on_digits(batched):
    env = make_sb3(DIGITS, 64, seed=1) if batched else gymnasium.make(DIGITS)
    steps = 8 if batched else 128
    model = PPO(
        "MlpPolicy",
        env,
        n_steps=steps,
        batch_size=64,
        n_epochs=2,
        seed=0,
        device="cpu",
        policy_kwargs={"net_arch": [32]},
    )
    before = [parameter.clone() for parameter in model.policy.parameters()]
    model.learn(3 * steps * model.n_envs)
    assert model.num_timesteps == 3 * steps * model.n_envs
    assert any(not torch.equal(a, b) for a, b in zip(before, model.policy.parameters(), strict=True))


@pytest.mark.parametrize(("id", "policy"), [(REPEAT, "MlpPolicy"), (ARMS, "MultiInputPolicy")])
def test_ppo_trains_on_tokens_and_dicts(id, policy):
    model = PPO(policy, make_sb3(id, 4), n_steps=64, batch_size=64, n_epochs=1, seed=0, device="cpu")
    model.learn(256)
    assert {"r", "l", "t"} <= set(model.ep_info_buffer[0])


def test_ppo_learns_the_digits_better_than_chance():
    model = PPO("MlpPolicy", make_sb3(DIGITS, 256), n_steps=4, batch_size=256, n_epochs=4, seed=0, device="cpu",
                learning_rate=3e-3, ent_coef=0.01, policy_kwargs={"net_arch": [64]})  # fmt: skip
    model.learn(12_000)
    mean, _ = evaluate_policy(model, make_sb3(DIGITS, 64, seed=10**6, split="test"), n_eval_episodes=512)
    assert mean > 0.3  # chance is 0.1


def test_a_step_says_what_stable_baselines_expects(walk):
    envs, singles = SB3VecEnv(BatchedEnv(walk, 6, seed=3)), [BatchedEnv(walk, 1, seed=3 + row) for row in range(6)]
    for env in (envs, *singles):
        env.reset()
    rng, ends = np.random.default_rng(0), {True: 0, False: 0}
    for _ in range(40):
        actions = rng.uniform(-0.5, 0.5, (6, 2)).astype(np.float32)
        observations, rewards, dones, infos = envs.step(actions)
        assert rewards.dtype == np.float32
        assert dones.dtype == np.bool_
        for row, single in enumerate(singles):
            step = single.step(actions[row : row + 1])
            np.testing.assert_equal(observations["position"][row], step.observation["position"][0].numpy())
            assert rewards[row] == float(step.reward)
            assert dones[row] == bool(step.done)
            if not dones[row]:
                assert infos[row] == {}
                continue
            assert infos[row]["TimeLimit.truncated"] is bool(step.truncated)
            final = infos[row]["terminal_observation"]
            np.testing.assert_equal(final["position"], step.final_observation["position"][0].numpy())
            assert final["right"] == int(step.final_observation["right"])
            lucky = float(step.metrics["lucky"])
            assert ("lucky" in infos[row]) == (not np.isnan(lucky))
            ends[infos[row]["TimeLimit.truncated"]] += 1
    assert min(ends.values()) > 5  # both ways of ending were seen


def test_it_steps_as_stable_baselines_own_vector_does():
    """The same episodes through `DummyVecEnv`, which steps single Gymnasium environments one by one."""
    ours, theirs = make_sb3(SYMBOL, 3, length=5), DummyVecEnv([lambda: gymnasium.make(SYMBOL, length=5)] * 3)
    ours.seed(9)
    theirs.seed(9)
    np.testing.assert_equal(ours.reset(), theirs.reset())
    for count in range(12):
        actions = np.full(3, count % 4)
        mine, other = ours.step(actions), theirs.step(actions)
        for a, b in zip(mine[:3], other[:3], strict=True):
            np.testing.assert_equal(a, b)
        for info, expected in zip(mine[3], other[3], strict=True):
            assert info.get("TimeLimit.truncated", False) == expected["TimeLimit.truncated"]
            if "terminal_observation" in expected:
                assert info["terminal_observation"] == expected["terminal_observation"]
                assert info["accuracy"] == expected["accuracy"]


def test_the_monitor_sees_returns_and_lengths():
    env = VecMonitor(make_sb3(SYMBOL, 8, length=5))
    env.reset()
    total = np.zeros(8)
    for _ in range(5):
        _, rewards, dones, infos = env.step(np.ones(8, int))
        total += rewards
    assert dones.all()
    assert [info["episode"]["r"] for info in infos] == total.tolist()
    assert [info["episode"]["l"] for info in infos] == [5] * 8


def test_statistics_are_those_of_the_monitor_without_one():
    """The same episodes, of one batch and of single environments that each have Stable-Baselines3's `Monitor`."""
    ours = make_sb3(SYMBOL, 3, length=5)
    theirs = DummyVecEnv([lambda: Monitor(gymnasium.make(SYMBOL, length=5))] * 3)
    for env in (ours, theirs):
        env.seed(9)
        env.reset()
    ends = 0
    for count in range(17):
        actions = np.array([count % 4, 1, 2])
        mine, other = ours.step(actions)[3], theirs.step(actions)[3]
        for info, expected in zip(mine, other, strict=True):
            assert ("episode" in info) == ("episode" in expected)
            if "episode" in info:
                ends += 1
                assert info["episode"]["r"] == pytest.approx(expected["episode"]["r"], abs=1e-6)
                assert info["episode"]["l"] == expected["episode"]["l"] == 5
                assert 0 <= info["episode"]["t"] < 60
    assert ends == 9


def test_a_reset_in_mid_episode_starts_the_statistics_anew():
    env = make_sb3(SYMBOL, 2, length=3)
    env.reset()
    env.step(np.zeros(2, int))
    env.reset()
    for _ in range(3):
        *_, infos = env.step(np.zeros(2, int))
    assert [info["episode"]["l"] for info in infos] == [3, 3]


def test_evaluation_and_training_see_the_statistics():
    model = PPO("MlpPolicy", make_sb3(SYMBOL, 4, seed=0, length=5), n_steps=10, batch_size=40, n_epochs=1, device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.learn(40)
        mean, _ = evaluate_policy(model, make_sb3(SYMBOL, 4, seed=1, length=5), n_eval_episodes=4)
    assert [episode["l"] for episode in model.ep_info_buffer] == [5] * 8
    theirs = DummyVecEnv([lambda: Monitor(gymnasium.make(SYMBOL, length=5))] * 4)
    theirs.seed(1)
    assert mean == pytest.approx(evaluate_policy(model, theirs, n_eval_episodes=4)[0])


def test_videos_have_the_speed_that_the_metadata_say(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "moviepy", types.ModuleType("moviepy"))  # which writes the file, not asked here
    recorder = VecVideoRecorder(make_sb3(REPEAT, 2), str(tmp_path), lambda step: False)
    assert recorder.frames_per_sec == gymnasium.make(REPEAT).metadata["render_fps"] == 4


def test_a_bridge_keeps_its_environment_s_metadata():
    bridge = GymnasiumBridge("CartPole-v1", 2, render_mode="rgb_array")
    env = SB3VecEnv(bridge)
    assert env.metadata["render_fps"] == 50
    env.reset()
    assert env.step(np.zeros(2, int))[0].shape == (2, 4)


def test_other_wrappers_of_stable_baselines_work():
    digits = "palaestra/DigitBandit-v0"
    checked = VecCheckNan(VecFrameStack(make_sb3(digits, 3, seed=2), 2), raise_exception=True)
    plain = make_sb3(digits, 3, seed=2)
    stacked, image = checked.reset(), plain.reset()
    np.testing.assert_equal(stacked[:, -1:], image)
    assert stacked.shape == (3, 2, 8, 8)
    stacked, image = checked.step(np.zeros(3, int))[0], plain.step(np.zeros(3, int))[0]
    np.testing.assert_equal(stacked[:, -1:], image)
    evade = [make_sb3(EVADE, 2, seed=1) for _ in range(2)]
    np.testing.assert_equal(VecExtractDictObs(evade[0], "image").reset(), evade[1].reset()["image"])


def test_normalising_wrappers_leave_the_environment_alone():
    plain, wrapped = make_sb3("palaestra/TabularBandit-v0", 4), VecNormalize(make_sb3("palaestra/TabularBandit-v0", 4))
    plain.reset()
    wrapped.reset()
    for _ in range(5):
        observations, rewards, *_ = plain.step(np.zeros(4, int))
        wrapped.step(np.zeros(4, int))
        np.testing.assert_equal(wrapped.get_original_obs(), observations)
        np.testing.assert_equal(wrapped.get_original_reward(), rewards)


def test_seeds_are_given_to_the_next_reset():
    env = make_sb3(DIGITS, 3, seed=5)
    first = env.reset()
    assert env.seed(5) == [5, 6, 7]
    np.testing.assert_equal(env.reset(), first)
    assert not np.array_equal(env.reset(), first)  # the next episodes
    env.seed()
    assert env.reset().shape == (3, 1, 8, 8)
    np.testing.assert_equal(make_sb3(DIGITS, 3, seed=5).reset(), make_batched(DIGITS, 3, seed=5).reset().numpy())


def test_attributes_and_methods_are_those_of_the_batch():
    env = make_sb3(DIGITS, 3)
    env.reset()
    assert env.get_attr("name") == ["DigitBandit"] * 3
    assert env.get_attr("name", [0]) == ["DigitBandit"]
    assert env.has_attr("task")
    assert not env.has_attr("nothing")
    assert torch.equal(env.env_method("expert_action", indices=1)[0], env.batch.expert_action())
    assert env.env_is_wrapped(gymnasium.Wrapper) == [False] * 3
    assert env.env_is_wrapped(Monitor) == [True] * 3  # whose statistics it gives
    with pytest.raises(InvalidInput, match="'horizon' cannot be set"):
        env.set_attr("horizon", 3)


def test_pictures_are_tiled():
    env = make_sb3(DIGITS, 4)
    env.reset()
    assert env.render("rgb_array").shape == (960, 960, 3)
    assert [image.shape for image in env.get_images()] == [(480, 480, 3)] * 4
    env.close()
