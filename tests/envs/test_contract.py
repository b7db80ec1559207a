"""What every environment keeps, whatever its id and options."""

from __future__ import annotations

import copy
import io

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

from palaestra.envs import BatchedEnv, SingleEnv, make_task, score_table, scores
from palaestra.envs.adapters import batched
from palaestra.envs.contract.checker import CHECKS
from palaestra.envs.contract.probing import play, same
from palaestra.envs.contract.probing import sample_actions as actions_of
from palaestra.envs.core.actions import random_action
from palaestra.envs.core.noise import STEP, keys, uniform
from palaestra.envs.core.tracing import branch_free
from palaestra.envs.core.tree import leaves
from palaestra.envs.registry import task_class
from palaestra.envs.score_table import _table, key, measure

BATCH = 5


@pytest.mark.parametrize("name", sorted(set(CHECKS) - {"expert"}))
def test_the_public_checks_find_no_fault(case, task, name):
    CHECKS[name](task)


@pytest.mark.of_every_task  # of a variant's expert the table below tells
def test_the_public_check_of_experts_finds_no_fault(case, task):
    CHECKS["expert"](task)


def test_the_table_knows_every_variant_and_play_confirms_it(case, monkeypatch):
    id, options = case
    monkeypatch.setattr(score_table, "SEED", 2**41)  # not the episodes that the table was made from
    assert key(id, options) in _table()
    stated = scores(id, **options)
    played = measure(id, options, episodes=256, constant=stated.trivial_action)
    fewer = 1 + stated.episodes / played.episodes  # the variance of the difference, in that of the stated mean
    for policy in ("random", "trivial", "expert"):
        error = getattr(stated, f"{policy}_error") * np.sqrt(fewer)
        assert abs(getattr(stated, policy) - getattr(played, policy)) <= 4 * error + 1e-6
    assert stated.expert - stated.random > 20 * np.hypot(stated.expert_error, stated.random_error)
    assert played.expert - played.random > 8 * np.hypot(played.expert_error, played.random_error)


def test_another_default_dtype_changes_nothing(case, task):
    actions = actions_of(task, min(12, 2 * task.horizon))
    default, alone = torch.get_default_dtype(), play(BatchedEnv(task, BATCH), actions, 5)
    torch.set_default_dtype(torch.float64)
    try:
        seen = play(BatchedEnv(make_task(case[0], **case[1]), BATCH), actions, 5)
    finally:
        torch.set_default_dtype(default)
    assert same(alone, seen)
    assert [part.dtype for part in alone] == [part.dtype for part in seen]


@pytest.mark.of_every_task
def test_a_seed_gives_the_same_episodes_also_while_another_environment_runs(case, task):
    actions = actions_of(task, min(40, 3 * task.horizon))
    alone = play(BatchedEnv(task, BATCH), actions, 5)
    env, other = BatchedEnv(task, BATCH, seed=5), BatchedEnv(task, 3, seed=77)
    seen = leaves(env.reset())
    other.reset()
    for action in actions:
        other.step(action[:3])
        seen += leaves(env.step(action))
        other.reset(seed=1)
    assert same(alone, seen)


@pytest.mark.of_every_task
def test_seeds_differ(case, task):
    actions = actions_of(task, min(40, 3 * task.horizon), batch=64)
    assert not same(play(BatchedEnv(task, 64), actions, 5), play(BatchedEnv(task, 64), actions, 1005))


def test_an_episode_terminates_or_is_truncated_at_the_horizon_but_never_both(case, task):
    env = BatchedEnv(task, BATCH)
    env.reset()
    elapsed = torch.zeros(BATCH, dtype=torch.int64)
    ends = 0
    for action in actions_of(task, max(task.horizon, min(120, 3 * task.horizon))):
        step = env.step(action)
        elapsed += 1
        assert not bool((step.terminated & step.truncated).any())
        assert bool((step.done | (elapsed < task.horizon)).all())
        assert bool((~step.truncated | (elapsed == task.horizon)).all())
        assert torch.equal(env.episode_start, step.done)
        elapsed[step.done] = 0
        ends += int(step.done.sum())
    assert ends >= BATCH


def test_a_step_leads_to_what_the_rules_say_and_not_back_to_the_first_observation(case, task):
    env = BatchedEnv(task, BATCH, seed=21)
    env.reset()
    key_, moved = keys(21 + torch.arange(BATCH), STEP), False
    for count, action in enumerate(actions_of(task, min(12, task.horizon))):
        before = env.state
        noise = uniform(key_, torch.full((BATCH,), count), task.step_noise)
        expected = task.step(before, action, noise)
        step = env.step(action)
        assert same(leaves(step.final_observation), leaves(task.observe(expected.state)))
        assert torch.equal(step.reward, expected.reward)
        if not bool(step.done.any()):
            assert same(leaves(step.observation), leaves(step.final_observation))
        moved |= not same(leaves(step.final_observation), leaves(task.observe(before)))
    assert moved or task.horizon == 1  # a single guess leads nowhere


def test_the_final_observation_is_kept(case, task):
    actions = actions_of(task, task.horizon)
    apart, joined = BatchedEnv(task, 1, seed=4, autoreset=AutoresetMode.DISABLED), BatchedEnv(task, 1, seed=4)
    apart.reset()
    joined.reset()
    for action in actions:
        last, step = apart.step(action[:1]), joined.step(action[:1])
        assert same(leaves(last.observation), leaves(step.final_observation))
        if bool(step.done):
            break
    assert bool(step.done)
    assert same(leaves(step.observation), leaves(apart.reset()))


def test_the_docstring_is_the_contract(case):
    id, options = case
    text = task_class(id).__doc__
    for part in ("Observation:", "Action:", "Reward:", "Episode:", "Expert:", "Source:", "Isolates "):
        assert part in text
    names = set(task_class(id).__init__.__kwdefaults__ or {}) | set(options)
    for name in names:
        assert f"{name}: " in text or f"``{name}=" in text


def test_a_task_that_stands_still_shows_what_it_showed(case, task):
    if task.still:
        state = task.reset(torch.rand(BATCH, task.reset_noise))
        for action in actions_of(task, min(3, task.horizon)):
            following = task.step(state, action, torch.rand(BATCH, task.step_noise)).state
            assert same(leaves(task.observe(following)), leaves(task.observe(state)))
            state = following


def test_a_step_changes_the_picture(case, task):
    env = SingleEnv(task, "rgb_array")
    env.reset(seed=0)
    before = env.render()
    assert before.shape == (480, 480, 3)
    assert before.dtype == np.uint8
    assert np.array_equal(env.render(), before)
    env.step(random_action(task.action_space, 1, torch.Generator().manual_seed(0))[0].numpy())
    assert not np.array_equal(env.render(), before)
    assert len(np.unique(before.astype(int) @ [65536, 256, 1])) > 2  # more colours than background and ink


@pytest.mark.of_every_task
def test_a_batch_lives_on_the_device_of_its_task(case, task, monkeypatch):
    monkeypatch.setattr(batched, "torch_device", lambda what, device: torch.device(device))
    env = BatchedEnv(copy.deepcopy(task).to("meta"), BATCH, device="meta")  # refuses to mix with another device
    env.check_action = lambda action: action.to("meta")
    seen = leaves(env.reset())
    for action in actions_of(task, 2):
        seen += leaves(env.step(action))
        seen += [env.expert_action(), *leaves(env.state), env.episode_start]
    assert {tensor.device.type for tensor in seen} == {"meta"}


@pytest.mark.of_every_task
@pytest.mark.parametrize("mode", AutoresetMode)
def test_a_saved_batch_continues_exactly(case, task, mode):
    def ended_again(env):
        if mode is AutoresetMode.DISABLED and bool(env.ended.any()):
            env.reset(rows=env.ended.nonzero().squeeze(1))

    actions = actions_of(task, 12)
    env, other = BatchedEnv(task, BATCH, seed=1, autoreset=mode), BatchedEnv(task, BATCH, seed=2, autoreset=mode)
    env.reset()
    for action in actions[:6]:
        ended_again(env)
        env.step(action)
    file = io.BytesIO()
    torch.save(env.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert same(leaves(env.observation), leaves(other.observation))
    for action in actions[6:]:
        ended_again(env)
        ended_again(other)
        assert same(leaves(env.step(action)), leaves(other.step(action)))
        assert same([env.episode_start, env.ended], [other.episode_start, other.ended])


@pytest.mark.of_every_task
@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_a_step_as_a_pure_function_plays_the_same_episodes(case, task, mode):
    actions = actions_of(task, min(40, 3 * task.horizon))
    env, other = BatchedEnv(task, BATCH, seed=9, autoreset=mode), BatchedEnv(task, BATCH, seed=9, autoreset=mode)
    env.reset(), other.reset()
    batch = other.batch
    for action in actions:
        with branch_free():
            batch, step = env.advance(batch, other.check_action(action))
        assert same(leaves(env.step(action)), leaves(step))
    assert same(leaves(env.batch), leaves(batch))


@pytest.mark.of_every_task
def test_an_environment_leaves_its_state_alone_when_its_outputs_are_changed(case):
    id, options = case
    envs, other = gymnasium.make_vec(id, 2, **options), gymnasium.make_vec(id, 2, **options)
    observation, _ = envs.reset(seed=0)
    other.reset(seed=0)
    for action in actions_of(envs.unwrapped.batch.task, 3, batch=2):
        for part in observation.values() if isinstance(observation, dict) else [observation]:
            part.fill(0)
        observation, reward, *_ = envs.step(action.numpy())
        expected, wanted, *_ = other.step(action.numpy())
        assert np.array_equal(reward, wanted)
        np.testing.assert_equal(observation, expected)
