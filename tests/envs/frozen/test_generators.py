"""The shipped generative networks: they say what their blocks say, and what they draw are digits."""

from __future__ import annotations

import pytest
import torch

from palaestra.envs.classification.sources.images import load_images
from palaestra.envs.frozen.classifiers import classifier
from palaestra.envs.frozen.density import DigitDensity
from palaestra.envs.frozen.generators import RECIPES, DigitDiffusion, _digits, autoencoder, density, diffusion
from palaestra.envs.frozen.rounding import rounded
from palaestra.envs.frozen.store import FOLDER
from palaestra.neural_blocks.generation.autoregressive import visits
from palaestra.neural_blocks.generation.diffusion import Diffusion
from palaestra.neural_blocks.generation.pixels import quantise


@pytest.fixture(scope="module")
def digits():
    """The test split: images in [0, 1] float64 and classes."""
    pixels, classes, _ = load_images("digits", "test")
    return torch.from_numpy(pixels).double() / 255, torch.from_numpy(classes)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_no_network_learns_from_a_test_digit(digits):
    unseen = {image.numpy().tobytes() for image in digits[0].float()}
    images, classes = _digits()
    assert len(images) == len(classes) == 1797 - len(unseen) == 1437
    assert not unseen & {image.numpy().tobytes() for image in images}


@pytest.mark.parametrize("order", ["raster", "diagonal"])
def test_the_density_asked_pixel_by_pixel_says_what_it_says_of_the_whole_picture(order):
    torch.manual_seed(0)
    network, route = DigitDensity(order=order).double(), visits((8, 8), order)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    pixels, labels = torch.randint(0, 2, (6, 1, 8, 8)), torch.tensor([0, 3, 7, 9, 10, 10])
    whole, memory = network(pixels, labels).flatten(2), network.initial_memory(6)
    for now in range(64):
        drawn = pixels.flatten(1).clone()
        drawn[:, route[now:]] = torch.randint(0, 2, (6, 64 - now))  # what comes later does not matter
        logits, memory = network.step(drawn, torch.full((6,), now), labels, memory)
        torch.testing.assert_close(logits, whole[:, :, route[now]], rtol=0, atol=1e-12)


def test_rows_may_stand_at_different_pixels():
    network, pixels = density(), torch.randint(0, 2, (2, 64), generator=generator())
    label, memories = torch.tensor([4, 10]), []
    for row, count in enumerate((5, 40)):
        memory = network.initial_memory(1)
        for now in range(count):
            _, memory = network.step(pixels[row : row + 1], torch.tensor([now]), label[row : row + 1], memory)
        memories.append(memory)
    logits, _ = network.step(pixels, torch.tensor([5, 40]), label, torch.cat(memories))
    whole = network(pixels.view(2, 1, 8, 8), label).flatten(2)
    torch.testing.assert_close(logits, torch.stack([whole[0, :, 5], whole[1, :, 40]]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("order", ["raster", "diagonal"])
def test_the_density_tells_the_classes_of_unseen_digits_apart(digits, order):
    images, classes = digits
    network, pixels = density(order), quantise(images[:180], 2)
    classes = classes[:180]
    each = torch.stack(
        [
            -torch.nn.functional.cross_entropy(
                network(pixels, torch.full_like(classes, k)), pixels[:, 0], reduction="none"
            ).sum((1, 2))
            for k in range(10)
        ],
        1,
    )  # (N, 10) nats
    assert (each.argmax(1) == classes).double().mean() > 0.85
    assert each.gather(1, classes[:, None]).mean() > -17


def test_the_autoencoder_shows_unseen_digits_again_and_uses_every_latent(digits):
    images, classes = digits
    network = autoencoder()
    mean, log_variance = network.encode(images)
    assert (network.decode(mean) - images).square().mean().sqrt() < 0.13
    assert (log_variance.exp().mean(0) < 0.5).all()  # a latent without use would stay at the prior's 1
    shown = classifier("plain").double()(network.decode(mean)).argmax(1)
    assert (shown == classes).double().mean() > 0.8


def test_the_quick_clean_image_is_the_diffusion_blocks():
    network = diffusion()
    x, step = torch.randn(20, 1, 8, 8, generator=generator(), dtype=torch.float64), torch.arange(20) % 10
    for quick, plain in zip(network.clean(x, step), Diffusion.clean(network, x, step), strict=True):
        torch.testing.assert_close(quick, plain, rtol=0, atol=1e-12)


def test_the_quick_clean_image_can_be_trained_through():
    torch.manual_seed(0)
    network, images = DigitDiffusion(), torch.rand(8, 1, 8, 8)
    torch.nn.init.normal_(network.denoiser.last[1].weight, std=0.1)
    gradients = []
    for clean in (network.clean, lambda x, step: Diffusion.clean(network, x, step)):
        network.clean = clean
        network.zero_grad()
        network.loss(images, seed=0).backward()
        gradients.append([parameter.grad.clone() for parameter in network.parameters()])
    for quick, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(quick, plain, rtol=1e-3, atol=1e-5)


def test_what_the_diffusion_draws_are_digits_of_every_class():
    images = diffusion().sample(400, seed=0).clamp(0, 1)
    judged = classifier("plain").double()(images).softmax(1)
    assert judged.amax(1).mean() > 0.8
    assert torch.bincount(judged.argmax(1), minlength=10).min() >= 10


def test_rounding_hides_what_the_size_of_a_batch_does():
    network = autoencoder()
    latent = torch.randn(67, 6, generator=generator(), dtype=torch.float64)
    together = rounded(network.decode(latent))
    assert torch.equal(together, torch.cat([rounded(network.decode(row[None])) for row in latent]))
    assert torch.equal(together * 4096, (together * 4096).round())
    assert (together - network.decode(latent)).abs().max() <= 0.5 / 4096


@pytest.mark.parametrize("name", list(RECIPES))
def test_weights_are_small_and_belong_to_what_the_recipe_builds(name):
    path = FOLDER / f"{name}.pt"
    assert path.stat().st_size < 150_000
    RECIPES[name].build().load_state_dict(torch.load(path, weights_only=True))
