"""PointCloud: the discrepancy against sums over a fine grid, its falls, and what herding and random points leave."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from palaestra.envs import make_task
from palaestra.envs.generation.point_cloud import WIDTH
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/PointCloud-v0"
LINE = np.arange(-3, 3.001, 0.04)  # so fine that sums over it are integrals, for the narrowest hill to 1e-16


def played(task, policy, seed=0, count=6):
    """The state after a whole episode, its returns and its last metrics."""
    torch.manual_seed(seed)
    state = task.reset(torch.rand(count, task.reset_noise))
    total = torch.zeros(count)
    for _ in range(task.horizon):
        step = task.step(state, policy(state), torch.zeros(count, 0))
        total, state = total + step.reward, step.state
    assert step.terminated.all()
    return state, total, step.metrics["discrepancy"]


def by_sums(weight, centre, deviation, points):
    """Squared discrepancy and the density's own kernel from the density's values on the grid, nothing closed."""
    density = np.zeros((len(LINE), len(LINE)))
    for share, (x, y), width in zip(weight, centre, deviation, strict=True):
        one = [np.exp(-((LINE - at) ** 2) / (2 * width**2)) for at in (x, y)]
        density += share * np.outer(*one) / (2 * np.pi * width**2)
    density *= (LINE[1] - LINE[0]) ** 2
    kernel = np.exp(-((LINE[:, None] - LINE) ** 2) / (2 * WIDTH**2))
    own = (density * (kernel @ density @ kernel)).sum()
    to_points = np.exp(-((LINE - points[..., None]) ** 2) / (2 * WIDTH**2))  # (N, 2, grid)
    between = np.einsum("ni,ij,nj->n", to_points[:, 0], density, to_points[:, 1]).mean()
    apart = ((points[:, None] - points) ** 2).sum(2)
    return own - 2 * between + np.exp(-apart / (2 * WIDTH**2)).mean(), own


def test_the_discrepancy_is_what_sums_over_a_fine_grid_give():
    task = make_task(ID)
    state, total, discrepancy = played(task, lambda state: 2 * torch.rand(6, 2) - 1)
    assert torch.equal(state.weight.sum(1), torch.ones(6))
    for row in range(6):
        parts = (part[row].double().numpy() for part in (state.weight, state.centre, state.deviation, state.points))
        squared, own = by_sums(*parts)
        assert discrepancy[row].item() == pytest.approx(squared, abs=2e-6)
        assert total[row].item() == pytest.approx(1 - squared / own, abs=2e-6)


def test_the_expert_takes_the_best_place_of_the_grid():
    task = make_task(ID, points=5)
    state = task.reset(torch.rand(20, task.reset_noise))
    places = torch.cartesian_prod(task.grid, task.grid).expand(20, -1, -1)
    for _ in range(5):
        action = task.expert(state)
        fall, best = task._fall(state, action[:, None].double()), task._fall(state, places).max(1).values
        torch.testing.assert_close(fall[:, 0], best, atol=2e-4, rtol=0)  # to the grid of the rounding
        state = task.step(state, action, torch.zeros(20, 0)).state


def test_herding_leaves_little_and_random_points_much():
    task = make_task(ID)
    _, herded, _ = played(task, task.expert, count=200)
    _, scattered, _ = played(task, lambda state: 2 * torch.rand(200, 2) - 1, count=200)
    assert herded.mean() > 0.9
    assert scattered.mean() < 0.6


def test_no_points_are_refused():
    with pytest.raises(InvalidInput, match="PointCloud: points must be a whole number from 1 to 256; got 0"):
        make_task(ID, points=0)
