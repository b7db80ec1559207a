"""Every environment compiled and captured plays the episodes that it plays eagerly.

Generating code takes seconds an environment, so most are traced and run as operators; a few are compiled to the end.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import gymnasium
import pytest
import torch
from gymnasium.vector import AutoresetMode

from palaestra.envs import BatchedEnv, ids, make_batched, make_sb3, make_task
from palaestra.envs.adapters.compiled_batch import CompiledBatch
from palaestra.envs.core.actions import random_action
from palaestra.envs.core.execution import Captured, Compiled
from palaestra.envs.core.tree import leaves
from palaestra.neural_blocks.errors import InvalidInput

_specification = importlib.util.spec_from_file_location("tape", Path(__file__).parent / "core" / "tape.py")
tape = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(tape)

BATCH = 4
each_id = pytest.mark.parametrize("id", ids())


def actions_of(env, steps):
    generator = torch.Generator().manual_seed(0)
    return [random_action(env.action_space, env.num_envs, generator) for _ in range(steps)]


def assert_same(first, second, tolerance=0.0):
    for a, b in zip(leaves(first), leaves(second), strict=True):
        assert a.dtype == b.dtype
        assert torch.allclose(a.double(), b.double(), rtol=tolerance, atol=tolerance, equal_nan=True)


def play(env, other, steps, tolerance=0.0):
    """Two batches side by side, reset under DISABLED and once more amid an episode; everything they give is kept."""
    kept = [(env.reset(3), other.reset(3))]
    for turn, action in enumerate(actions_of(env, steps)):
        kept.append((env.step(action), other.step(action)))
        if env.autoreset is AutoresetMode.DISABLED and bool(env.ended.any()):
            kept.append(tuple(one.reset(rows=one.ended.nonzero().squeeze(1)) for one in (env, other)))
        if turn == steps // 2:
            rows = torch.tensor([1, 3])
            kept.append((env.reset(rows=rows), other.reset(rows=rows)))
        kept.append(
            ((env.observation, env.episode_start, env.ended), (other.observation, other.episode_start, other.ended))
        )
    for one, two in kept:
        assert_same(one, two, tolerance)
    assert_same(env.batch, other.batch, tolerance)


def captured(task, mode=AutoresetMode.SAME_STEP):
    """A batch run as on CUDA, with a tape for the graph."""
    env = BatchedEnv(task, BATCH, autoreset=mode)
    env.execution, env._row_by_row = "captured", False
    env._run = Captured(env.advance, env.name, recorder=tape.Tape)
    return env


def traced(task, mode=AutoresetMode.SAME_STEP):
    """A compiled batch whose programs run as operators, without generating code."""
    env = BatchedEnv(task, BATCH, autoreset=mode, execution="compiled")
    env._run = CompiledBatch(env.advance, env.check_action, env.name, "aot_eager")
    return env


@each_id
def test_a_captured_environment_plays_the_same_episodes(id):
    task = make_task(id)
    play(BatchedEnv(task, BATCH), captured(task), min(12, task.horizon + 2))


@each_id
def test_a_traced_environment_plays_the_same_episodes(id):
    task = make_task(id)
    play(BatchedEnv(task, BATCH), traced(task), min(12, task.horizon + 2))


@pytest.mark.parametrize("id", ["palaestra/RepeatPrevious-v0", "palaestra/Glimpse-v0"])
def test_stacked_frames_are_the_same_traced_and_captured(id):
    for other in (traced, captured):
        task = make_task(id, frame_stack=3)
        play(BatchedEnv(task, BATCH), other(task), min(12, task.horizon + 2))


@each_id
def test_a_larger_compiled_function_traces_through_a_step(id):
    task = make_task(id)
    env, other = BatchedEnv(task, BATCH, seed=3), BatchedEnv(task, BATCH, seed=3)
    env.reset(), other.reset()
    unit = Compiled(lambda tree, action: env.advance(tree, action), "Test", "eager")
    batch = env.batch
    for action in actions_of(env, 3):
        batch, step = unit(batch, env.check_action(action))
        assert_same(other.step(action), step)


@pytest.mark.parametrize("mode", AutoresetMode)
def test_every_autoreset_mode_holds_when_traced_and_captured(walk, mode):
    for other in (traced(walk, mode), captured(walk, mode)):
        play(BatchedEnv(walk, BATCH, autoreset=mode), other, 20)


WRONG = {
    "DigitBandit": torch.tensor([0, 10, 1, 2]),
    "Copy": torch.tensor([0, 1, -1, 2]),
    "PointGoal": torch.tensor([[0.0, 0.0], [0.0, 0.2], [0.0, 0.0], [0.0, 0.0]]),
    "LIFNeuron": torch.tensor([[0.0], [1.0], [torch.nan], [0.5]]),
    "AttackDefend": {"attacker": torch.zeros(BATCH, 1, 8, 8), "defender": torch.tensor([0, 0, 12, 0])},
}


@pytest.mark.parametrize("name", WRONG)
def test_a_compiled_batch_refuses_a_wrong_action_in_the_same_words_and_stays_where_it_was(name):
    task = make_task(f"palaestra/{name}-v0")
    env, eager = traced(task), BatchedEnv(task, BATCH)
    env.reset(3), eager.reset(3)
    right = actions_of(env, 2)
    assert_same(env.step(right[0]), eager.step(right[0]))
    with pytest.raises(InvalidInput) as told:
        eager.step(WRONG[name])
    with pytest.raises(InvalidInput, match=f"^{re.escape(str(told.value))}$"):
        env.step(WRONG[name])
    assert_same(env.step(right[1]), eager.step(right[1]))


@pytest.mark.parametrize(("name", "tolerance"), [("RepeatPrevious", 0.0), ("PointGoal", 1e-6)])
def test_generated_code_plays_the_same_episodes(name, tolerance):
    id = f"palaestra/{name}-v0"
    play(make_batched(id, BATCH), make_batched(id, BATCH, execution="compiled"), 60, tolerance)


def test_a_saved_batch_continues_in_another_way_of_running():
    task = make_task("palaestra/Copy-v0")
    env, other, third = BatchedEnv(task, BATCH, seed=5), captured(task), captured(task)
    env.reset()
    actions = actions_of(env, 9)
    for action in actions[:3]:
        env.step(action)
    other.load_state_dict(env.state_dict())
    for action in actions[3:6]:
        assert_same(env.step(action), other.step(action))
    saved = other.state_dict()
    other.step(actions[6])  # which overwrites the tensors of the graph, not what was saved
    third.load_state_dict(saved)
    for action in actions[6:]:
        assert_same(env.step(action), third.step(action))


def test_what_a_captured_environment_gave_stays_as_it_was():
    env = captured(make_task("palaestra/RepeatPrevious-v0"))
    observation, state, ended = env.reset(), env.state, env.ended
    first = [tensor.clone() for tensor in leaves((observation, state, ended))]
    steps = [env.step(action) for action in actions_of(env, 5)]
    states = [tensor.clone() for tensor in leaves((env.state, env.observation, *steps))]
    kept = (env.state, env.observation, *steps)
    for action in actions_of(env, 5):
        env.step(action)
    assert_same(tuple(first), tuple(leaves((observation, state, ended))))
    assert_same(tuple(states), tuple(leaves(kept)))


def test_every_maker_takes_the_execution_and_says_it():
    id = "palaestra/Copy-v0"
    assert make_batched(id, 2).execution == "eager"
    assert make_batched(id, 2, execution="compiled").execution == "compiled"
    assert make_sb3(id, 2, execution="compiled").batch.execution == "compiled"
    assert gymnasium.make_vec(id, 2, execution="compiled").unwrapped.batch.execution == "compiled"


def test_a_wrong_execution_is_refused_in_one_line():
    for make in (make_batched, lambda id, size, execution: gymnasium.make_vec(id, size, execution=execution)):
        with pytest.raises(
            InvalidInput, match=r"Copy: execution must be .* on cpu, as only CUDA has graphs; got 'captured'"
        ):
            make("palaestra/Copy-v0", 2, execution="captured")
        with pytest.raises(InvalidInput, match=r"Copy: execution must be one of .*got 'jit'"):
            make("palaestra/Copy-v0", 2, execution="jit")
