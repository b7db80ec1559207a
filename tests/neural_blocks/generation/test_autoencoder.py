"""Autoencoders: what each variant changes, checked against its formula."""

import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Bernoulli, kl_divergence

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.generation.autoencoder import (
    Autoencoder,
    DenoisingAutoencoder,
    MaskedAutoencoder,
    SparseAutoencoder,
    TiedAutoencoder,
)


@pytest.fixture
def images():
    return torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_the_loss_is_the_cross_entropy_of_the_reconstruction(images):
    model = Autoencoder((1, 8, 8), 4)
    torch.testing.assert_close(model.loss(images), F.binary_cross_entropy(model(images), images))
    assert model.encode(images).shape == (6, 4)


def test_tied_weights_are_one_matrix_used_twice(images):
    model = TiedAutoencoder((1, 8, 8), 4)
    weight, bias = model.encoder.weight, model.encoder.bias
    code = torch.sigmoid(images.flatten(1) @ weight.T + bias)
    expected = torch.sigmoid(code @ weight + model.decoder.bias).view(6, 1, 8, 8)
    torch.testing.assert_close(model(images), expected)
    assert sum(p.numel() for p in model.parameters()) == 64 * 4 + 4 + 64


def test_corruption_zeroes_its_share_and_the_clean_image_is_the_target():
    x = torch.rand(500, 1, 8, 8) + 0.1
    model = DenoisingAutoencoder((1, 8, 8), 4, share=0.3)
    seen = model.corrupt(x, seed=0)
    assert (seen == 0).float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert torch.equal(seen[seen != 0], x[seen != 0])
    x = x.clamp(max=1)
    seen = model.corrupt(x, seed=0)
    expected = F.binary_cross_entropy(model(seen), x)
    torch.testing.assert_close(model.loss(x, seed=0), expected)


def test_sparsity_is_the_divergence_of_the_mean_activation(images):
    model = SparseAutoencoder((1, 8, 8), 80, target=0.1, weight=0.5)
    code = model.encode(images)
    expected = kl_divergence(Bernoulli(torch.tensor(0.1)), Bernoulli(code.mean(0))).sum()
    torch.testing.assert_close(model.sparsity(code), expected)
    plain = F.binary_cross_entropy(model(images), images)
    torch.testing.assert_close(model.loss(images), plain + 0.5 * expected)


@pytest.mark.parametrize("scale", [1e3, -1e3])
def test_saturated_units_have_a_finite_price_and_a_gradient_that_frees_them(images, scale):
    model = SparseAutoencoder((1, 8, 8), 5)
    with torch.no_grad():
        model.encoder.layers[0].bias.fill_(scale)
    assert model.encode(images).unique().tolist() == [float(scale > 0)]
    loss = model.loss(images)
    (gradient,) = torch.autograd.grad(loss, model.encoder.layers[0].bias)
    # d KL / d logit of a unit that is always on is 1 - target, of one that is always off -target
    share = (1 - model.target) if scale > 0 else -model.target
    torch.testing.assert_close(gradient, torch.full((5,), model.weight * share), atol=1e-4, rtol=1e-3)
    assert loss.isfinite()
    assert model.sparsity(model.encode(images)).isfinite()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_price_of_any_mean_activation_is_finite_in_any_precision(dtype):
    model = SparseAutoencoder((4,), 3)
    for value in (0.0, 1.0):
        assert model.sparsity(torch.full((2, 3), value, dtype=dtype)).isfinite()


def test_patches_are_in_raster_order_and_can_be_put_back(images):
    model = MaskedAutoencoder((1, 8, 8), patch=2, d_model=16, n_head=2, layers=1)
    patches = model.to_patches(images)
    assert patches.shape == (6, 16, 4)
    torch.testing.assert_close(patches[:, 5], images[:, 0, 2:4, 2:4].flatten(1))
    torch.testing.assert_close(model.from_patches(patches), images)


def test_a_masked_autoencoder_does_not_see_what_is_hidden(images):
    model = MaskedAutoencoder(d_model=16, n_head=2, layers=1)
    order = model.draw_order(6)
    assert (order.sort(1).values == torch.arange(16)).all()
    patches, other = model.to_patches(images), model.to_patches(torch.rand_like(images))
    rank = order.argsort(1)
    hidden = (rank >= 4).unsqueeze(-1)  # three quarters of sixteen patches
    same = model.from_patches(torch.where(hidden, other, patches))
    torch.testing.assert_close(model(same, order), model(images, order))
    changed = model.from_patches(torch.where(hidden, patches, other))
    assert (model(changed, order) - model(images, order)).abs().max() > 1e-4


def test_the_masked_loss_counts_hidden_patches_only(images):
    model = MaskedAutoencoder(d_model=16, n_head=2, layers=1)
    order = model.draw_order(6, seed=3)
    rebuilt, target = model.to_patches(model(images, order)), model.to_patches(images)
    hidden = order.argsort(1) >= 4
    expected = F.binary_cross_entropy(rebuilt[hidden], target[hidden])
    torch.testing.assert_close(model.loss(images, seed=3), expected)


@pytest.mark.parametrize("by_position", [True, False])
def test_rebuilt_patches_stand_in_their_places(by_position):
    """A decoder that brightens the patch at the first position, or every patch that was hidden, and no other."""
    model = MaskedAutoencoder((1, 4, 4), patch=2, d_model=8, n_head=1, layers=1, share=0.5)
    with torch.no_grad():
        for weight in [*model.decoder.parameters(), *model.narrow.parameters(), *model.pixels.parameters()]:
            weight.zero_()
        model.decoder.norm.weight.fill_(1)
        model.pixels.weight[:, 0] = 1
        model.place_out.weight.zero_()
        (model.place_out.weight[0] if by_position else model.unseen)[0] = 5
    for order in ([0, 1, 2, 3], [1, 2, 3, 0], [3, 2, 0, 1]):
        patches = model.to_patches(model(torch.rand(1, 1, 4, 4), torch.tensor([order])))[0]  # (4, 4)
        bright = (patches > 0.6).all(1)
        assert bright.nonzero().flatten().tolist() == ([0] if by_position else sorted(order[2:]))
        assert (patches[~bright] < 0.6).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Autoencoder((4,), 0), "code_size must be at least 1; got 0"),
        (lambda: Autoencoder((4,), 2)(torch.zeros(3, 5)), r"\(B, 4\); got \(3, 5\)"),
        (lambda: Autoencoder((4,), 2).decode(torch.zeros(3, 3)), r"\(B, 2\); got \(3, 3\)"),
        (lambda: SparseAutoencoder((4,), 2, target=1.0), r"\(0, 1\); got 1.0"),
        (lambda: MaskedAutoencoder(patch=3), r"patch 3 must divide H and W; got shape \(1, 8, 8\)"),
        (lambda: MaskedAutoencoder(d_model=20), "multiple of 2 . 4 heads; got 20"),
        (lambda: MaskedAutoencoder(share=1.0), "hide some of 16 patches but not all; got 1.0"),
        (
            lambda: MaskedAutoencoder()(torch.zeros(2, 1, 8, 8), torch.zeros(2, 15).long()),
            r"shape \(2, 16\); got \(2, 15\)",
        ),
    ],
)
def test_bad_input_is_refused(wrong, message):
    with pytest.raises(InvalidInput, match=message):
        wrong()
