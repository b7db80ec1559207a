"""VQ-VAE: nearest codes, gradients that go straight through, and a bound that is one."""

import itertools

import pytest
import torch

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.generation.vq_vae import VQVAE, VectorQuantiser


def small(classes=0):
    """A model of 2 x 2 black and white pictures, of which there are 16, with one code for each picture."""
    torch.manual_seed(3)
    model = VQVAE((1, 2, 2), levels=2, codes=3, size=2, channels=8, classes=classes).double()
    with torch.no_grad():
        model.quantiser.codebook.copy_(torch.tensor([[0.0, 0.1], [-0.1, -0.1], [0.2, 0.0]]))
        for weight in model.decoder.parameters():
            weight.add_(0.5 * torch.randn_like(weight))
    return model


def test_each_vector_becomes_the_nearest_code():
    quantiser = VectorQuantiser(5, 3)
    with torch.no_grad():
        quantiser.codebook.normal_()
    x = torch.randn(4, 6, 3)
    expected = torch.cdist(x.flatten(0, 1), quantiser.codebook).argmin(1).view(4, 6)
    code, number, *_ = quantiser(x)
    assert torch.equal(number, expected)
    torch.testing.assert_close(code, quantiser.codebook[expected])


def test_gradients_go_straight_through_and_each_distance_moves_one_side():
    quantiser = VectorQuantiser(2, 1)
    with torch.no_grad():
        quantiser.codebook.copy_(torch.tensor([[0.0], [1.0]]))
    x = torch.tensor([[0.2], [0.7]], requires_grad=True)
    code, _, to_codes, to_x = quantiser(x)
    (through,) = torch.autograd.grad((code * torch.tensor([[3.0], [5.0]])).sum(), x, retain_graph=True)
    assert through.flatten().tolist() == [3, 5]
    moved, still = torch.autograd.grad(to_codes, (quantiser.codebook, x), retain_graph=True, allow_unused=True)
    assert still is None
    torch.testing.assert_close(moved.flatten(), torch.tensor([-0.2, 0.3]))  # 2 (e - x) / 2
    still, moved = torch.autograd.grad(to_x, (quantiser.codebook, x), allow_unused=True)
    assert still is None
    torch.testing.assert_close(moved.flatten(), torch.tensor([0.2, -0.3]))


@pytest.mark.parametrize("classes", [0, 2])
def test_the_bound_is_below_the_log_probability_summed_over_all_codes(classes):
    model = small(classes)
    pictures = torch.tensor(list(itertools.product(range(2), repeat=4))).view(-1, 1, 2, 2)
    labels = torch.ones(16, dtype=torch.long) if classes else None
    with torch.no_grad():
        numbers = torch.arange(3).view(-1, 1, 1, 1)
        prior = model.prior.log_prob(numbers, None if labels is None else labels[:3])  # (3,)
        greys = model.decode(numbers).log_softmax(-1)  # (3, 1, 2, 2, 2)
        given = greys.unsqueeze(0).expand(16, -1, -1, -1, -1, -1)
        chosen = given.gather(-1, pictures[:, None, ..., None].expand(-1, 3, -1, -1, -1, -1)).flatten(2).sum(2)
        exact = (prior + chosen).logsumexp(1)
        bound = model.log_prob(pictures, labels)
    assert exact.logsumexp(0).item() == pytest.approx(0, abs=1e-9)
    assert (bound <= exact + 1e-9).all()
    own = model.encode(pictures).flatten()
    torch.testing.assert_close(bound, (prior + chosen)[torch.arange(16), own])


def test_samples_are_drawn_from_prior_and_decoder():
    model = small()
    drawn = model.sample(4000, 1)
    numbers = torch.arange(3).view(-1, 1, 1, 1)
    with torch.no_grad():
        share = model.decode(numbers).softmax(-1)[..., 1]
        expected = (model.prior.log_prob(numbers).exp().view(-1, 1, 1, 1) * share).sum(0)
    torch.testing.assert_close(drawn.double().mean(0), expected, atol=0.04, rtol=0)


def test_the_prior_learns_without_moving_the_autoencoder():
    model = small()
    model.prior_loss(torch.zeros(2, 1, 2, 2, dtype=torch.long)).backward()
    assert model.quantiser.codebook.grad is None
    assert next(model.prior.parameters()).grad is not None


def test_bad_sizes_are_refused():
    with pytest.raises(InvalidInput, match=r"height and width must be even; got \(1, 7, 8\)"):
        VQVAE((1, 7, 8))
    with pytest.raises(InvalidInput, match="codes must be at least 2; got 1"):
        VQVAE(codes=1)
