"""Flows: exact inverses, determinants and densities."""

import math

import pytest
import torch

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.generation.flow import NICE, MarginalGaussianisation, PixelFlow, RealNVP


def shaken(flow, seed=0):
    """A flow whose couplings are no longer the identity that they start as."""
    torch.manual_seed(seed)
    for weight in flow.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return flow


FLOWS = {
    "NICE": lambda: shaken(NICE((6,), hidden=(16,))),
    "RealNVP": lambda: shaken(RealNVP((6,), hidden=(16,))),
    "RealNVP on pictures": lambda: shaken(RealNVP((1, 4, 4), hidden=(16,))),
}


@pytest.fixture(params=FLOWS)
def flow(request):
    return FLOWS[request.param]()


def test_inverse_undoes_forward(flow):
    x = torch.randn(50, *flow.shape)
    z, _ = flow(x)
    assert (z - x).abs().max() > 0.5
    torch.testing.assert_close(flow.inverse(z), x, atol=1e-4, rtol=0)


def test_log_determinant_is_the_jacobians(flow):
    x = torch.randn(3, *flow.shape)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda each: flow(each.unsqueeze(0))[0].flatten()))(x)
    expected = torch.linalg.slogdet(jacobian.flatten(2)).logabsdet
    torch.testing.assert_close(flow(x)[1], expected, atol=1e-4, rtol=1e-4)


def test_log_prob_is_the_normal_density_of_the_latent_plus_the_log_determinant(flow):
    x = torch.randn(5, *flow.shape)
    z, log_det = flow(x)
    normal = torch.distributions.Normal(0.0, 1.0).log_prob(z).flatten(1).sum(1)
    torch.testing.assert_close(flow.log_prob(x), normal + log_det)
    torch.testing.assert_close(flow.loss(x), -(normal + log_det).mean())


@pytest.mark.parametrize("make", [NICE, RealNVP])
def test_density_integrates_to_one(make):
    flow = shaken(make((2,), couplings=4, hidden=(16,)))
    axis = torch.linspace(-12, 12, 601)
    points = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        mass = flow.log_prob(points).exp().sum().item() * (axis[1] - axis[0]).item() ** 2
    assert mass == pytest.approx(1, abs=1e-3)


def test_every_dimension_changes(flow):
    x = torch.randn(1, *flow.shape)
    assert ((flow(x)[0] - x).abs() > 1e-4).all()


def test_pictures_are_halved_as_a_checkerboard():
    first, second = RealNVP((1, 2, 4), couplings=2).layers
    assert first.mask.tolist() == [[[1, 0, 1, 0], [0, 1, 0, 1]]]
    torch.testing.assert_close(second.mask, 1 - first.mask)


@pytest.fixture
def pixels():
    generator = torch.Generator().manual_seed(0)
    frequencies = torch.tensor([[0.7, 0.1, 0.1, 0.1], [0.25, 0.25, 0.25, 0.25], [0.05, 0.05, 0.45, 0.45], [1, 0, 0, 0]])
    return torch.multinomial(frequencies, 500, replacement=True, generator=generator).T.reshape(500, 1, 2, 2)


def test_marginals_become_gaussian(pixels):
    layer = MarginalGaussianisation((1, 2, 2), 4)
    layer.fit(pixels)
    noise = torch.rand(pixels.shape, generator=torch.Generator().manual_seed(1))
    x = (pixels + noise) / 4
    z, log_det = layer(x)
    torch.testing.assert_close(z.mean(0), torch.zeros(1, 2, 2), atol=0.15, rtol=0)
    torch.testing.assert_close(z.std(0), torch.ones(1, 2, 2), atol=0.15, rtol=0)
    torch.testing.assert_close(layer.inverse(z), x, atol=1e-4, rtol=0)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda each: layer(each.unsqueeze(0))[0].flatten()))(x[:20])
    expected = torch.linalg.slogdet(jacobian.flatten(2)).logabsdet
    torch.testing.assert_close(log_det[:20], expected, atol=1e-3, rtol=1e-3)


def test_an_untrained_pixel_flow_is_the_density_of_independent_pixels(pixels):
    flow = PixelFlow((1, 2, 2), levels=4, couplings=2, hidden=(8,))
    flow.marginals.fit(pixels)
    counts = torch.nn.functional.one_hot(pixels, 4).sum(0) + 0.1
    expected = (counts / counts.sum(-1, keepdim=True)).log().expand(500, 1, 2, 2, 4)
    expected = expected.gather(-1, pixels.unsqueeze(-1)).flatten(1).sum(1)
    torch.testing.assert_close(flow.log_prob(pixels), expected, atol=2e-3, rtol=0)
    bits = -expected.mean().item() / (4 * math.log(2))
    assert flow.loss(pixels).item() == pytest.approx(bits, abs=1e-3)


def test_an_untrained_pixel_flow_samples_independent_pixels(pixels):
    flow = PixelFlow((1, 2, 2), levels=4, couplings=2, hidden=(8,))
    flow.marginals.fit(pixels)
    drawn = flow.sample(5000, seed=0)
    wanted, got = (torch.nn.functional.one_hot(x, 4).float().mean(0) for x in (pixels, drawn))
    torch.testing.assert_close(got, wanted, atol=0.03, rtol=0)


def test_double_precision_stays_and_is_as_exact_as_it_says(pixels):
    layer = MarginalGaussianisation((1, 2, 2), 4).double()
    layer.fit(pixels)
    x = torch.rand(50, 1, 2, 2, dtype=torch.float64)
    z, log_det = layer(x)
    assert z.dtype == log_det.dtype == layer.inverse(z).dtype == torch.float64
    torch.testing.assert_close(layer.inverse(z), x, atol=1e-12, rtol=0)
    assert PixelFlow((1, 2, 2), levels=4, couplings=2, hidden=(8,)).double().log_prob(pixels).dtype == torch.float64


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: NICE((5,)), r"NICE: an even number of dimensions is halved; got 5, shape \(5,\)"),
        (lambda: RealNVP((1, 3, 3)), "RealNVP: an even number of dimensions is halved; got 9"),
        (lambda: RealNVP((4,), couplings=1), "at least 2 to change both halves; got 1"),
        (lambda: RealNVP((4,)).log_prob(torch.zeros(2, 6)), r"\(B, 4\); got \(2, 6\)"),
        (lambda: RealNVP((4,)).inverse(torch.zeros(2, 6)), r"\(B, 4\); got \(2, 6\)"),
    ],
)
def test_bad_input_is_refused(wrong, message):
    with pytest.raises(InvalidInput, match=message):
        wrong()
