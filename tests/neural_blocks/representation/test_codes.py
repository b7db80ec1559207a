"""Encoders that learn without labels give what their blocks give."""

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.generation.autoencoder import Autoencoder, MaskedAutoencoder
from palaestra.neural_blocks.generation.vae import VAE
from palaestra.neural_blocks.representation.codes import BottleneckEncoder, LatentEncoder, PatchEncoder, UnitScale

IMAGES = spaces.Box(0, 255, (1, 8, 8), np.uint8)
images = torch.arange(3 * 64).reshape(3, 1, 8, 8).to(torch.uint8)


def test_values_are_brought_to_the_unit_interval():
    space = spaces.Box(np.array([-2, 0], np.float32), np.array([2, 8], np.float32))
    assert UnitScale(space)(torch.tensor([[0.0, 2.0], [2.0, 8.0]])).tolist() == [[0.5, 0.25], [1.0, 1.0]]
    last = spaces.Box(0, 255, (16, 20, 3), np.uint8)  # colours last
    assert UnitScale(last)(torch.full((2, 16, 20, 3), 51, dtype=torch.uint8)).unique().tolist() == pytest.approx([0.2])
    assert UnitScale(last)(torch.zeros(2, 16, 20, 3)).shape == (2, 3, 16, 20)
    with pytest.raises(InvalidInput, match="finite bounds"):
        UnitScale(spaces.Box(-np.inf, 1, (2,), np.float32))


def test_a_code_is_its_autoencoder_s():
    encoder, block = BottleneckEncoder(IMAGES, 5, (7,)), Autoencoder((1, 8, 8), 5, (7,))
    block.encoder = encoder.network
    torch.testing.assert_close(encoder(images), block.encode(images / 255))  # scaled by a product, not a quotient
    assert encoder.output_size == 5


def test_a_latent_is_its_posterior_s_mean():
    encoder, block = LatentEncoder(IMAGES, 4, (7,)), VAE((1, 8, 8), 4, (7,))
    block.encoder = encoder.network
    torch.testing.assert_close(encoder(images), block.encode(images / 255)[0])


def test_patches_are_the_mean_of_what_the_masked_autoencoder_makes_of_all():
    encoder = PatchEncoder(IMAGES, 4, 8, 2, 1)
    block = MaskedAutoencoder((1, 8, 8), 4, 8, 2, 1, share=0.5)
    block.embed, block.place, block.encoder, block.hidden = encoder.embed, encoder.place, encoder.encoder, 0
    order = torch.arange(4).expand(3, 4)
    torch.testing.assert_close(encoder(images), block.encode(images / 255, order).mean(1))
