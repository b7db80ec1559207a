"""Adversarial networks that learn more than samples: the codes behind them (InfoGAN), and translations (CycleGAN)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InvalidInput
from ..noise import Draws, Seed
from ..perception.mlp import MLP
from .gan import GAN, DenseDiscriminator, DenseGenerator
from .gan_losses import GAN_LOSSES, discriminator_loss, generator_loss, instance_noise
from .pixels import check_shape


class InfoGAN(GAN):
    """A GAN whose discriminator reads off a sample the code that it was made from (Chen et al., 2016).

    The generator is given a category, uniform, beside its noise; the discriminator's further outputs are q(category |
    image). E[ln q] + H(category) is a lower bound on what the image tells of the category, and both players raise it:
    so categories come to stand for something, without a label.

    Args:
        shape: (C, H, W) of an image.
        categories: K.
        latent_size: dimensions of the noise.
        hidden: widths of the hidden layers of both.
        loss: one of `GAN_LOSSES`.
        noise: deviation of the instance noise on all images the discriminator sees.
        penalty: weight of the gradient penalty.
        weight: of the bound.

    Raises:
        InvalidInput: fewer than two categories, or an unknown loss.
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 8, 8),
        categories: int = 10,
        latent_size: int = 16,
        hidden: Sequence[int] = (256, 256),
        loss: str = "non_saturating",
        noise: float = 0.0,
        penalty: float = 0.0,
        weight: float = 1.0,
    ) -> None:
        if categories < 2:
            raise InvalidInput(f"InfoGAN: categories must be at least 2; got {categories}")
        generator = DenseGenerator(shape, latent_size, categories, hidden)
        discriminator = DenseDiscriminator(shape, categories, auxiliary=True, hidden=hidden)
        super().__init__(generator, discriminator, loss, noise, penalty)
        self.categories, self.weight = categories, weight

    def draw_codes(self, n: int, seed: Seed = None) -> Tensor:
        """n categories (n,) int64, uniform."""
        noise = Draws(seed, next(self.parameters()).device).uniform(n)
        return (noise * self.categories).long()

    def information(self, images: Tensor, codes: Tensor) -> Tensor:
        """The bound on what images (B, C, H, W) tell of the codes (B,) they are made from, nats, at most ln K."""
        return math.log(self.categories) - F.cross_entropy(self.discriminator.judge(images)[1], codes)

    def discriminator_loss(
        self, images: Tensor, labels: Tensor | None = None, seed: Seed = None, through: bool = False
    ) -> Tensor:
        """As of `GAN`; labels are not looked at."""
        draws = Draws(seed, images.device)
        codes = self.draw_codes(len(images), draws.part())
        with torch.set_grad_enabled(through and torch.is_grad_enabled()):
            fakes = self.generator.sample(len(images), codes, draws.part())
        real, _ = self._judge(images, None, draws)
        fake, told = self._judge(fakes, None, draws)
        loss = discriminator_loss(self.loss, real, fake) + self.weight * F.cross_entropy(told, codes)
        return loss + self._smoothness(images, fakes, None, draws)

    def generator_loss(self, n: int, labels: Tensor | None = None, seed: Seed = None) -> Tensor:
        """What the generator minimises on n fresh images."""
        draws = Draws(seed, next(self.parameters()).device)
        codes = self.draw_codes(n, draws.part())
        fake, told = self._judge(self.generator.sample(n, codes, draws.part()), None, draws)
        return generator_loss(self.loss, fake) + self.weight * F.cross_entropy(told, codes)

    @torch.no_grad()
    def sample(self, n: int, labels: Tensor | None = None, seed: Seed = None) -> Tensor:
        """Generates n images (n, C, H, W) in [0, 1], of random categories unless some (n,) are given."""
        draws = Draws(seed, next(self.parameters()).device)
        codes = self.draw_codes(n, draws.part()) if labels is None else labels
        return self.generator.sample(n, codes, draws.part())


class Translator(nn.Module):
    """An image made into another by a perceptron that begins as the identity: (B, C, H, W) in [0, 1] to the same.

    Args:
        shape: (C, H, W) of an image.
        hidden: widths of the hidden layers.
    """

    margin = 0.01  # that greys keep from black and white before the logit

    def __init__(self, shape: Sequence[int], hidden: Sequence[int] = (256,)) -> None:
        super().__init__()
        self.shape = tuple(shape)
        size = math.prod(shape)
        self.change = MLP(size, hidden, size, activation="relu", output_gain=0.0)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1] to others."""
        check_shape("Translator", images, self.shape)
        before = images.clamp(self.margin, 1 - self.margin).logit()
        return torch.sigmoid(before + self.change(2 * images.flatten(1) - 1).view_as(images))


class CycleGAN(nn.Module):
    """Translations between two domains without pairs, each undoing the other (Zhu et al., 2017).

    Each translation is a generator for the domain that it leads to, with a discriminator of its own; what the two make
    of an image one after the other has to be the image (L1), and an image that is in the domain already is to be left
    as it is.

    Args:
        shape: (C, H, W) of an image.
        hidden: widths of the hidden layers of all networks.
        loss: one of `GAN_LOSSES`; the paper's is "least_squares".
        cycle: weight of the way there and back; 10 in the paper.
        identity: weight of what is left as it is.
        noise: deviation of the instance noise on all images that the discriminators see.

    Raises:
        InvalidInput: an unknown loss, or images of another shape.
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 8, 8),
        hidden: Sequence[int] = (256,),
        loss: str = "least_squares",
        cycle: float = 10.0,
        identity: float = 1.0,
        noise: float = 0.0,
    ) -> None:
        super().__init__()
        if loss not in GAN_LOSSES:
            raise InvalidInput(f"CycleGAN: loss must be one of {', '.join(map(repr, GAN_LOSSES))}; got {loss!r}")
        self.loss, self.cycle, self.identity, self.noise = loss, cycle, identity, noise
        self.translators = nn.ModuleList(Translator(shape, hidden) for _ in range(2))
        self.discriminators = nn.ModuleList(DenseDiscriminator(shape, hidden=hidden) for _ in range(2))

    def forward(self, images: Tensor, to: int) -> Tensor:
        """Images (B, C, H, W) in [0, 1] of the other domain translated to domain 0 or 1."""
        return self.translators[to](images)

    def discriminator_loss(self, first: Tensor, second: Tensor, seed: Seed = None) -> Tensor:
        """What the discriminators minimise on images (B, C, H, W) of domain 0 and of domain 1."""
        draws = Draws(seed, first.device)
        with torch.no_grad():
            fakes = self(second, 0), self(first, 1)
        return torch.stack(
            [
                discriminator_loss(self.loss, self._judge(domain, real, draws), self._judge(domain, fake, draws))
                for domain, (real, fake) in enumerate(zip((first, second), fakes, strict=True))
            ]
        ).sum()

    def generator_loss(self, first: Tensor, second: Tensor, seed: Seed = None) -> Tensor:
        """What the translations minimise on images (B, C, H, W) of domain 0 and of domain 1."""
        draws = Draws(seed, first.device)
        there, back = self(first, 1), self(second, 0)
        fooled = generator_loss(self.loss, self._judge(1, there, draws))
        fooled = fooled + generator_loss(self.loss, self._judge(0, back, draws))
        round_trip = (self(there, 0) - first).abs().mean() + (self(back, 1) - second).abs().mean()
        left = (self(first, 0) - first).abs().mean() + (self(second, 1) - second).abs().mean()
        return fooled + self.cycle * round_trip + self.identity * left

    def _judge(self, domain: int, images: Tensor, draws: Draws) -> Tensor:
        seen = instance_noise(images, self.noise, draws.part()) if self.noise else images
        return self.discriminators[domain](seen)
