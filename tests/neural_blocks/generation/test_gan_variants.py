"""InfoGAN's bound on what a sample tells of its code, and CycleGAN's losses, by hand."""

import math

import pytest
import torch
from sklearn.metrics import log_loss

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.generation.gan_losses import discriminator_loss, generator_loss
from palaestra.neural_blocks.generation.gan_variants import CycleGAN, InfoGAN, Translator


def test_the_information_is_that_of_a_code_less_what_is_left_open_about_it():
    model = InfoGAN((1, 2, 2), categories=4, latent_size=3, hidden=(8,))
    codes = torch.tensor([0, 3, 1, 2, 2])
    images = model.sample(5, codes, 1)
    shares = model.discriminator.judge(images)[1].double().softmax(1).detach()
    expected = math.log(4) - log_loss(codes, shares, labels=[0, 1, 2, 3])
    assert model.information(images, codes).item() == pytest.approx(expected, abs=1e-6)


def test_the_information_ends_at_the_entropy_of_the_code():
    """A generator that shows its code in a pixel each, and a discriminator that reads it off."""
    model = InfoGAN((1, 2, 2), categories=4, latent_size=3, hidden=())
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        painted, read = model.generator.network[0].layers[0], model.discriminator.network[1].layers[0]
        painted.weight[:, 3:] = 20 * torch.eye(4)
        painted.bias.fill_(-10)
        codes = model.draw_codes(400, 5)
        assert codes.unique().tolist() == [0, 1, 2, 3]
        assert model.information(model.sample(400, codes, 1), codes).item() == pytest.approx(0, abs=0.02)
        read.weight[1:] = 20 * torch.eye(4)
        assert model.information(model.sample(400, codes, 1), codes).item() == pytest.approx(math.log(4), abs=1e-4)


def test_both_players_of_an_info_gan_pay_for_codes_that_are_not_recovered():
    one, other = (InfoGAN((1, 2, 2), 4, 3, (8,), weight=weight) for weight in (0.0, 2.0))
    other.load_state_dict(one.state_dict())
    images = torch.rand(6, 1, 2, 2)
    for loss in ("discriminator_loss", "generator_loss"):
        given = (images, None, 7) if loss == "discriminator_loss" else (6, None, 7)
        apart = getattr(other, loss)(*given) - getattr(one, loss)(*given)
        assert 0.5 < apart.item() / 2 < 3  # about ln 4, what an untrained guess pays
    with pytest.raises(InvalidInput, match="categories must be at least 2; got 1"):
        InfoGAN(categories=1)


def test_a_translator_begins_as_the_identity():
    images = torch.rand(3, 1, 4, 4).clamp(0.02, 0.98)
    torch.testing.assert_close(Translator((1, 4, 4))(images), images)


@pytest.mark.parametrize("loss", ["least_squares", "non_saturating"])
def test_the_losses_of_a_cycle_gan_are_the_sum_of_their_parts(loss):
    model = CycleGAN((1, 2, 2), (8,), loss, cycle=10.0, identity=2.0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    first, second = torch.rand(5, 1, 2, 2), torch.rand(5, 1, 2, 2)
    to_first, to_second = model.translators
    of_first, of_second = model.discriminators
    there, back = to_second(first), to_first(second)
    judged = discriminator_loss(loss, of_first(first), of_first(back))
    judged = judged + discriminator_loss(loss, of_second(second), of_second(there))
    torch.testing.assert_close(model.discriminator_loss(first, second), judged)
    l1 = lambda a, b: (a - b).abs().mean()  # noqa: E731
    fooled = generator_loss(loss, of_second(there)) + generator_loss(loss, of_first(back))
    cycle = l1(to_first(there), first) + l1(to_second(back), second)
    identity = l1(to_first(first), first) + l1(to_second(second), second)
    torch.testing.assert_close(model.generator_loss(first, second), fooled + 10 * cycle + 2 * identity)


def test_a_cycle_gan_refuses_an_unknown_loss():
    with pytest.raises(InvalidInput, match=r"'least_squares'.*got 'hinge'"):
        CycleGAN(loss="hinge")


def test_discriminators_of_translations_see_noise_drawn_by_the_seed():
    torch.manual_seed(0)
    model, (first, second) = CycleGAN((1, 4, 4), (8,), noise=0.5), torch.rand(2, 6, 1, 4, 4)
    for loss in (model.discriminator_loss, model.generator_loss):
        assert loss(first, second, 1) == loss(first, second, 1)
        assert loss(first, second, 1) != loss(first, second, 2)
    model.noise = 0.0
    assert model.generator_loss(first, second, 1) == model.generator_loss(first, second, 2)
