"""What generative blocks expect of missing pixels, against closed forms and against sums over all pictures."""

import itertools

import pytest
import torch

from palaestra.neural_blocks.generation.autoregressive import PixelCNN
from palaestra.neural_blocks.generation.diffusion import Diffusion
from palaestra.neural_blocks.generation.vae import VAE
from palaestra.neural_blocks.neurons.energy import RBM


def test_a_linear_autoencoder_expects_the_conditional_mean_of_a_normal_distribution():
    torch.manual_seed(0)
    model = VAE((1, 1, 4), 2, (), likelihood="gaussian")
    layer = model.decoder.layers[-1]
    with torch.no_grad():
        layer.weight.copy_(0.1 * torch.randn(4, 2))
        layer.bias.fill_(0.5)
        for encoder in model.encoder.parameters():
            encoder.zero_()  # so that latents are drawn from the prior, and weights alone tell them apart
    x, missing = torch.tensor([[0.7, 0.0, 0.45, 0.0]]), torch.tensor([[False, True, False, True]])
    found = model.restore(x.view(1, 1, 1, 4), missing.view(1, 1, 1, 4), 40_000, 3, seed=1).flatten()
    weight = layer.weight.detach()
    covariance = weight @ weight.T + model.log_scale.detach().mul(2).exp().flatten().diag()
    there, gone = [0, 2], [1, 3]
    gain = covariance[gone][:, there] @ torch.linalg.inv(covariance[there][:, there])
    torch.testing.assert_close(found[gone], 0.5 + gain @ (x[0, there] - 0.5), atol=3e-3, rtol=0)
    torch.testing.assert_close(found[there], x[0, there])


@pytest.mark.parametrize("order", ["raster", "diagonal"])
def test_a_pixel_model_expects_the_mean_over_all_pictures_that_agree(order):
    torch.manual_seed(1)
    model = PixelCNN((2, 3), 3, 8, 1, 5, order)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    every = torch.tensor(list(itertools.product(range(3), repeat=6))).view(-1, 1, 2, 3)
    with torch.no_grad():
        chance = model.log_prob(every).exp()
    assert chance.sum().item() == pytest.approx(1, abs=1e-4)
    pixels = torch.tensor([[0, 2, 1, 1, 0, 2], [2, 0, 0, 1, 2, 1]]).view(2, 1, 2, 3)
    missing = torch.tensor([[0, 1, 0, 1, 1, 0], [1, 0, 0, 0, 0, 0]], dtype=torch.bool).view(2, 1, 2, 3)
    found = model.restore(pixels, missing, 3, 20_000, seed=2)
    for row in range(2):
        agree = ((every == pixels[row]) | missing[row]).flatten(1).all(1)
        expected = (chance * agree).view(-1, 1, 1, 1).mul(every).sum(0) / (chance * agree).sum()
        torch.testing.assert_close(found[row], expected, atol=0.05, rtol=0)
    assert torch.equal(found[~missing], pixels[~missing].float())


def test_a_machine_expects_the_probability_of_units_given_the_others():
    torch.manual_seed(2)
    machine = RBM(5, 3)
    with torch.no_grad():
        machine.weight.normal_()
        machine.visible_bias.normal_()
    every = torch.tensor(list(itertools.product([0.0, 1.0], repeat=5)))
    visible, missing = torch.tensor([1.0, 0.0, 0.0, 1.0, 0.0]), torch.tensor([False, True, False, True, True])
    with torch.no_grad():
        chance = machine.log_prob(every).exp() * ((every == visible) | missing).all(1)
    expected = chance @ every / chance.sum()
    rows = 200  # chains, whose mean is taken
    found = machine.restore(visible.expand(rows, 5), missing.expand(rows, 5), 60, seed=3).mean(0)
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0)


class Twins(torch.nn.Module):
    """The exact denoiser of pictures of two pixels that are alike, both black or both white."""

    def __init__(self, model):
        super().__init__()
        self.of = [model]

    def forward(self, x, step, labels=None):
        model = self.of[0]
        expected = model._at(model.signal, step, x).unsqueeze(-1) * model.greys
        distance = (x.unsqueeze(-1) - expected) / model._at(model.deviation, step, x).unsqueeze(-1)
        return (-0.5 * distance.square()).flip(2)  # of each pixel what the other one tells


def test_diffusion_draws_a_pixel_that_suits_the_other_one():
    torch.manual_seed(0)
    model = Diffusion((1, 2), 2, 20, width=2, blocks=1)
    model.denoiser = Twins(model)
    pictures = torch.tensor([[[0.0, 0.5]], [[1.0, 0.5]]])
    missing = torch.tensor([False, True]).expand(2, 1, 2)
    found = model.restore(pictures, missing, particles=200, resampling=4, seed=1)
    assert torch.equal(found[:, :, 0], pictures[:, :, 0])
    assert found[0, 0, 1] < 0.05
    assert found[1, 0, 1] > 0.95


def test_pixels_that_nothing_is_known_of_are_expected_to_be_grey():
    model = Diffusion((1, 4, 4), 17, 10, width=4, blocks=1)  # untrained: every pixel is uniform
    missing = torch.zeros(3, 1, 4, 4, dtype=torch.bool)
    missing[:, :, :2] = True
    pictures = torch.rand(3, 1, 4, 4).masked_fill(missing, 0)
    found = model.restore(pictures, missing, particles=100, seed=0)
    assert torch.equal(found[~missing], pictures[~missing])
    torch.testing.assert_close(found[missing].mean(), torch.tensor(0.5), atol=0.03, rtol=0)
