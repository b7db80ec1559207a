"""TabularMDP: its tables' distributions, its process, and value iteration written apart."""

from __future__ import annotations

import numpy as np
import torch
from scipy import stats

from palaestra.envs import BatchedEnv, make_task
from palaestra.envs.core.tree import take
from palaestra.envs.meta.tabular_mdp import TabularMDPTables
from palaestra.envs.score_table import measure

ID = "palaestra/TabularMDP-v0"


def problems(count, **options):
    task = make_task(ID, episodes=1, **options)
    return task, task.sample(torch.rand(count, task.sample_noise, generator=torch.Generator().manual_seed(0)))


def test_transitions_are_dirichlet_and_mean_rewards_normal():
    """A part of a Dirichlet(1, ..., 1) vector of S parts is Beta(1, S - 1); two of them correlate as -1 / (S - 1)."""
    _, tables = problems(400)
    rows = tables.transition.double().reshape(-1, 10).numpy()
    assert rows.shape == (400 * 50, 10)
    np.testing.assert_allclose(rows.sum(1), 1, atol=1e-5)
    for column in (0, 4, 9):
        assert stats.kstest(rows[:, column], stats.beta(1, 9).cdf).pvalue > 0.01
    apart = np.corrcoef(rows.T) - np.where(np.eye(10), 1, -1 / 9)
    assert np.abs(apart).max() < 5 / len(rows) ** 0.5
    assert stats.kstest(tables.mean.double().numpy().ravel(), stats.norm(1, 1).cdf).pvalue > 0.01


def test_states_and_rewards_follow_the_tables():
    task, tables = problems(1)
    count = 50_000
    state = task.begin(take(tables, torch.zeros(count, dtype=torch.int64)), torch.empty(count, 0))
    assert task.observe(state).unique().tolist() == [0]
    step = task.step(state, torch.full((count,), 3), torch.rand(count, 2, generator=torch.Generator().manual_seed(1)))
    expected = tables.transition[0, 0, 3].double().numpy()
    seen = np.bincount(task.observe(step.state).numpy(), minlength=10)
    assert stats.chisquare(seen, count * expected / expected.sum()).pvalue > 0.001
    mean = float(tables.mean[0, 0, 3])
    assert stats.kstest(step.reward.double().numpy(), stats.norm(mean, 1).cdf).pvalue > 0.001
    assert step.metrics["mean_reward"].unique().tolist() == [mean]


def test_a_process_without_chance_computed_by_hand():
    """Two states, two actions: action 1 changes the state; changing pays 0 from state 0 and 3 from state 1; staying 1.

    With one step left staying is best in state 0; with two, going to state 1 (0 + 3) beats staying twice (1 + 1).
    """
    task = make_task(ID, states=2, actions=2, length=2, episodes=1)
    stay, change = [[1.0, 0], [0, 1]], [[0, 1.0], [1, 0]]
    transition = torch.tensor([[stay[0], change[0]], [stay[1], change[1]]])[None]
    state = task.begin(TabularMDPTables(transition, torch.tensor([[[1.0, 0], [1, 3]]])), torch.empty(1, 0))
    median = torch.full((1, 2), 0.5)
    assert task.expert(state).tolist() == [1]
    assert task.expert(task.step(state, torch.tensor([0]), median).state).tolist() == [0]
    step = task.step(state, torch.tensor([1]), median)
    assert (step.reward.tolist(), step.terminated.tolist(), task.observe(step.state).tolist()) == ([0], [False], [1])
    assert task.expert(step.state).tolist() == [1]
    last = task.step(step.state, torch.tensor([1]), median)
    assert (last.reward.tolist(), last.terminated.tolist(), task.observe(last.state).tolist()) == ([3], [True], [0])


def value_iteration(transition, mean, steps):
    """The best actions with 1, ..., `steps` steps left, and the best expected return, by plain loops."""
    value, policies = np.zeros(len(mean)), []
    for _ in range(steps):
        q = np.array([[mean[s, a] + transition[s, a] @ value for a in range(mean.shape[1])] for s in range(len(mean))])
        value, policies = q.max(1), [*policies, q.argmax(1)]
    return policies, value


def test_the_expert_is_value_iteration():
    env = BatchedEnv(make_task(ID, episodes=1), 40, seed=3)
    env.reset()
    tables = env.state.tables
    plans = [
        value_iteration(t.double().numpy(), m.double().numpy(), 10)[0]
        for t, m in zip(tables.transition, tables.mean, strict=True)
    ]
    generator = torch.Generator().manual_seed(0)
    for left in range(10, 0, -1):
        expected = [plan[left - 1][place] for plan, place in zip(plans, env.observation.tolist(), strict=True)]
        assert env.expert_action().tolist() == expected
        env.step(torch.randint(5, (40,), generator=generator))


def test_ten_episodes_return_100_at_random_and_the_optimal_values_under_the_expert():
    played = measure(ID, {}, episodes=512)
    assert abs(played.random - 99.6) < 4 * played.random_error
    _, tables = problems(300)
    optimal = [
        10 * value_iteration(t.double().numpy(), m.double().numpy(), 10)[1][0]
        for t, m in zip(tables.transition, tables.mean, strict=True)
    ]
    error = np.hypot(played.expert_error, np.std(optimal) / len(optimal) ** 0.5)
    assert abs(played.expert - np.mean(optimal)) < 4 * error


def test_uniforms_at_the_ends_of_their_range_give_finite_tables():
    task = make_task(ID, episodes=1)
    for end in (0.0, 1 - 2.0**-24):
        tables = task.sample(torch.full((1, task.sample_noise), end))
        assert bool(tables.transition.isfinite().all() & tables.mean.isfinite().all())
        step = task.step(task.begin(tables, torch.empty(1, 0)), torch.tensor([0]), torch.full((1, 2), end))
        assert bool(step.reward.isfinite())
        assert step.state.position.tolist() == [0 if end == 0 else 9]
