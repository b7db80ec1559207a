"""Generative adversarial networks: pairs of generator and discriminator, dense and convolutional."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InvalidInput, unknown_name
from ..noise import Draws, Seed
from ..perception.mlp import MLP
from .gan_losses import GAN_LOSSES, discriminator_loss, generator_loss, gradient_penalty, instance_noise
from .pixels import check_shape


def _class_channels(name: str, labels: Tensor | None, classes: int, like: Tensor) -> Tensor:
    """One-hot classes (B, classes, ...) as wide and of the type as `like` (B, features, ...)."""
    if (labels is None) != (classes == 0):
        raise InvalidInput(
            f"{name}: labels are for a network with classes; got {'none' if labels is None else 'some'} for {classes}"
        )
    if labels is None:
        return like[:, :0]
    if labels.shape != like.shape[:1]:
        raise InvalidInput(f"{name}: labels must have shape ({like.shape[0]},); got {tuple(labels.shape)}")
    one_hot = F.one_hot(labels, classes).to(like.dtype)
    return one_hot.view(like.shape[0], classes, *(1,) * (like.dim() - 2)).expand(-1, -1, *like.shape[2:])


class Generator(nn.Module):
    """What generators share: latents (B, latent_size), and classes (B,) int64 if it has them, to images in [0, 1].

    Args:
        shape: (C, H, W) of an image.
        latent_size: dimensions of the latent.
        classes: number of classes it can be asked for (Mirza and Osindero, 2014); 0 for none.
        network: (B, latent_size + classes) to logits (B, C, H, W).
    """

    def __init__(self, shape: Sequence[int], latent_size: int, classes: int, network: nn.Module) -> None:
        super().__init__()
        self.shape, self.latent_size, self.classes, self.network = tuple(shape), latent_size, classes, network

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Latents (B, latent_size) and classes (B,) to images (B, C, H, W) in [0, 1]."""
        check_shape(type(self).__name__, z, (self.latent_size,))
        given = torch.cat([z, _class_channels(type(self).__name__, labels, self.classes, z)], 1)
        return torch.sigmoid(self.network(given))

    def sample(self, n: int, labels: Tensor | None = None, seed: Seed = None) -> Tensor:
        """Generates n images, (n, C, H, W) in [0, 1], of the classes (n,) if it has classes; gradients flow."""
        like = next(self.parameters())
        return self(Draws(seed, like.device).normal(n, self.latent_size, dtype=like.dtype), labels)


class Discriminator(nn.Module):
    """What discriminators share: images (B, C, H, W) in [0, 1], and classes (B,) if it wants them, to logits (B,).

    Args:
        shape: (C, H, W) of an image.
        classes: number of classes; 0 for none.
        auxiliary: whether it tells the class (Odena et al., 2017) rather than being told (Mirza and Osindero, 2014).
        network: (B, C + told classes, H, W) to (B, 1 + classes it tells).
    """

    def __init__(self, shape: Sequence[int], classes: int, auxiliary: bool, network: nn.Module) -> None:
        super().__init__()
        self.shape, self.network = tuple(shape), network
        self.told, self.tells = (0, classes) if auxiliary else (classes, 0)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images (B, C, H, W) in [0, 1] and classes (B,) to logits (B,), positive for real."""
        return self.judge(images, labels)[0]

    def judge(self, images: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Logits of being real (B,), and of the class (B, classes), empty unless it tells classes."""
        check_shape(type(self).__name__, images, self.shape)
        given = torch.cat([2 * images - 1, _class_channels(type(self).__name__, labels, self.told, images)], 1)
        output = self.network(given)  # (B, 1 + tells)
        return output[:, 0], output[:, 1:]


class DenseGenerator(Generator):
    """A multi-layer perceptron as generator (Goodfellow et al., 2014); arguments and shapes as in `Generator`.

    Args:
        shape: (C, H, W) of an image.
        latent_size: dimensions of the latent.
        classes: number of classes it can be asked for.
        hidden: widths of the hidden layers.
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 8, 8),
        latent_size: int = 16,
        classes: int = 0,
        hidden: Sequence[int] = (256, 256),
    ) -> None:
        layers = MLP(latent_size + classes, hidden, math.prod(shape), activation="relu")
        super().__init__(shape, latent_size, classes, nn.Sequential(layers, nn.Unflatten(1, tuple(shape))))


class DenseDiscriminator(Discriminator):
    """A multi-layer perceptron as discriminator (Goodfellow et al., 2014); shapes as in `Discriminator`.

    Args:
        shape: (C, H, W) of an image.
        classes: number of classes; 0 for none.
        auxiliary: whether it tells the class rather than being told.
        hidden: widths of the hidden layers.
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 8, 8),
        classes: int = 0,
        auxiliary: bool = False,
        hidden: Sequence[int] = (256, 256),
    ) -> None:
        told, tells = (0, classes) if auxiliary else (classes, 0)
        pixels = math.prod((shape[0] + told, *shape[1:]))
        layers = MLP(pixels, hidden, 1 + tells, activation="silu")
        super().__init__(shape, classes, auxiliary, nn.Sequential(nn.Flatten(), layers))


class DCGenerator(Generator):
    """Two transposed convolutions of stride 2 with batch normalisation (DCGAN, Radford et al., 2016).

    Args:
        shape: (C, H, W) of an image, H and W multiples of 4.
        latent_size: dimensions of the latent.
        classes: number of classes it can be asked for.
        channels: features of the last hidden layer; twice as many in the one before.

    Raises:
        InvalidInput: H or W that 4 does not divide.
    """

    def __init__(
        self, shape: Sequence[int] = (1, 8, 8), latent_size: int = 16, classes: int = 0, channels: int = 32
    ) -> None:
        height, width = _quarter("DCGenerator", shape)
        network = nn.Sequential(
            nn.Linear(latent_size + classes, 2 * channels * height * width),
            nn.Unflatten(1, (2 * channels, height, width)),  # (B, 2 channels, H / 4, W / 4)
            nn.BatchNorm2d(2 * channels),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * channels, channels, 4, stride=2, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.ConvTranspose2d(channels, shape[0], 4, stride=2, padding=1),
        )
        super().__init__(shape, latent_size, classes, network)


class DCDiscriminator(Discriminator):
    """Two convolutions of stride 2 with leaky rectifiers (after DCGAN, Radford et al., 2016).

    It has no batch normalisation, which a gradient penalty and spectral norm do not allow.

    Args:
        shape: (C, H, W) of an image, H and W multiples of 4.
        classes: number of classes; 0 for none.
        auxiliary: whether it tells the class rather than being told.
        channels: features of the first layer; twice as many in the second.

    Raises:
        InvalidInput: H or W that 4 does not divide.
    """

    def __init__(
        self, shape: Sequence[int] = (1, 8, 8), classes: int = 0, auxiliary: bool = False, channels: int = 32
    ) -> None:
        height, width = _quarter("DCDiscriminator", shape)
        told, tells = (0, classes) if auxiliary else (classes, 0)
        network = nn.Sequential(
            nn.Conv2d(shape[0] + told, channels, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(channels, 2 * channels, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(2 * channels * height * width, 1 + tells),
        )
        super().__init__(shape, classes, auxiliary, network)


class GAN(nn.Module):
    """A generator and a discriminator with the loss of each.

    Args:
        generator: makes images; a discriminator with classes needs a generator with as many.
        discriminator: judges images.
        loss: one of `GAN_LOSSES`.
        noise: deviation of the instance noise on all images the discriminator sees.
        penalty: weight of the gradient penalty; 10 in Gulrajani et al. (2017).

    Raises:
        InvalidInput: an unknown loss, or a generator and discriminator of different shapes or numbers of classes.
    """

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator,
        loss: str = "non_saturating",
        noise: float = 0.0,
        penalty: float = 0.0,
    ) -> None:
        super().__init__()
        ours, theirs = generator.classes, discriminator.told + discriminator.tells
        if generator.shape != discriminator.shape or ours != theirs:
            raise InvalidInput(
                f"GAN: generator and discriminator must agree; got shapes {generator.shape} and {discriminator.shape}, "
                f"{ours} and {theirs} classes"
            )
        if loss not in GAN_LOSSES:
            raise unknown_name("GAN: loss", loss, GAN_LOSSES)
        self.generator, self.discriminator = generator, discriminator
        self.loss, self.noise, self.penalty = loss, noise, penalty

    def discriminator_loss(
        self, images: Tensor, labels: Tensor | None = None, seed: Seed = None, through: bool = False
    ) -> Tensor:
        """What the discriminator minimises on real images (B, C, H, W) and as many fresh fakes of their classes.

        Gradients end at the fakes, unless they are to run `through` to the generator.
        """
        draws = Draws(seed, images.device)
        fakes = self.generator.sample(images.shape[0], labels, draws.part())
        fakes = fakes if through else fakes.detach()
        real, real_class = self._judge(images, labels, draws)
        fake, fake_class = self._judge(fakes, labels, draws)
        loss = discriminator_loss(self.loss, real, fake)
        if labels is not None and self.discriminator.tells:
            loss = loss + F.cross_entropy(real_class, labels) + F.cross_entropy(fake_class, labels)
        return loss + self._smoothness(images, fakes, labels, draws)

    def generator_loss(self, n: int, labels: Tensor | None = None, seed: Seed = None) -> Tensor:
        """What the generator minimises on n fresh images, of the classes (n,) if it has classes."""
        draws = Draws(seed, next(self.generator.parameters()).device)
        fake, fake_class = self._judge(self.generator.sample(n, labels, draws.part()), labels, draws)
        loss = generator_loss(self.loss, fake)
        if labels is not None and self.discriminator.tells:
            loss = loss + F.cross_entropy(fake_class, labels)
        return loss

    @torch.no_grad()
    def sample(self, n: int, labels: Tensor | None = None, seed: Seed = None) -> Tensor:
        """Generates n images, (n, C, H, W) in [0, 1], of the classes (n,) if it has classes."""
        return self.generator.sample(n, labels, seed)

    def _smoothness(self, images: Tensor, fakes: Tensor, labels: Tensor | None, draws: Draws) -> Tensor | float:
        """The weighted gradient penalty."""
        if not self.penalty:
            return 0.0
        told = labels if self.discriminator.told else None
        return self.penalty * gradient_penalty(lambda x: self.discriminator(x, told), images, fakes, draws.part())

    def _judge(self, images: Tensor, labels: Tensor | None, draws: Draws) -> tuple[Tensor, Tensor]:
        seen = instance_noise(images, self.noise, draws.part()) if self.noise else images
        return self.discriminator.judge(seen, labels if self.discriminator.told else None)


def _quarter(name: str, shape: Sequence[int]) -> tuple[int, int]:
    if len(shape) != 3 or shape[1] % 4 or shape[2] % 4:
        raise InvalidInput(f"{name}: shape must be (C, H, W) with H and W multiples of 4; got {tuple(shape)}")
    return shape[1] // 4, shape[2] // 4
