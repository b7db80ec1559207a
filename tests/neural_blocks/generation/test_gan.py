"""Generators and discriminators: classes told, classes told apart, and the two losses of a pair."""

import pytest
import torch
import torch.nn.functional as F

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.generation.gan import (
    GAN,
    DCDiscriminator,
    DCGenerator,
    DenseDiscriminator,
    DenseGenerator,
)
from palaestra.neural_blocks.noise import Draws

GENERATORS, DISCRIMINATORS = (DenseGenerator, DCGenerator), (DenseDiscriminator, DCDiscriminator)


@pytest.mark.parametrize("make", GENERATORS)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 16, 12)])
def test_generators_make_images(make, shape):
    images = make(shape, latent_size=5)(torch.randn(4, 5))
    assert images.shape == (4, *shape)
    assert 0 <= images.min() < images.max() <= 1


@pytest.mark.parametrize("make", GENERATORS)
def test_a_class_changes_what_is_generated(make):
    generator = make(classes=3).eval()
    z = torch.randn(1, 16).expand(3, -1)
    images = generator(z, torch.tensor([0, 0, 2]))
    torch.testing.assert_close(images[0], images[1])
    assert (images[0] - images[2]).abs().max() > 0.01


@pytest.mark.parametrize("make", DISCRIMINATORS)
def test_a_told_class_changes_the_judgement(make):
    logits = make(classes=3)(torch.rand(1, 1, 8, 8).expand(3, -1, -1, -1), torch.tensor([1, 1, 2]))
    torch.testing.assert_close(logits[0], logits[1])
    assert (logits[0] - logits[2]).abs() > 1e-4


@pytest.mark.parametrize("make", DISCRIMINATORS)
def test_an_auxiliary_discriminator_tells_classes(make):
    images = torch.rand(5, 1, 8, 8)
    logits, classes = make(classes=3, auxiliary=True).judge(images)
    assert logits.shape == (5,)
    assert classes.shape == (5, 3)
    assert make().judge(images)[1].shape == (5, 0)


@pytest.mark.parametrize("auxiliary", [False, True])
def test_each_player_gets_only_its_own_gradient(auxiliary):
    gan = GAN(DenseGenerator(classes=3), DenseDiscriminator(classes=3, auxiliary=auxiliary))
    labels = torch.randint(3, (6,))
    gan.discriminator_loss(torch.rand(6, 1, 8, 8), labels).backward()
    assert all(weight.grad is None for weight in gan.generator.parameters())
    assert all(weight.grad is not None for weight in gan.discriminator.parameters())
    gan.generator_loss(6, labels).backward()
    assert all(weight.grad is not None for weight in gan.generator.parameters())


def test_the_pairs_losses_add_up_by_hand():
    torch.manual_seed(0)
    generator, discriminator = DenseGenerator(classes=3), DenseDiscriminator(classes=3, auxiliary=True)
    gan = GAN(generator, discriminator, "least_squares")
    images, labels = torch.rand(6, 1, 8, 8), torch.randint(3, (6,))
    part = Draws(1, torch.device("cpu")).part()  # the seed of the fakes
    fakes = gan.sample(6, labels, seed=part)
    (real, real_class), (fake, fake_class) = discriminator.judge(images), discriminator.judge(fakes)
    classified = F.cross_entropy(fake_class, labels)
    expected = (
        0.5 * ((real - 1) ** 2).mean() + 0.5 * (fake**2).mean() + F.cross_entropy(real_class, labels) + classified
    )
    torch.testing.assert_close(gan.discriminator_loss(images, labels, seed=1), expected)
    expected = 0.5 * ((fake - 1) ** 2).mean() + classified
    torch.testing.assert_close(gan.generator_loss(6, labels, seed=1), expected)


def test_the_penalty_and_the_noise_are_used():
    torch.manual_seed(0)
    generator, discriminator, images = DenseGenerator(), DenseDiscriminator(), torch.rand(6, 1, 8, 8)

    def loss(**options):
        gan = GAN(generator, discriminator, "wasserstein", **options)
        return gan.discriminator_loss(images, seed=1).item()

    one, ten = loss(penalty=1.0) - loss(), loss(penalty=10.0) - loss()
    assert one > 0
    assert ten == pytest.approx(10 * one, rel=1e-4)
    assert loss(noise=0.5) != loss()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: DCGenerator((1, 6, 8)), r"DCGenerator: .* multiples of 4; got \(1, 6, 8\)"),
        (lambda: DCDiscriminator((1, 8, 6)), r"DCDiscriminator: .* multiples of 4; got \(1, 8, 6\)"),
        (lambda: DenseGenerator()(torch.zeros(2, 9)), r"\(B, 16\); got \(2, 9\)"),
        (lambda: DenseGenerator()(torch.zeros(2, 16), torch.zeros(2).long()), "got some for 0"),
        (lambda: DenseGenerator(classes=3)(torch.zeros(2, 16)), "got none for 3"),
        (lambda: DenseGenerator(classes=3)(torch.zeros(2, 16), torch.zeros(4).long()), r"shape \(2,\); got \(4,\)"),
        (lambda: DenseDiscriminator()(torch.zeros(2, 1, 8, 9)), r"\(B, 1, 8, 8\); got \(2, 1, 8, 9\)"),
        (lambda: GAN(DenseGenerator(classes=3), DenseDiscriminator()), "3 and 0 classes"),
        (lambda: GAN(DenseGenerator((1, 4, 4)), DenseDiscriminator()), r"\(1, 4, 4\) and \(1, 8, 8\)"),
        (lambda: GAN(DenseGenerator(), DenseDiscriminator(), "wassertein"), "did you mean 'wasserstein'"),
    ],
)
def test_bad_input_is_refused(wrong, message):
    with pytest.raises(InvalidInput, match=message):
        wrong()
