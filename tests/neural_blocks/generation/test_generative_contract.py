"""What every autoencoder, density and generator promises: it compiles, saves, works in bfloat16 and samples by seed."""

import pytest
import torch

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.generation.autoencoder import (
    Autoencoder,
    DenoisingAutoencoder,
    MaskedAutoencoder,
    SparseAutoencoder,
    TiedAutoencoder,
)
from palaestra.neural_blocks.generation.autoregressive import PixelCNN
from palaestra.neural_blocks.generation.diffusion import Diffusion
from palaestra.neural_blocks.generation.flow import NICE, PixelFlow, RealNVP
from palaestra.neural_blocks.generation.gan import (
    GAN,
    DCDiscriminator,
    DCGenerator,
    DenseDiscriminator,
    DenseGenerator,
)
from palaestra.neural_blocks.generation.gan_losses import spectrally_normalised
from palaestra.neural_blocks.generation.pixel_rnn import PixelRNN
from palaestra.neural_blocks.generation.pixels import quantise
from palaestra.neural_blocks.generation.vae import VAE

LABELS = torch.tensor([0, 1, 2, 1])


def dense_gan():
    return GAN(DenseGenerator(classes=3), DenseDiscriminator(classes=3), "wasserstein", penalty=10.0)


def auxiliary_gan():
    discriminator = spectrally_normalised(DCDiscriminator(classes=3, auxiliary=True, channels=4)).eval()
    return GAN(DCGenerator(classes=3, channels=4), discriminator, noise=0.1)


def vae(likelihood):
    return VAE(latent_size=3, hidden=(16,), likelihood=likelihood)


def loss(block, images):
    return block.loss(images)


def pixel_loss(block, images):
    return block.loss(quantise(images))


def gan_losses(block, images):
    return block.discriminator_loss(images, LABELS) + block.generator_loss(images.shape[0], LABELS)


# name: (maker, what is computed from the block and images (4, 1, 8, 8))
BLOCKS = {
    "bottleneck": (lambda: Autoencoder((1, 8, 8), 5, (16,)), loss),
    "tied": (lambda: TiedAutoencoder((1, 8, 8), 5), loss),
    "denoising": (lambda: DenoisingAutoencoder((1, 8, 8), 5, (16,)), loss),
    "sparse": (lambda: SparseAutoencoder((1, 8, 8), 80), loss),
    "masked": (lambda: MaskedAutoencoder(d_model=16, n_head=2, layers=1), loss),
    "vae bernoulli": (lambda: vae("bernoulli"), loss),
    "vae gaussian": (lambda: vae("gaussian"), loss),
    "vae discretised": (lambda: vae("discretised"), loss),
    "importance bound": (lambda: vae("bernoulli"), lambda block, x: block.importance_bound(x, 3)),
    "PixelCNN": (lambda: PixelCNN(channels=8, blocks=1), pixel_loss),
    "PixelRNN": (lambda: PixelRNN(channels=4), pixel_loss),
    "NICE": (lambda: NICE((1, 8, 8), hidden=(16,)), loss),
    "RealNVP": (lambda: RealNVP((1, 8, 8), hidden=(16,)), loss),
    "PixelFlow": (lambda: PixelFlow(couplings=2, hidden=(16,)), pixel_loss),
    "diffusion": (lambda: Diffusion(steps=4, width=16, blocks=1), loss),
    "diffusion bound": (
        lambda: Diffusion(steps=4, width=16, blocks=1),
        lambda block, x: block.bound(quantise(x)),
    ),
    "Wasserstein GAN with penalty": (dense_gan, gan_losses),
    "auxiliary GAN": (auxiliary_gan, gan_losses),
}
GENERATIVE = [name for name, (make, _) in BLOCKS.items() if hasattr(make(), "sample")]


def made(name, seed=0):
    torch.manual_seed(seed)
    return BLOCKS[name][0]()


def computed(name, block, images):
    torch.manual_seed(3)
    return BLOCKS[name][1](block, images)


@pytest.fixture
def images():
    return torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", BLOCKS)
def test_one_compiled_graph_serves_any_batch_and_equals_eager(name, images, monkeypatch):
    block = made(name)
    torch.compiler.reset()
    compiled = torch.compile(BLOCKS[name][1], backend="eager", fullgraph=True, dynamic=True)
    for batch in (4, 6):
        monkeypatch.setattr(f"{__name__}.LABELS", torch.arange(batch) % 3)
        x = images[torch.arange(batch) % 4]
        expected = computed(name, block, x)
        torch.manual_seed(3)
        torch.testing.assert_close(compiled(block, x), expected)


@pytest.mark.parametrize("name", BLOCKS)
def test_a_saved_block_loads_into_another(name, images, tmp_path):
    block, other = made(name, 0), made(name, 1)
    torch.save(block.state_dict(), tmp_path / "block.pt")
    other.load_state_dict(torch.load(tmp_path / "block.pt", weights_only=True))
    torch.testing.assert_close(computed(name, other, images), computed(name, block, images))


@pytest.mark.parametrize("name", BLOCKS)
def test_works_in_bfloat16(name, images):
    block = made(name)
    exact = computed(name, block, images).mean().item()
    rough = computed(name, block.bfloat16(), images.bfloat16())
    assert rough.dtype == torch.bfloat16
    assert rough.float().mean().item() == pytest.approx(exact, rel=0.1, abs=0.1)


@pytest.mark.parametrize("name", BLOCKS)
def test_every_tensor_is_made_where_the_images_are(name, images, monkeypatch):
    """The meta device stands in for an accelerator: it computes no values and refuses to be mixed with the CPU."""
    monkeypatch.setattr(f"{__name__}.LABELS", LABELS.to("meta"))
    assert computed(name, made(name).to("meta"), images.to("meta")).device.type == "meta"


@pytest.mark.parametrize("name", BLOCKS)
def test_every_parameter_gets_a_gradient(name, images):
    block = made(name)
    computed(name, block, images).mean().backward()
    dead = [key for key, weight in block.named_parameters() if weight.grad is None]
    assert dead == (["log_scale"] if name in ("vae bernoulli", "importance bound") else [])


@pytest.mark.parametrize("name", GENERATIVE)
def test_samples_are_the_seeds_alone(name):
    block = made(name)
    labels = (LABELS,) if "GAN" in name else ()
    torch.manual_seed(5)
    first = block.sample(4, *labels, seed=2)
    torch.manual_seed(6)
    again = block.sample(4, *labels, seed=2)
    other = block.sample(4, *labels, seed=3)
    assert first.shape == (4, 1, 8, 8)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    if first.dtype == torch.int64:
        assert first.min() >= 0
        assert first.max() <= 16
    elif name not in ("NICE", "RealNVP"):
        assert first.min() >= 0
        assert first.max() <= 1


@pytest.mark.parametrize("name", BLOCKS)
def test_images_of_another_shape_are_refused(name):
    with pytest.raises(InvalidInput, match=r"8.*; got \(4, 1, 8, 7\)"):
        BLOCKS[name][1](made(name), torch.zeros(4, 1, 8, 7))
