"""Diffusion: the forward process, Bayes' rule, the bound and both samplers where the right answer is known."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.generation.diffusion import Denoiser, Diffusion, noise_schedule
from palaestra.neural_blocks.noise import Draws

SCHEDULES = ("linear", "cosine")


def test_the_linear_schedule_is_the_papers():
    torch.testing.assert_close(noise_schedule("linear", 1000), torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64))


def test_the_cosine_schedule_leaves_the_papers_signal():
    kept = torch.cumprod(1 - noise_schedule("cosine", 100), 0)[:-1]  # the last step is clipped
    angle = (np.arange(100) / 100 + 0.008) / 1.008 * np.pi / 2
    np.testing.assert_allclose(kept, np.cos(angle[1:]) ** 2 / np.cos(angle[0]) ** 2, rtol=1e-9)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_closed_form_is_many_single_steps(schedule):
    model, beta = Diffusion(steps=20, schedule=schedule, width=8, blocks=1), noise_schedule(schedule, 20).numpy()
    x, ones = torch.rand(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
    mean, variance = 1.0, 0.0
    for t in range(20):
        mean, variance = np.sqrt(1 - beta[t]) * mean, (1 - beta[t]) * variance + beta[t]
        step = torch.tensor([t])
        torch.testing.assert_close(model.diffuse(x, step, 0 * ones), mean * x, atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(model.diffuse(0 * x, step, ones), math.sqrt(variance) * ones, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_posterior_is_bayes_rule(schedule):
    """Precisions add: x_{t-1} given x is N(sqrt(a') x, 1 - a'); x_t given x_{t-1} is N(sqrt(1 - b) x_{t-1}, b)."""
    model, beta = Diffusion(steps=20, schedule=schedule, width=8, blocks=1), noise_schedule(schedule, 20).numpy()
    kept = np.cumprod(1 - beta)
    clean, noisy = torch.rand(2, 1, 8, 8), torch.randn(2, 1, 8, 8)
    for t in range(1, 20):
        precision = 1 / (1 - kept[t - 1]) + (1 - beta[t]) / beta[t]
        mean = math.sqrt(kept[t - 1]) * clean / (1 - kept[t - 1]) + math.sqrt(1 - beta[t]) * noisy / beta[t]
        got, variance = model.posterior(clean, noisy, torch.tensor([t, t]))
        torch.testing.assert_close(got, (mean / precision).float(), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(variance, torch.full((2, 1, 1, 1), 1 / precision), atol=1e-6, rtol=1e-4)


def test_an_untrained_denoiser_is_bayes_rule_for_uniform_greys():
    model = Diffusion((1, 2, 2), levels=5, steps=20, width=8, blocks=1)
    x, step = torch.randn(3, 1, 2, 2), torch.tensor([0, 8, 19])
    mean, variance = model.clean(x, step)
    greys = np.linspace(-1, 1, 5)
    kept = np.cumprod(1 - noise_schedule("cosine", 20).numpy())[step.numpy()].reshape(3, 1, 1, 1, 1)
    weight = norm.logpdf(x.numpy()[..., None], np.sqrt(kept) * greys, np.sqrt(1 - kept))
    weight = np.exp(weight - weight.max(-1, keepdims=True))
    weight /= weight.sum(-1, keepdims=True)
    expected = (weight * greys).sum(-1)
    np.testing.assert_allclose(mean.detach(), expected, atol=1e-4)
    np.testing.assert_allclose(variance.detach(), (weight * greys**2).sum(-1) - expected**2, atol=1e-4)
    kept = kept[..., 0]
    np.testing.assert_allclose(
        model.noise(x, step).detach(), (x.numpy() - np.sqrt(kept) * expected) / np.sqrt(1 - kept), atol=1e-3
    )


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_bound_stays_below_and_is_tight_with_many_steps(schedule):
    """A picture of independent uniform greys has log probability -D ln(levels), which an untrained model knows."""
    model = Diffusion(levels=5, steps=200, schedule=schedule, width=8, blocks=1)
    pixels = torch.randint(5, (100, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        bound = model.bound(pixels, seed=1).mean().item()
    exact = -64 * math.log(5)
    assert 1.03 * exact < bound < exact


@pytest.mark.parametrize("name", ["ancestral", "ddim"])
def test_samplers_reach_the_distribution_of_uniform_greys(name):
    """Five uniform greys in [0, 1] have mean 1/2 and variance 1/8, a fifth of the mass on each."""
    model = Diffusion(levels=5, steps=50, width=8, blocks=1)
    images = model.sample(200, seed=0) if name == "ancestral" else model.sample_ddim(200, 50, seed=0)
    assert images.mean().item() == pytest.approx(0.5, abs=0.01)
    assert images.var().item() == pytest.approx(0.125, abs=0.01)
    greys = torch.bincount((images * 4).round().long().flatten(), minlength=5) / images.numel()
    torch.testing.assert_close(greys, torch.full((5,), 0.2), atol=0.02, rtol=0)
    assert ((images * 4).round() - images * 4).abs().mean() < 0.02


def test_the_loss_of_a_wrong_denoiser_is_larger():
    """Where all images are black, logits for black leave no error; logits for white miss by the whole signal."""
    losses = []
    for grey in (0, 4):
        model = Diffusion((1, 2, 2), levels=5, steps=20, width=8, blocks=1)
        with torch.no_grad():
            model.denoiser.last[1].bias.view(4, 5)[:, grey] = 1e5
        losses.append(model.loss(torch.zeros(64, 1, 2, 2), seed=0).item())
    assert losses[0] == pytest.approx(0, abs=1e-6)
    step = (Draws(0, torch.device("cpu")).uniform(64) * 20).long()
    assert step.unique().numel() > 15
    kept = torch.cumprod(1 - noise_schedule("cosine", 20), 0)[step]
    assert losses[1] == pytest.approx((4 * kept / (1 - kept)).mean().item(), rel=1e-3)


@pytest.mark.parametrize("batch", [3, 30])
def test_projecting_the_images_steps_is_projecting_every_step(batch):
    torch.manual_seed(0)
    denoiser = Denoiser((1, 2, 2), 3, 20, width=8, blocks=2)
    torch.nn.init.normal_(denoiser.last[1].weight)
    x, step = torch.randn(batch, 1, 2, 2), torch.randint(20, (batch,))
    hidden = denoiser.first(x.flatten(1))
    for project, block in zip(denoiser.time, denoiser.blocks, strict=True):
        hidden = hidden + block(hidden + project(denoiser.table)[step])
    wanted = denoiser.last(hidden).view(batch, 1, 2, 2, 3)
    torch.testing.assert_close(denoiser(x, step), wanted, atol=1e-6, rtol=1e-6)


def test_the_last_reverse_step_adds_no_noise():
    model = Diffusion((1, 2, 2), levels=5, steps=20, width=8, blocks=1)
    x, noise = torch.randn(2, 1, 2, 2), torch.randn(2, 1, 2, 2)
    for t, same in ((0, True), (1, False)):
        step = torch.tensor([t, t])
        assert torch.equal(model.reverse(x, step, noise), model.reverse(x, step, -noise)) is same


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: noise_schedule("cosin", 10), "did you mean 'cosine'"),
        (lambda: noise_schedule("cosine", 1), "at least 2; got 1"),
        (lambda: Denoiser((1, 8, 8), 17, 10, width=5), "width must be even; got 5"),
        (lambda: Diffusion().loss(torch.zeros(2, 1, 8, 9)), r"\(B, 1, 8, 8\); got \(2, 1, 8, 9\)"),
        (lambda: Diffusion().sample_ddim(1, 51), r"1 \.\. 50; got 51"),
    ],
)
def test_bad_input_is_refused(wrong, message):
    with pytest.raises(InvalidInput, match=message):
        wrong()
