"""The variational autoencoder's likelihoods and bounds against torch.distributions and quadrature."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, Normal

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.generation.pixels import discretised_logistic, quantise
from palaestra.neural_blocks.generation.vae import VAE

LIKELIHOODS = ("bernoulli", "gaussian", "discretised")


def made(likelihood="bernoulli", latent_size=1):
    """A small autoencoder whose encoder and decoder are not trivial."""
    torch.manual_seed(0)
    model = VAE((1, 2, 2), latent_size, (8,), likelihood=likelihood, levels=5)
    with torch.no_grad():
        model.decoder.layers[-1].weight.mul_(2)
        model.encoder.layers[-1].weight.mul_(3)
        model.log_scale.uniform_(-2, -1)
    return model


@pytest.fixture
def images():
    return torch.randint(5, (6, 1, 2, 2), generator=torch.Generator().manual_seed(1)) / 4


def test_likelihoods_are_those_of_torch_distributions(images):
    z = torch.randn(6, 1)
    model = made("gaussian")
    mean = model.decoder(z).view(6, 1, 2, 2)
    expected = Normal(mean, model.log_scale.exp()).log_prob(images).sum((1, 2, 3))
    torch.testing.assert_close(model.log_likelihood(images, z), expected)

    bits, model = images.round(), made("bernoulli")
    logits = model.decoder(z).view(6, 1, 2, 2)
    torch.testing.assert_close(model.log_likelihood(bits, z), Bernoulli(logits=logits).log_prob(bits).sum((1, 2, 3)))

    model = made("discretised")
    each = discretised_logistic(quantise(images, 5), model.decoder(z).view(6, 1, 2, 2), model.log_scale, 5)
    torch.testing.assert_close(model.log_likelihood(images, z), each.sum((1, 2, 3)))


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_importance_bound_tends_to_the_log_probability_and_the_elbo_stays_below(likelihood, images):
    model = made(likelihood)
    axis = torch.linspace(-8, 8, 4001).unsqueeze(1)
    torch.manual_seed(0)
    with torch.no_grad():
        each = torch.stack([model.log_likelihood(images, point.expand(6, 1)) for point in axis])  # (4001, 6)
        exact = (each + Normal(0.0, 1.0).log_prob(axis)).logsumexp(0) + math.log(16 / 4000)
        tight = model.importance_bound(images, 20_000, seed=0)
        elbo, loose = (
            torch.stack([bound() for _ in range(500)]).mean(0)
            for bound in (
                lambda: model.elbo(images),
                lambda: model.importance_bound(images, 5),
            )
        )
    torch.testing.assert_close(tight, exact, atol=0.1, rtol=0)
    assert (elbo < exact).all()
    assert (elbo < loose).all()
    assert (loose < exact + 0.05).all()


def test_beta_prices_the_divergence(images):
    model = made()
    losses = []
    for beta in (1.0, 4.0):
        losses.append(model.loss(images, beta, seed=2))
    mean, log_variance = model.encode(images)
    kl = torch.distributions.kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0)).sum(1).mean()
    torch.testing.assert_close(losses[1] - losses[0], 3 * kl)


def test_a_latent_batch_may_have_any_leading_axes():
    model = made(latent_size=3)
    z = torch.randn(4, 5, 3)
    torch.testing.assert_close(model.decode(z)[2], model.decode(z[2]))
    assert model.decode(z).shape == (4, 5, 1, 2, 2)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: VAE(likelihood="bernouli"), "got 'bernouli' .did you mean 'bernoulli'"),
        (lambda: VAE(latent_size=0), "latent_size must be at least 1; got 0"),
        (lambda: VAE().encode(torch.zeros(2, 1, 8, 9)), r"\(B, 1, 8, 8\); got \(2, 1, 8, 9\)"),
        (lambda: VAE().decode(torch.zeros(2, 15)), r"\(\.\.\., 16\); got \(2, 15\)"),
    ],
)
def test_bad_input_is_refused(wrong, message):
    with pytest.raises(InvalidInput, match=message):
        wrong()
