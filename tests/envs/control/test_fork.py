"""Fork by hand, and what its expert does from the same place."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from palaestra.envs import BatchedEnv, make_task
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/Fork-v0"
NONE = torch.zeros(1, 4)


def drive(task, state, actions):
    """The steps of one car that steers like this."""
    steps = []
    for action in actions:
        steps.append(task.step(state, torch.tensor([[action]]), NONE))
        state = steps[-1].state
    return steps


def test_a_fork_computed_by_hand():
    """From the middle, 4 steps before gates at 0.4: half steering reaches one, a third of it the obstacle."""
    task = make_task(ID, forks=2)
    state = task.reset(torch.tensor([[0.5, 0.0, 0.0, 0.9]]))
    assert task.observe(state).tolist() == [pytest.approx([0, 0.4, 0.5])]
    assert task.expert(state).tolist() == [[pytest.approx(0.5)]]
    for steering, reward in ((0.5, 0.5), (-0.5, 0.5), (0.63, 0.0), (0.37, 0.0), (0.0, 0.0), (0.6, 0.5)):
        steps = drive(task, state, [steering] * 4)
        assert [float(step.reward) for step in steps] == [0, 0, 0, pytest.approx(reward)]
        last = steps[-1]
        assert bool(last.terminated) == bool(last.state.crashed) == (reward == 0)
        assert float(last.metrics["passed"]) == (reward > 0)
        assert int(last.state.before) == (0 if reward == 0 else 1 if steering > 0 else -1)
        if reward:  # the next fork of uniforms 0: 0.02 left of the middle, a gate at 0.4 four steps ahead
            assert task.observe(last.state).tolist() == [pytest.approx([-0.02, 0.4, 0.5])]
        else:
            assert task.observe(last.state).tolist() == [pytest.approx([0.8 * steering, 0.4, 0])]


def test_the_episode_ends_with_the_last_fork_and_says_which_side_was_taken():
    task = make_task(ID, forks=2)
    state = task.reset(torch.tensor([[0.5, 0.0, 0.0, 0.9]]))
    for second, other in ((-0.5, 1), (0.5, 0)):
        steps = drive(task, state, [0.5] * 4 + [second] * 4)
        assert [bool(step.terminated) for step in steps] == [False] * 7 + [True]
        assert math.isnan(float(steps[3].metrics["other_side"]))
        assert float(steps[7].metrics["other_side"]) == other
        assert int(steps[7].state.passed) == 2


def test_the_expert_goes_left_as_often_as_right_from_the_same_place():
    task, count = make_task(ID), 4000
    noise = torch.rand(1, 4).repeat(count, 1)
    noise[:, 3] = torch.rand(count)
    state = task.reset(noise)
    assert len(task.observe(state).unique(dim=0)) == 1
    right = int((task.expert(state) > 0).sum())
    assert stats.binomtest(right, count).pvalue > 0.01
    assert task.expert(state).mean().abs() < 0.05 < task.expert(state).abs().min()


def test_away_from_the_middle_the_expert_goes_to_the_gate_on_its_side():
    task = make_task(ID)
    state = task.reset(torch.tensor([[0.5, 0.0, 0.0, 0.9]]))  # its coin says right
    state = drive(task, state, [-0.6])[0].state
    assert float(task.expert(state)) == pytest.approx((-0.4 + 0.12) / (3 * 0.2), abs=1e-6)


@pytest.mark.parametrize(("remembers", "share"), [(False, 0.5), (True, 1.0)])
def test_an_expert_that_remembers_always_takes_the_other_side(remembers, share):
    env = BatchedEnv(make_task(ID, forks=4, remembers=remembers), 500)
    env.reset()
    sides = []
    for _ in range(40):
        step = env.step(env.expert_action())
        sides.append(step.metrics["other_side"])
        assert bool((step.reward.isclose(torch.tensor(0.25)) | (step.reward == 0)).all())
        assert not bool((step.metrics["passed"] == 0).any())
    sides = torch.cat(sides)
    sides = sides[~sides.isnan()]
    assert abs(float(sides.mean()) - share) < 4 * math.sqrt(share * (1 - share) / len(sides)) + 1e-6


def test_wrong_options_are_refused():
    with pytest.raises(InvalidInput, match="Fork: forks must be a whole number from 1 to 1000; got 0"):
        make_task(ID, forks=0)
    with pytest.raises(InvalidInput, match="Fork: remembers must be a whole number from 0 to 1; got 2"):
        make_task(ID, remembers=2)
