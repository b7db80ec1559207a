"""Codes that are too large, images that blur, and how many numbers a digit's likelihood has."""

import math

import pytest
import torch
from sklearn.datasets import load_digits

from palaestra.neural_blocks import VAE, PixelRNN
from palaestra.neural_blocks.generation.pixel_rnn import RowLSTM


def test_too_large_a_code_rebuilds_noise_as_well_as_what_it_learned():
    """The best linear autoencoder's code is the principal components (Baldi and Hornik, 1989)."""
    digits = torch.from_numpy(load_digits().data).float()
    digits = digits - digits.mean(0)
    components = torch.linalg.svd(digits[:1000], full_matrices=True)[2]  # (64, 64), of what it learned from
    noise = torch.randn(797, 64)

    def lost(x, size):
        return float((x - x @ components[:size].T @ components[:size]).square().sum() / x.square().sum())

    new = digits[1000:]
    assert lost(new, 16) < 0.2
    assert lost(noise, 16) == pytest.approx(48 / 64, abs=0.02)  # a code of 16 has no room for what is no digit
    assert max(lost(new, 64), lost(noise, 64)) < 1e-9  # one of 64 is the identity, and says nothing about digits


def test_a_code_that_two_images_share_is_decoded_to_their_mean():
    """Why variational autoencoders blur: an image between both costs less than either, though it is none."""
    model = VAE((1, 1, 2), 1, (4,), likelihood="gaussian")
    images = torch.tensor([[0.1, 0.9], [0.9, 0.1]]).view(2, 1, 1, 2)  # the one or the other, each half of the time
    with torch.no_grad():
        model.log_scale.fill_(math.log(0.2))
        told = {}
        for name, image in {"first": images[0], "second": images[1], "mean": images.mean(0)}.items():
            model.decoder.layers[-1].weight.zero_()  # whatever the code, this image
            model.decoder.layers[-1].bias.copy_(image.flatten())
            told[name] = float(model.log_likelihood(images, torch.zeros(2, 1)).mean())
    assert told["first"] == pytest.approx(told["second"])
    # two pixels, each 0.4 off against 0 and 0.8 off in turn: 2 (0.4² - 0.8² / 2) / (2 0.2²) less
    assert told["mean"] - told["first"] == pytest.approx(2 * (0.8**2 / 2 - 0.4**2) / (2 * 0.2**2), rel=1e-4)


def test_a_digit_of_28_by_28_pixels_has_784_bernoulli_parameters():
    model = VAE((1, 28, 28), 2, (8,))
    with torch.no_grad():
        probability = model.decode(torch.zeros(1, 2))
        assert probability.numel() == 784
        assert ((probability > 0) & (probability < 1)).all()
        digit = torch.randint(2, (1, 1, 28, 28)).float()
        expected = torch.distributions.Bernoulli(probability).log_prob(digit).sum()
        torch.testing.assert_close(model.log_likelihood(digit, torch.zeros(1, 2)).squeeze(), expected)


@pytest.mark.parametrize("width", [4, 9])
def test_a_row_of_pixels_is_read_in_one_pass(width, monkeypatch):
    """An image of 3 rows takes 3 steps of each layer's LSTM, however wide it is; a row at a time gives the same."""
    model, steps = PixelRNN((3, width), levels=4, channels=8, layers=2), []
    step = RowLSTM.step
    monkeypatch.setattr(RowLSTM, "step", lambda *arguments: steps.append(1) or step(*arguments))
    pixels = torch.randint(4, (2, 1, 3, width))
    whole = model(pixels)
    assert len(steps) == 3 * 2
    memory = model.initial_memory(2)
    for row in range(3):
        logits, memory = model.step(pixels[:, 0, row], memory, row)
        torch.testing.assert_close(logits, whole[:, :, row])
    assert len(steps) == 2 * 3 * 2
