"""Generative blocks that are asked for a class: what the class changes, against closed forms."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.generation.diffusion import Diffusion
from palaestra.neural_blocks.generation.flow import NICE, PixelFlow, RealNVP
from palaestra.neural_blocks.generation.vae import VAE


def shaken(model, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn(weight.shape, generator=generator))
    return model.double()


@pytest.mark.parametrize("make", [lambda: NICE((4,), 2, (8,), rescale=True), lambda: RealNVP((4,), 2, (8,))])
def test_the_log_determinant_is_the_jacobians_and_the_inverse_leads_back(make):
    flow, x = shaken(make()), torch.randn(3, 4, dtype=torch.float64)
    z, log_det = flow(x)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda one: flow(one[None])[0][0]))(x)
    torch.testing.assert_close(log_det, torch.linalg.slogdet(jacobian).logabsdet)
    torch.testing.assert_close(flow.inverse(z), x)


def test_rescaling_is_what_nice_without_it_cannot_do():
    """Of data with two unlike scales the fitted factors are the inverse deviations (Dinh et al., 2015)."""
    flow = NICE((2,), 2, (4,), rescale=True)
    with torch.no_grad():
        flow.layers[-1].log_scale.copy_(torch.tensor([-math.log(3.0), math.log(5.0)]))
    x = torch.tensor([[0.4, -0.1]])
    expected = Normal(0, torch.tensor([3.0, 0.2])).log_prob(x).sum()  # the untrained couplings change nothing
    torch.testing.assert_close(flow.log_prob(x)[0], expected)


def test_a_class_of_a_flow_is_a_normal_distribution_of_its_own():
    flow = RealNVP((2,), 2, (4,), classes=3)
    with torch.no_grad():
        flow.centres.copy_(torch.tensor([[0.0, 1.0], [2.0, -1.0], [0.5, 0.5]]))
    x, labels = torch.tensor([[0.3, 0.1], [1.0, -2.0]]), torch.tensor([1, 2])
    expected = Normal(flow.centres[labels], 1.0).log_prob(x).sum(1)
    torch.testing.assert_close(flow.log_prob(x, labels), expected)
    drawn = flow.sample(4000, 1, torch.ones(4000, dtype=torch.long))
    torch.testing.assert_close(drawn.mean(0), flow.centres[1].detach(), atol=0.07, rtol=0)
    with pytest.raises(InvalidInput, match="labels are for a flow with classes; got none for 3"):
        flow.log_prob(x)


def test_pixels_have_a_bound_given_their_class_under_either_kind_of_flow():
    pixels = torch.randint(4, (3, 1, 2, 2))
    for affine in (True, False):
        flow = shaken(PixelFlow((1, 2, 2), 4, 2, (8,), affine, classes=2))
        one, other = (flow.log_prob(pixels, 3, torch.full((3,), label)) for label in (0, 1))
        assert (one - other).abs().min() > 1e-3
        assert flow.sample(5, 1, torch.zeros(5, dtype=torch.long)).shape == (5, 1, 2, 2)


def test_the_divergence_of_a_vae_is_from_its_classes_prior():
    model = shaken(VAE((1, 2, 2), 3, (8,), classes=2))
    x, labels = torch.rand(4, 1, 2, 2, dtype=torch.float64), torch.tensor([0, 1, 1, 0])
    mean, log_variance = model.encode(x)
    posterior, prior = Normal(mean, (0.5 * log_variance).exp()), Normal(model.centres[labels], 1.0)
    torch.testing.assert_close(model.terms(x, 5, labels)[1], kl_divergence(posterior, prior).sum(1))
    with pytest.raises(InvalidInput, match="labels are for a model with classes; got none for 2"):
        model.loss(x)


def test_guidance_goes_from_any_picture_through_that_of_the_class_and_beyond():
    model = shaken(Diffusion((1, 2, 2), levels=3, steps=4, width=8, blocks=1, classes=2))
    x, step, labels = torch.randn(5, 1, 2, 2, dtype=torch.float64), torch.full((5,), 2), torch.tensor([0, 1, 0, 1, 1])
    freely, classed = model.clean(x, step)[0], model.clean(x, step, labels)[0]
    assert (freely - classed).abs().max() > 1e-3
    none = torch.full((5,), 2)
    torch.testing.assert_close(model.clean(x, step, none)[0], freely)
    for guidance in (0.0, 1.0, 1.5):
        expected = ((1 - guidance) * freely + guidance * classed).clamp(-1, 1)
        torch.testing.assert_close(model.guided(x, step, labels, guidance)[0], expected)
    assert not torch.equal(model.sample_ddim(2, 2, 1, labels[:2], 3.0), model.sample_ddim(2, 2, 1, labels[:2], 0.0))


def test_a_diffusion_that_drops_every_class_learns_as_if_there_were_none():
    model = shaken(Diffusion((1, 2, 2), levels=3, steps=4, width=8, blocks=1, classes=2))
    images, labels = torch.rand(6, 1, 2, 2, dtype=torch.float64), torch.tensor([0, 1, 0, 1, 1, 0])
    torch.testing.assert_close(model.loss(images, 3, labels, drop=1.0), model.loss(images, 3, torch.full((6,), 2)))
    assert not torch.equal(model.loss(images, 3, labels, drop=0.0), model.loss(images, 3))
