"""The replay contract: row i of any batch seeded s plays what a single environment seeded s + i plays."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from hypothesis import strategies as st

import palaestra  # noqa: F401  registers the environments
from palaestra.envs import BatchedEnv, make_task
from palaestra.envs.core.actions import random_action
from palaestra.envs.core.tree import leaves
from palaestra.envs.registry import ids, task_class

CASES = [(id, options) for id in ids() for options in ({}, *task_class(id).variants)]


class Follower:
    """A single environment that is driven as one row of a batch."""

    def __init__(self, id, options, mode, seed):
        self.env, self.mode, self.waiting = gymnasium.make(id, **options), mode, False
        self.first = self.env.reset(seed=seed)[0]

    def step(self, action):
        """Observation, reward, terminated, truncated, and the final observation where there is one."""
        if self.waiting and self.mode is AutoresetMode.NEXT_STEP:
            self.waiting = False
            return self.env.reset()[0], 0.0, False, False, None
        observation, reward, terminated, truncated, _ = self.env.step(action)
        self.waiting, final = terminated or truncated, None
        if self.waiting and self.mode is AutoresetMode.SAME_STEP:
            final, observation = observation, self.env.reset()[0]
        return observation, reward, terminated, truncated, final

    def restart(self):
        self.waiting = False
        return self.env.reset()[0]


def row_of(batch, row):
    return {name: values[row] for name, values in batch.items()} if isinstance(batch, dict) else batch[row]


def assert_rows_equal(batch, singles):
    for row, single in enumerate(singles):
        np.testing.assert_equal(row_of(batch, row), single)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    case=st.sampled_from(CASES),
    seed=st.integers(0, 2**62 - 10),
    num_envs=st.integers(1, 9),
    mode=st.sampled_from(AutoresetMode),
    draw=st.integers(0, 2**32 - 1),
)
def test_row_of_a_batch_replays_as_a_single_environment(case, seed, num_envs, mode, draw):
    id, options = case
    envs = gymnasium.make_vec(id, num_envs, autoreset_mode=mode, **options)
    followers = [Follower(id, options, mode, seed + row) for row in range(num_envs)]
    observations, _ = envs.reset(seed=seed)
    assert_rows_equal(observations, [one.first for one in followers])
    envs.action_space.seed(draw)
    impatient = np.random.default_rng(draw)
    for _ in range(min(2 * envs.unwrapped.batch.task.horizon + 2, 110)):
        actions = envs.action_space.sample()
        observations, rewards, terminated, truncated, infos = envs.step(actions)
        expected = [one.step(action) for one, action in zip(followers, actions, strict=True)]
        assert_rows_equal(observations, [step[0] for step in expected])
        assert rewards.tolist() == [step[1] for step in expected]
        assert terminated.tolist() == [step[2] for step in expected]
        assert truncated.tolist() == [step[3] for step in expected]
        for row, (*_, final) in enumerate(expected):
            assert (final is not None) == bool(infos.get("_final_obs", np.zeros(num_envs))[row])
            if final is not None:
                np.testing.assert_equal(infos["final_obs"][row], final)
        if mode is AutoresetMode.DISABLED:
            mask = terminated | truncated | (impatient.random(num_envs) < 0.05)  # now and then amid an episode
            if mask.any():
                shown = [step[0] for step in expected]
                observations, _ = envs.reset(options={"reset_mask": mask})
                for row in mask.nonzero()[0]:
                    shown[row] = followers[row].restart()
                assert_rows_equal(observations, shown)


@pytest.mark.parametrize("id", ids())
def test_an_episode_that_has_ended_is_stepped_once_more_unharmed(id):
    """Under NEXT_STEP the step of a row that begins anew is computed, and discarded."""
    generator = torch.Generator().manual_seed(0)
    for options in ({}, *task_class(id).variants):
        task = make_task(id, **options)
        if task.horizon <= 70:
            env = BatchedEnv(task, 2, seed=0, autoreset=AutoresetMode.NEXT_STEP)
            env.reset()
            for _ in range(task.horizon + 2):
                seen = env.step(random_action(env.action_space, 2, generator)).observation
            assert all(part.isfinite().all() for part in leaves(seen))


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    case=st.sampled_from(CASES),
    seeds=st.lists(st.integers(0, 2**62), min_size=1, max_size=5),
    draw=st.integers(0, 2**32 - 1),
)
def test_a_list_of_seeds_gives_each_row_the_episode_of_its_own(case, seeds, draw):
    id, options = case
    envs = gymnasium.make_vec(id, len(seeds), **options)
    envs.reset(seed=99)
    envs.action_space.seed(draw)
    for _ in range(2):
        envs.step(envs.action_space.sample())
    observations, _ = envs.reset(seed=seeds)
    followers = [Follower(id, options, AutoresetMode.NEXT_STEP, seed) for seed in seeds]
    assert_rows_equal(observations, [one.first for one in followers])
    for _ in range(10):
        actions = envs.action_space.sample()
        observations, rewards, *_ = envs.step(actions)
        expected = [one.step(action) for one, action in zip(followers, actions, strict=True)]
        assert_rows_equal(observations, [step[0] for step in expected])
        assert rewards.tolist() == [step[1] for step in expected]
