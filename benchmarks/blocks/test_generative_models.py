"""What generative models learn from scikit-learn's digits: 1437 pictures of 8 x 8 pixels with 17 greys, 360 held out.

Each model of discrete pixels is scored in bits per pixel on the same held-out pictures and must beat independent
pixels, whose smoothing is the best of several on those very pictures.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from palaestra.neural_blocks.generation.autoencoder import DenoisingAutoencoder, MaskedAutoencoder
from palaestra.neural_blocks.generation.autoregressive import PixelCNN
from palaestra.neural_blocks.generation.diffusion import Diffusion
from palaestra.neural_blocks.generation.flow import PixelFlow
from palaestra.neural_blocks.generation.gan import GAN, DCDiscriminator, DCGenerator
from palaestra.neural_blocks.generation.gan_losses import spectrally_normalised
from palaestra.neural_blocks.generation.pixel_rnn import PixelRNN
from palaestra.neural_blocks.generation.pixels import bits_per_dimension, quantise
from palaestra.neural_blocks.generation.vae import VAE
from palaestra.neural_blocks.perception.mlp import MLP

INDEPENDENT = 2.433  # bits per pixel of the baseline on the held-out pictures, computed below


def train(loss, parameters, steps, rate, batch=128, size=1437):
    """AdamW with a one-cycle rate over random batches; `loss` takes the indices of a batch."""
    parameters = list(parameters)
    optimiser = torch.optim.AdamW(parameters, lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    for _ in range(steps):
        value = loss(torch.randint(size, (batch,)))
        optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()


@pytest.fixture
def pixels(digits):
    """Training and held-out greys, (N, 1, 8, 8) int64."""
    torch.manual_seed(0)
    return quantise(digits[0]), quantise(digits[2])


def test_the_baseline_of_independent_pixels(pixels):
    train_pixels, test_pixels = pixels
    bits = []
    for smoothing in (1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01):
        counts = F.one_hot(train_pixels, 17).sum(0) + smoothing
        log_prob = (counts / counts.sum(-1, keepdim=True)).log().expand(len(test_pixels), 1, 8, 8, 17)
        log_prob = log_prob.gather(-1, test_pixels.unsqueeze(-1)).flatten(1).sum(1)
        bits.append(bits_per_dimension(log_prob, 64).mean().item())
    assert min(bits) == pytest.approx(INDEPENDENT, abs=1e-3)


def test_pixelcnn_needs_fewer_than_2_05_bits(pixels):
    train_pixels, test_pixels = pixels
    model = PixelCNN(channels=32, blocks=2)
    train(lambda rows: model.loss(train_pixels[rows]), model.parameters(), 250, 3e-3, batch=64)
    with torch.no_grad():
        assert model.loss(test_pixels).item() < 2.05 < INDEPENDENT


def test_pixelrnn_needs_fewer_than_2_15_bits(pixels):
    train_pixels, test_pixels = pixels
    model = PixelRNN(channels=24)
    train(lambda rows: model.loss(train_pixels[rows]), model.parameters(), 250, 5e-3, batch=64)
    with torch.no_grad():
        assert model.loss(test_pixels).item() < 2.15 < INDEPENDENT


def test_real_nvp_needs_fewer_than_2_1_bits(pixels):
    train_pixels, test_pixels = pixels
    model = PixelFlow()
    model.marginals.fit(train_pixels)
    train(lambda rows: model.loss(train_pixels[rows]), model.parameters(), 600, 3e-3)
    with torch.no_grad():
        assert model.loss(test_pixels).item() < 2.1 < INDEPENDENT


def test_vae_needs_fewer_than_2_05_bits(digits, pixels):
    images, _, test_images, _ = digits
    model = VAE(likelihood="discretised")
    train(lambda rows: model.loss(images[rows]), model.parameters(), 1000, 2e-3)
    with torch.no_grad():
        elbo, tight = model.elbo(test_images), model.importance_bound(test_images, 64)
    assert bits_per_dimension(elbo, 64).mean() < 2.05 < INDEPENDENT
    assert bits_per_dimension(tight, 64).mean() < bits_per_dimension(elbo, 64).mean() - 0.02


def test_diffusion_needs_fewer_than_2_2_bits(digits, pixels):
    model = Diffusion()
    train(lambda rows: model.loss(digits[0][rows]), model.parameters(), 600, 4e-3)
    with torch.no_grad():
        assert bits_per_dimension(model.bound(pixels[1]), 64).mean() < 2.2 < INDEPENDENT


@pytest.fixture(scope="module")
def classifier(digits):
    """A perceptron trained on real digits."""
    torch.manual_seed(1)
    images, labels, test_images, test_labels = digits
    model = nn.Sequential(nn.Flatten(), MLP(64, (128,), 10, activation="relu"))
    train(lambda rows: F.cross_entropy(model(images[rows]), labels[rows]), model.parameters(), 500, 3e-3)
    assert (model(test_images).argmax(1) == test_labels).float().mean() > 0.95
    return model


def test_a_classifier_of_real_digits_recognises_those_of_a_conditional_gan(digits, classifier):
    """At least 0.7 of them, and they vary within a class at least 0.4 times as much as real ones do."""
    torch.manual_seed(0)
    images, labels = digits[:2]
    discriminator = spectrally_normalised(DCDiscriminator(classes=10))
    gan = GAN(DCGenerator(classes=10), discriminator)
    players = [
        torch.optim.Adam(player.parameters(), lr=1e-3, betas=(0.5, 0.99)) for player in (discriminator, gan.generator)
    ]
    for _ in range(600):
        rows = torch.randint(len(images), (64,))
        for optimiser, loss in (
            (players[0], lambda: gan.discriminator_loss(images[rows], labels[rows])),  # noqa: B023  called at once
            (players[1], lambda: gan.generator_loss(64, labels[rows])),  # noqa: B023
        ):
            optimiser.zero_grad()
            loss().backward()
            optimiser.step()
    wanted = torch.arange(1000) % 10
    gan.eval()
    drawn = gan.sample(1000, wanted)
    assert (classifier(drawn).argmax(1) == wanted).float().mean() >= 0.7
    within, real = (
        torch.stack([x[y == k].flatten(1).std(0).mean() for k in range(10)]).mean()
        for x, y in ((drawn, wanted), (images, labels))
    )
    assert within > 0.4 * real


def test_a_denoising_autoencoder_restores_more_than_a_third_of_what_was_lost(digits):
    """Squared error of its reconstruction against that of the corrupted picture, held out."""
    torch.manual_seed(0)
    images, _, test_images, _ = digits
    model = DenoisingAutoencoder((1, 8, 8), 64, (256,))
    train(lambda rows: model.loss(images[rows]), model.parameters(), 500, 3e-3)
    with torch.no_grad():
        seen = model.corrupt(test_images)
        assert (model(seen) - test_images).square().mean() < 0.67 * (seen - test_images).square().mean()


def test_a_masked_autoencoder_guesses_hidden_patches_better_than_the_mean_picture(digits):
    torch.manual_seed(0)
    images, _, test_images, _ = digits
    model = MaskedAutoencoder(d_model=32, share=0.5)
    train(lambda rows: model.loss(images[rows]), model.parameters(), 700, 3e-3)
    with torch.no_grad():
        order = model.draw_order(len(test_images))
        hidden = order.argsort(1) >= 8
        error = model.to_patches((model(test_images, order) - test_images).square())[hidden].mean()
        baseline = model.to_patches((images.mean(0) - test_images).square())[hidden].mean()
    assert error < 0.75 * baseline
