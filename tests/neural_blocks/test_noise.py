"""Draws hashed from a seed: their distribution, their independence of the batch, and what a seed may be."""

import numpy as np
import pytest
import torch
from scipy import stats

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.noise import Draws, categorical, normal

CPU = torch.device("cpu")


def test_uniforms_and_normals_are_distributed_as_they_should():
    draws = Draws(3, CPU)
    assert stats.kstest(draws.uniform(20_000).double().numpy(), "uniform").pvalue > 0.01
    assert stats.kstest(draws.normal(20_000).double().numpy(), "norm").pvalue > 0.01


def test_the_draws_of_one_seed_and_those_of_neighbouring_seeds_do_not_resemble_each_other():
    first, second = Draws(3, CPU), Draws(4, CPU)
    drawn = torch.stack([first.uniform(10_000), first.uniform(10_000), second.uniform(10_000), second.uniform(10_000)])
    off_diagonal = torch.corrcoef(drawn)[~torch.eye(4, dtype=torch.bool)]
    assert off_diagonal.abs().max() < 0.05


def test_a_row_is_the_same_whatever_the_number_of_rows():
    assert torch.equal(Draws(3, CPU).normal(9, 2, 5)[:4], Draws(3, CPU).normal(4, 2, 5))


def test_the_same_seed_repeats_itself_however_it_is_written():
    wanted = Draws(7, CPU).uniform(5)
    for seed in (torch.tensor(7), np.int64(7), 7 + 2**64):
        assert torch.equal(Draws(seed, CPU).uniform(5), wanted)


def test_without_a_seed_torchs_global_one_decides():
    torch.manual_seed(0)
    first, second = Draws(None, CPU).uniform(5), Draws(None, CPU).uniform(5)
    torch.manual_seed(0)
    assert torch.equal(Draws(None, CPU).uniform(5), first)
    assert not torch.equal(first, second)


def test_normals_are_finite_at_both_ends_of_the_uniforms():
    ends = normal(torch.tensor([0.0, 1 - 2**-24]))
    assert ends.tolist() == pytest.approx(stats.norm.ppf([2**-25, 1 - 2**-24]), rel=1e-4)


def test_a_value_is_drawn_as_often_as_its_probability_says():
    probabilities = torch.tensor([0.0, 0.2, 0.0, 0.5, 0.3, 0.0])
    noise = torch.arange(10_000) / 10_000
    drawn = categorical(3 * probabilities.expand(10_000, -1), noise)  # of any sum
    torch.testing.assert_close(drawn.bincount(minlength=6) / 10_000, probabilities, atol=2e-4, rtol=0)


def test_the_ends_of_the_uniforms_draw_nothing_that_is_all_but_impossible():
    probabilities = torch.tensor([4e-18, 0.5, 0.5, 0.0])
    assert categorical(probabilities.expand(2, -1), torch.tensor([0.0, 1 - 2**-24])).tolist() == [1, 2]


def test_draws_compile_for_any_batch_with_a_constant_seed_too():
    """A compiler that folds a constant key into the index of the hash overflows 64 bits."""

    def drawn(x):
        return Draws(4, x.device).uniform(*x.shape)

    compiled = torch.compile(drawn, fullgraph=True, dynamic=True)
    for rows in (3, 5):
        x = torch.zeros(rows, 2)
        assert torch.equal(compiled(x), drawn(x))


@pytest.mark.parametrize("seed", [1.5, "1", torch.tensor([1]), torch.tensor(1.0), torch.Generator()])
def test_another_seed_is_refused(seed):
    with pytest.raises(InvalidInput, match=r"seed must be a whole number or a tensor of one, int64 \(\); got"):
        Draws(seed, CPU)
