"""Hand-computed examples of generative models."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from palaestra.neural_blocks.generation.autoencoder import Autoencoder
from palaestra.neural_blocks.generation.autoregressive import MaskedConv2d
from palaestra.neural_blocks.generation.diffusion import Diffusion
from palaestra.neural_blocks.generation.flow import NICE, RealNVP
from palaestra.neural_blocks.generation.gan_losses import discriminator_loss, minimax_value, spectrally_normalised
from palaestra.neural_blocks.generation.gaussian import gaussian_kl, gaussian_log_prob
from palaestra.neural_blocks.generation.pixels import dequantise


def shaken(flow):
    """The flow with random weights: couplings start as the identity."""
    torch.manual_seed(0)
    for weight in flow.parameters():
        nn.init.normal_(weight, std=0.5)
    return flow


def jacobian_of(flow, x):
    return torch.func.jacrev(lambda each: flow(each.unsqueeze(0))[0][0])(x)


def test_spectral_norm_makes_each_layer_one_lipschitz():
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))
    with torch.no_grad():
        for layer in critic[::2]:
            layer.weight.mul_(4)
    x, y = torch.randn(2, 500, 6)
    stretch = ((critic(x) - critic(y)).norm(dim=1) / (x - y).norm(dim=1)).max().item()
    assert stretch > 1
    spectrally_normalised(critic)
    for _ in range(200):
        critic(x)  # one power iteration each
    for layer in critic[::2]:
        assert np.linalg.svd(layer.weight.detach().numpy(), compute_uv=False)[0] == pytest.approx(1, abs=1e-3)
        a, b = torch.randn(2, 500, layer.in_features)
        assert ((layer(a) - layer(b)).norm(dim=1) / (a - b).norm(dim=1)).max() <= 1.001
    assert ((critic(x) - critic(y)).norm(dim=1) / (x - y).norm(dim=1)).max() <= 1.001


def test_the_log_determinant_of_real_nvp_is_the_jacobians():
    flow = shaken(RealNVP((4,), couplings=4, hidden=(8,)))
    for x in torch.randn(5, 4):
        expected = torch.linalg.slogdet(jacobian_of(flow, x)).logabsdet
        torch.testing.assert_close(flow(x.unsqueeze(0))[1][0], expected, atol=1e-4, rtol=1e-4)


def test_the_determinant_of_nice_is_one():
    flow = shaken(NICE((4,), couplings=4, hidden=(8,)))
    for x in torch.randn(5, 4):
        jacobian = jacobian_of(flow, x)
        assert (jacobian - torch.eye(4)).abs().max() > 0.1
        assert torch.linalg.det(jacobian).item() == pytest.approx(1, abs=1e-3)
        assert flow(x.unsqueeze(0))[1].item() == 0


def test_the_closed_form_gaussian_kl_is_torchs():
    torch.manual_seed(0)
    mean, log_variance, other_mean, other_log_variance = torch.randn(4, 100)
    deviation, other_deviation = (0.5 * log_variance).exp(), (0.5 * other_log_variance).exp()
    expected = kl_divergence(Normal(mean, deviation), Normal(other_mean, other_deviation))
    torch.testing.assert_close(gaussian_kl(mean, log_variance, other_mean, other_log_variance), expected)
    expected = kl_divergence(Normal(mean, deviation), Normal(0.0, 1.0))
    torch.testing.assert_close(gaussian_kl(mean, log_variance), expected)
    expected = Normal(other_mean, deviation).log_prob(mean)
    torch.testing.assert_close(gaussian_log_prob(mean, other_mean, 0.5 * log_variance), expected)


def test_the_kl_of_a_shifted_unit_gaussian_is_half_the_square():
    assert gaussian_kl(torch.tensor(3.0), torch.tensor(0.0)).item() == pytest.approx(4.5)


def test_the_value_of_the_best_discriminator_is_minus_ln_4_when_both_distributions_agree():
    """It answers 1/2 everywhere, and training towards it finds that value as the highest."""
    assert minimax_value(torch.zeros(7), torch.zeros(7)).item() == pytest.approx(-math.log(4))
    torch.manual_seed(0)
    critic = nn.Linear(1, 1)
    optimiser = torch.optim.SGD(critic.parameters(), lr=0.5)
    x = torch.randn(4000, 1)
    for _ in range(200):
        loss = discriminator_loss("minimax", critic(x)[:, 0], critic(x)[:, 0])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert -loss.item() == pytest.approx(-math.log(4), abs=1e-3)


def test_the_best_discriminator_of_two_known_densities_is_their_share():
    """D = p / (p + q): with p = (0.8, 0.2), q = (0.4, 0.6) the value is 2 JS - ln 4."""
    p, q = np.array([0.8, 0.2]), np.array([0.4, 0.6])
    logits = torch.from_numpy(np.log(p / q))
    real, fake = logits.repeat_interleave(torch.tensor([8, 2])), logits.repeat_interleave(torch.tensor([4, 6]))
    middle = (p + q) / 2
    js = 0.5 * (p * np.log(p / middle)).sum() + 0.5 * (q * np.log(q / middle)).sum()
    assert minimax_value(real, fake).item() == pytest.approx(2 * js - math.log(4))


def test_the_three_bit_autoencoder_separates_five_binary_patterns():
    """Three sigmoid units can name eight patterns; five one-hot patterns get five different rounded codes."""
    torch.manual_seed(0)
    patterns = torch.eye(5)
    model = Autoencoder((5,), 3, ())
    optimiser = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(1000):
        loss = model.loss(patterns)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    codes = model.encode(patterns).round()
    assert len({tuple(code) for code in codes.int().tolist()}) == 5
    assert torch.equal(model(patterns).round(), patterns)
    assert torch.equal(model.decode(codes).round(), patterns)


def test_a_masked_convolution_of_ones_counts_the_pixels_before():
    """3 x 3 ones over a 2 x 3 picture of ones: corners see fewer neighbours."""
    for sees_itself, expected in ((False, [[0, 1, 1], [2, 4, 3]]), (True, [[1, 2, 2], [3, 5, 4]])):
        layer = MaskedConv2d(1, 1, (3, 3), sees_itself=sees_itself)
        nn.init.ones_(layer.weight)
        nn.init.zeros_(layer.bias)
        assert layer(torch.ones(1, 1, 2, 3))[0, 0].tolist() == expected


def test_two_diffusion_steps_multiply_their_signals():
    """sqrt(0.9) sqrt(0.8) = sqrt(0.72) of the image and sqrt(1 - 0.72) of noise remain."""
    model = Diffusion((1, 1, 2), levels=2, steps=2, width=2, blocks=1)
    kept = torch.tensor([0.9, 0.72])
    model.signal, model.deviation = kept.sqrt(), (1 - kept).sqrt()
    x, noise = torch.tensor([[[[1.0, -1.0]]]]), torch.tensor([[[[0.5, 0.5]]]])
    got = model.diffuse(x, torch.tensor([1]), noise).flatten().tolist()
    assert got == pytest.approx([math.sqrt(0.72) + 0.5 * math.sqrt(0.28), -math.sqrt(0.72) + 0.5 * math.sqrt(0.28)])


def test_a_dequantised_grey_has_as_many_nats_as_the_uniform_density_over_its_bin():
    """A density of 17 on one bin of width 1/17 gives the grey probability 1: ln 17 - ln 17 = 0."""
    x = dequantise(torch.full((1000,), 4))
    density = torch.where((x >= 4 / 17) & (x < 5 / 17), 17.0, 0.0)
    assert (density.log() - math.log(17)).abs().max() < 1e-6


def test_pixels_that_know_nothing_of_each_other_are_grey_where_pictures_differ():
    """Of two pictures, each the negative of the other, independent pixels show the mean, which is neither."""
    first = torch.tensor([1.0, 0, 0, 1, 1, 0])
    pictures = torch.stack([first, 1 - first])
    logits = torch.randn(6, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    optimiser = torch.optim.LBFGS([logits], max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        told = nn.functional.binary_cross_entropy_with_logits(logits.expand(2, -1), pictures.double(), reduction="none")
        loss = told.sum(1).mean()
        loss.backward()
        return loss

    optimiser.step(closure)
    torch.testing.assert_close(logits.detach().sigmoid(), pictures.double().mean(0), atol=1e-4, rtol=0)  # all grey
    assert closure().item() == pytest.approx(6 * math.log(2), rel=1e-6)
    # one hidden choice between the two makes both sharp: half a chance each, whatever the number of pixels
    assert -math.log(0.5) < closure().item()
