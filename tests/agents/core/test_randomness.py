"""The randomness of agents: what a draw depends on, and what it does not."""

import numpy as np
import pytest
import torch
from scipy import stats

from palaestra.agents.classical.dirichlet import GAMMA_NOISE, gamma
from palaestra.agents.core.randomness import ACT, ORDER, PURPOSES, REPLAY, Randomness


def test_a_row_draws_the_same_in_a_batch_of_any_size():
    one, few, many = Randomness(3), Randomness(3), Randomness(3)
    for _ in range(40):
        wide = many.uniform(ACT, 100, 2)
        assert torch.equal(few.uniform(ACT, 7, 2), wide[:7])
        assert torch.equal(one.uniform(ACT, 1, 2), wide[:1])


@pytest.mark.parametrize("ahead", [True, False])
def test_many_steps_at_once_are_the_steps_one_by_one(ahead):
    whole, single = Randomness(5), Randomness(5)
    single.ahead = ahead
    drawn = torch.stack([single.uniform(ACT, 6, 3) for _ in range(9)])
    assert torch.equal(whole.steps(ACT, 9, 6, 3), drawn)
    assert torch.equal(whole.uniform(ACT, 6, 3), single.uniform(ACT, 6, 3))


def test_seeds_purposes_rows_and_times_draw_apart():
    draws = [Randomness(seed).steps(purpose, 50, 20, 4) for seed in (0, 1, 2**40, -1) for purpose in PURPOSES]
    whole = torch.cat([part.flatten() for part in draws])
    assert len(whole.unique()) > 0.995 * len(whole)  # of 80,000 draws from 2**24 values, 190 pairs are alike by chance
    flat = torch.stack([part.flatten() for part in draws]).numpy()
    assert np.abs(np.corrcoef(flat) - np.eye(len(flat))).max() < 5 / 4000**0.5


def test_draws_are_uniform():
    drawn = Randomness(11).steps(ACT, 100, 100, 3)
    assert stats.kstest(drawn.flatten().numpy(), "uniform").pvalue > 1e-3
    assert float(drawn.min()) >= 0
    assert float(drawn.max()) < 1


def test_whole_numbers_are_uniform_and_take_a_bound_on_the_device():
    numbers = Randomness(1).integers(REPLAY, 1, 60_000, 6)[0]
    assert stats.chisquare(numbers.bincount(minlength=6).numpy()).pvalue > 1e-3
    assert torch.equal(Randomness(1).integers(REPLAY, 1, 60_000, torch.tensor(6))[0], numbers)
    assert int(Randomness(2).integers(REPLAY, 1, 1000, 2**31)[0].max()) > 2**30


def test_permutations_hold_every_place_once_and_every_order_as_often():
    orders = Randomness(4).permutations(ORDER, 6000, 3)
    assert torch.equal(orders.sort(1).values, torch.arange(3).expand(6000, 3))
    kinds = (orders * torch.tensor([9, 3, 1])).sum(1).unique(return_counts=True)[1]
    assert len(kinds) == 6
    assert stats.chisquare(kinds.numpy()).pvalue > 1e-3


def test_a_copy_and_a_saved_state_go_on_where_the_original_stands():
    own = Randomness(8)
    for _ in range(5):
        own.uniform(ACT, 4, 2)
    own.permutations(ORDER, 2, 5)
    twin, restored = own.copy(), Randomness(0)
    restored.load_state_dict(own.state_dict())
    following = own.uniform(ACT, 4, 2)
    for other in (twin, restored):
        assert torch.equal(other.uniform(ACT, 4, 2), following)
        assert torch.equal(other.permutations(ORDER, 1, 5), own.copy().permutations(ORDER, 1, 5))


def test_gamma_variates_follow_the_gamma_distribution():
    noise = torch.rand(40_000, GAMMA_NOISE, generator=torch.Generator().manual_seed(0))
    for shape in (1.0, 1.5, 8.0, 300.0):
        drawn = gamma(torch.full((40_000,), shape), noise)
        assert stats.kstest(drawn.numpy(), stats.gamma(shape).cdf).pvalue > 1e-3
