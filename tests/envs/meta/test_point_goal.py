"""PointGoal by hand, and its published returns."""

from __future__ import annotations

import math

import pytest
import torch

from palaestra.envs import BatchedEnv, make_task
from palaestra.envs.score_table import measure

ID = "palaestra/PointGoal-v0"


def test_an_episode_computed_by_hand():
    """A goal at (0.3, -0.2): the straight way is 0.1 on each axis, and the second axis is right after two steps."""
    task = make_task(ID, length=3, episodes=1)
    state = task.reset(torch.tensor([[0.8, 0.3]]))
    actions = [(0.1, -0.1), (0.1, -0.1), (0.1, 0.0)]
    positions = [(0.1, -0.1), (0.2, -0.2), (0.3, -0.2)]
    assert task.observe(state).tolist() == [[0, 0]]
    for action, position, distance in zip(actions, positions, (math.sqrt(0.05), 0.1, 0), strict=True):
        torch.testing.assert_close(task.expert(state), torch.tensor([action]))
        step = task.step(state, torch.tensor([action]), torch.empty(1, 0))
        assert step.reward.tolist() == pytest.approx([-distance], abs=1e-6)
        assert step.metrics["distance"].tolist() == pytest.approx([distance], abs=1e-6)
        assert step.terminated.tolist() == [False]
        state = step.state
        torch.testing.assert_close(task.observe(state), torch.tensor([position]))


def test_the_expert_returns_about_minus_a_half_and_staying_minus_38():
    """Staying pays a hundred times the mean distance from a unit square's centre, (sqrt 2 + asinh 1) / 6."""
    assert measure(ID, {"episodes": 1}, episodes=4096).expert == pytest.approx(-0.51, abs=0.015)
    env = BatchedEnv(make_task(ID, episodes=1), 16384, seed=5)
    env.reset()
    total = sum(env.step(torch.zeros(16384, 2)).reward.double() for _ in range(100))
    assert float(total.mean()) == pytest.approx(-100 * (math.sqrt(2) + math.asinh(1)) / 6, abs=0.5)
    assert float(total.mean()) == pytest.approx(-38.3, abs=0.5)


def test_no_other_way_is_better_than_the_expert_s():
    """Any actions are at best as near, at every single step, as the straight way on each axis."""
    best, other = (BatchedEnv(make_task(ID, episodes=1), 512, seed=1) for _ in range(2))
    best.reset()
    other.reset()
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        push = 0.1 * torch.randn(512, 2, generator=generator)
        near = best.step(best.expert_action()).reward
        assert bool((near >= other.step((other.expert_action() + push).clamp(-0.1, 0.1)).reward - 1e-6).all())


def test_a_trial_keeps_its_goal_and_starts_each_episode_at_the_origin():
    env = BatchedEnv(make_task(ID, length=4, reach=2.0, episodes=3), 64, seed=2)
    env.reset()
    goal = env.state.problem.clone()
    assert 1.5 < float(goal.abs().max()) <= 2
    for count in range(11):
        assert bool((env.observation["observation"] == 0).all()) == (count % 4 == 0)
        assert torch.equal(env.state.inner.goal, goal)
        env.step(env.expert_action())


def test_a_goal_that_is_shown_is_free_within_a_twentieth_on_each_axis_and_other_goals_are_judged_alike():
    """A goal at (0.25, -0.125), numbers that float32 has: 0.1 away from it costs, so does 0.06 on one axis."""
    task = make_task(ID, goal="shown", length=4, episodes=1)
    state = task.reset(torch.tensor([[0.75, 0.375]]))
    for action, reward in (((0.1, -0.1), -1), ((0.1, 0.0), 0), ((0.09, -0.01), 0), ((0.02, 0.0), -1)):
        step = task.step(state, torch.tensor([action]), torch.empty(1, 0))
        seen = task.observe(step.state)
        assert step.reward.tolist() == [reward]
        assert torch.equal(seen["achieved_goal"], seen["observation"])
        assert seen["desired_goal"].tolist() == [[0.25, -0.125]]
        state = step.state
    places = torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.3, -0.2]])
    reward, ends = task.goal_outcome(places, torch.tensor([[0.04, -0.04], [0.04, -0.06], [0.3, -0.2]]))
    assert reward.tolist() == [0, -1, 0]
    assert ends is None


def test_the_expert_is_at_a_goal_that_is_shown_as_soon_as_can_be():
    """After ceil((d - 0.05) / 0.1) steps of 0.1, d being how far it is on the axis on which it is farther."""
    env = BatchedEnv(make_task(ID, goal="shown", reach=1.0, length=30, episodes=1), 256, seed=3)
    env.reset()
    apart = env.state.goal.double().abs().amax(1)
    total = sum(env.step(env.expert_action()).reward for _ in range(30))
    needed = ((apart - 0.05) / 0.1).ceil()
    unsure = ((apart - 0.05) / 0.1 - ((apart - 0.05) / 0.1).round()).abs() < 1e-4  # rounding decides
    costs = (needed - 1).clamp(min=0)  # the step that arrives costs nothing
    assert torch.equal(-total[~unsure].double(), costs[~unsure])
    assert int(unsure.sum()) < 5
