"""GAN losses and regularisers against their formulas."""

import numpy as np
import pytest
import torch
from torch import nn

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.generation.gan_losses import (
    clip_weights,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
    instance_noise,
    minimax_value,
    spectrally_normalised,
)

REAL, FAKE = np.array([0.3, -1.2, 2.0]), np.array([-0.5, 0.8, 0.1])


def probability(logits):
    return 1 / (1 + np.exp(-logits))


FORMULAS = {
    "minimax": (
        -(np.log(probability(REAL)).mean() + np.log(1 - probability(FAKE)).mean()),
        np.log(1 - probability(FAKE)).mean(),
    ),
    "non_saturating": (
        -(np.log(probability(REAL)).mean() + np.log(1 - probability(FAKE)).mean()),
        -np.log(probability(FAKE)).mean(),
    ),
    "least_squares": (((REAL - 1) ** 2).mean() / 2 + (FAKE**2).mean() / 2, ((FAKE - 1) ** 2).mean() / 2),
    "wasserstein": (FAKE.mean() - REAL.mean(), -FAKE.mean()),
}


@pytest.mark.parametrize("kind", FORMULAS)
def test_losses_are_the_papers(kind):
    real, fake = torch.from_numpy(REAL), torch.from_numpy(FAKE)
    discriminator, generator = FORMULAS[kind]
    assert discriminator_loss(kind, real, fake).item() == pytest.approx(discriminator)
    assert generator_loss(kind, fake).item() == pytest.approx(generator)


def test_only_the_minimax_generator_saturates():
    """A sure discriminator, logit -10: sigmoid(-10) = 4.5e-5 is left of the minimax gradient, 1 of the other."""
    for kind, slope in (("minimax", -4.5398e-5), ("non_saturating", -1 + 4.5398e-5)):
        fake = torch.tensor([-10.0], requires_grad=True)
        generator_loss(kind, fake).backward()
        assert fake.grad.item() == pytest.approx(slope, rel=1e-3)


def test_the_minimax_value_survives_sure_discriminators():
    assert minimax_value(torch.tensor([200.0]), torch.tensor([200.0])).item() == pytest.approx(-200)


def test_the_gradient_penalty_of_a_linear_critic_is_the_distance_of_its_norm_from_one():
    critic = nn.Linear(4, 1)
    critic.weight.data = torch.tensor([[3.0, 0, 4, 0]])  # norm 5
    penalty = gradient_penalty(lambda x: critic(x.flatten(1))[:, 0], torch.rand(7, 1, 2, 2), torch.rand(7, 1, 2, 2))
    assert penalty.item() == pytest.approx(16)
    penalty.backward()
    torch.testing.assert_close(critic.weight.grad, 2 * 4 * torch.tensor([[0.6, 0, 0.8, 0]]))


def test_the_gradient_penalty_looks_between_real_and_fake():
    seen = []
    gradient_penalty(lambda x: (seen.append(x), x.sum(1))[1], torch.zeros(1000, 1), torch.ones(1000, 1))
    between = torch.stack([*seen[0]]).flatten().detach()
    assert between.min() >= 0
    assert between.max() <= 1
    assert between.mean().item() == pytest.approx(0.5, abs=0.05)


def test_clipping_bounds_every_weight():
    critic = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 1))
    inside = critic[0].weight.detach().clone()
    clip_weights(critic, 0.1)
    torch.testing.assert_close(critic[0].weight.detach(), inside.clamp(-0.1, 0.1))
    assert max(weight.abs().max().item() for weight in critic.parameters()) <= 0.1 + 1e-7


def test_spectral_norm_divides_by_the_largest_singular_value():
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(2, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(20, 3))
    before = [layer.weight.detach().flatten(1).numpy().copy() for layer in (layers[0], layers[3])]
    spectrally_normalised(layers)
    for _ in range(100):
        layers(torch.zeros(1, 2, 4, 4))
    for layer, weight in zip((layers[0], layers[3]), before, strict=True):
        largest = np.linalg.svd(weight, compute_uv=False)[0]
        np.testing.assert_allclose(layer.weight.detach().flatten(1).numpy(), weight / largest, atol=1e-4)


def test_instance_noise_is_gaussian_of_the_given_deviation():
    noise = instance_noise(torch.ones(200, 1, 8, 8), 0.3, seed=0) - 1
    assert noise.std().item() == pytest.approx(0.3, abs=0.01)
    assert noise.mean().item() == pytest.approx(0, abs=0.01)


def test_an_unknown_loss_is_refused():
    for wrong in (
        lambda: generator_loss("hinge", torch.zeros(1)),
        lambda: discriminator_loss("wgan", *torch.zeros(2, 1)),
    ):
        with pytest.raises(InvalidInput, match="GAN loss must be one of 'minimax'"):
            wrong()
