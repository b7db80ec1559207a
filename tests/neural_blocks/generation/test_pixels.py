"""Discrete pixels: scales, dequantisation and the discretised logistic distribution against SciPy."""

import math

import pytest
import torch
from scipy.stats import logistic

from palaestra.neural_blocks.generation.pixels import (
    bits_per_dimension,
    dequantise,
    discretised_logistic,
    quantise,
    unit_scale,
)


def test_quantising_undoes_scaling():
    pixels = torch.arange(17)
    assert torch.equal(quantise(unit_scale(pixels)), pixels)
    assert quantise(torch.tensor([-0.2, 0.03, 0.04, 1.3])).tolist() == [0, 0, 1, 16]


def test_dequantised_pixels_stay_in_their_bins():
    pixels = torch.randint(17, (100, 64))
    x = dequantise(pixels)
    assert torch.equal((x * 17).floor().long(), pixels)
    assert (x * 17 - pixels).mean().item() == pytest.approx(0.5, abs=0.02)


def test_a_byte_of_uniform_pixels_has_eight_bits():
    log_prob = torch.tensor([10 * math.log(1 / 256)])
    assert bits_per_dimension(log_prob, 10).item() == pytest.approx(8)


@pytest.mark.parametrize(("mean", "scale"), [(0.5, 0.1), (0.0, 0.03), (1.2, 0.3), (0.31, 0.01)])
def test_the_discretised_logistic_is_the_mass_of_each_bin(mean, scale):
    pixels = torch.arange(17)
    got = discretised_logistic(pixels, torch.tensor(mean), torch.tensor(math.log(scale))).double()
    edges = (torch.arange(16).double() + 0.5) / 16
    cumulative = torch.tensor([0.0, *logistic.cdf(edges, mean, scale), 1.0], dtype=torch.float64)
    assert got.exp().sum().item() == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(got.exp(), cumulative.diff(), atol=1e-6, rtol=1e-3)


def test_the_discretised_logistic_neither_underflows_nor_loses_its_gradient():
    mean = torch.tensor(0.0, requires_grad=True)
    log_prob = discretised_logistic(torch.tensor([8, 16]), mean, torch.tensor(-7.0))
    assert torch.isfinite(log_prob).all()
    log_prob.sum().backward()
    assert mean.grad > 0
