"""Generators that learn from a discriminator: GANs of every loss and constraint, with or without classes."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call

from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.generation.gan import GAN, DCDiscriminator, DCGenerator, DenseDiscriminator, DenseGenerator
from ...neural_blocks.generation.gan_losses import clip_weights, spectrally_normalised
from ...neural_blocks.generation.gan_variants import CycleGAN, InfoGAN
from ...neural_blocks.noise import Draws, Seed
from ..core.config import AgentConfig
from .conditions import are_digits, code_accuracy
from .model import Model

SAMPLES = 1024  # by which codes are judged


class GANConfig(AgentConfig):
    """Settings of a generative adversarial network.

    Attributes:
        loss: "non_saturating", "minimax", "least_squares" or "wasserstein", see `neural_blocks.GAN`.
        constraint: what keeps the discriminator smooth: nothing, "clip" (its weights), "penalty" (on its gradient) or
            "spectral" (normalised layers).
        clip: largest weight of "clip".
        penalty: weight of "penalty".
        noise: deviation of the noise on what the discriminator sees.
        critic_steps: of the discriminator for each of the generator.
        unrolled: steps that the generator looks ahead: it learns against the discriminator as it will be after so many
            steps of gradient descent, through which its own gradient runs (Metz et al., 2017); 0 for the present one.
        unrolled_rate: learning rate of these steps.
        latent_size: dimensions of the latent.
        architecture: "dense" or "convolutional".
        hidden: widths of dense layers.
        channels: features of the smallest convolutional layer.
        auxiliary: whether the discriminator tells the class rather than being told (AC-GAN, Odena et al., 2017).
        categories: of a code that the discriminator recovers from samples (InfoGAN, Chen et al., 2016); 0 for none.
        information: weight of the bound on what samples tell of their category.
    """

    loss: Literal["non_saturating", "minimax", "least_squares", "wasserstein"] = "non_saturating"
    constraint: Literal["clip", "penalty", "spectral"] | None = None
    clip: float = Field(0.05, gt=0)
    penalty: float = Field(10.0, gt=0)
    noise: float = Field(0.1, ge=0, le=10)
    critic_steps: int = Field(1, ge=1, le=100)
    unrolled: int = Field(0, ge=0, le=100)
    unrolled_rate: float = Field(0.1, gt=0, le=10)
    latent_size: int = Field(16, ge=1, le=4096)
    architecture: Literal["dense", "convolutional"] = "dense"
    hidden: tuple[int, ...] = (256, 256)
    channels: int = Field(32, ge=1, le=1024)
    auxiliary: bool = False
    categories: int = Field(0, ge=0, le=1000)
    information: float = Field(1.0, ge=0, le=1000)


class Called(nn.Module):
    """A block whose methods are called by name, so that they can be called with other weights.

    Args:
        block: the module.
    """

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, method: str, *arguments: Any) -> Any:
        """What the method of that name gives."""
        return getattr(self.block, method)(*arguments)


class GANModel(Model):
    """A `GAN`, whose discriminator and generator take turns."""

    Config: ClassVar = GANConfig

    def build(self) -> None:
        """Both players."""
        one, (shape, _, classes, _) = self.config, self.pictures
        penalty = one.penalty if one.constraint == "penalty" else 0.0
        if one.unrolled and (one.categories or one.constraint == "spectral"):
            raise InvalidInput("generator: unrolled is for a gan without categories and without 'spectral'")
        self.phases = (*["discriminator"] * one.critic_steps, "generator")
        if one.categories:
            if classes or one.architecture != "dense":
                raise InvalidInput("generator: categories are for a dense gan where no class is asked for")
            self.block: GAN = InfoGAN(
                shape, one.categories, one.latent_size, one.hidden, one.loss, one.noise, penalty, one.information
            )
            if one.constraint == "spectral":
                spectrally_normalised(self.block.discriminator)
            return
        if one.architecture == "dense":
            generator: nn.Module = DenseGenerator(shape, one.latent_size, classes, one.hidden)
            discriminator: nn.Module = DenseDiscriminator(shape, classes, one.auxiliary, one.hidden)
        else:
            generator = DCGenerator(shape, one.latent_size, classes, one.channels)
            discriminator = DCDiscriminator(shape, classes, one.auxiliary, one.channels)
        if one.constraint == "spectral":
            spectrally_normalised(discriminator)
        self.block = GAN(generator, discriminator, one.loss, one.noise, penalty)  # type: ignore[arg-type]

    @property
    def telling(self) -> bool:
        """Whether its discriminator was taught to name classes."""
        return self.pictures.classes > 0 and self.config.auxiliary

    def parameters_of(self, part: str) -> list[nn.Parameter]:
        """One player's."""
        return list(getattr(self.block, part).parameters())

    def loss(self, part: str, pixels: Tensor, labels: Tensor | None, seed: Seed) -> Tensor:
        """One player's."""
        if part == "generator":
            if self.config.unrolled:
                return self._ahead(pixels, labels, seed)
            return self.block.generator_loss(len(pixels), labels, seed)
        return self.block.discriminator_loss(self.greys(pixels), labels, seed)

    def _ahead(self, pixels: Tensor, labels: Tensor | None, seed: Seed) -> Tensor:
        """The generator's loss against the discriminator some steps on, which depends on the generator too."""
        call, draws = Called(self.block), Draws(seed, pixels.device)
        weights: dict[str, Tensor] = {
            f"block.discriminator.{name}": one for name, one in self.block.discriminator.named_parameters()
        }
        greys = self.greys(pixels)
        for _ in range(self.config.unrolled):
            loss = functional_call(call, weights, ("discriminator_loss", greys, labels, draws.part(), True))
            slopes = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
            moved = zip(weights.items(), slopes, strict=True)
            weights = {name: one - self.config.unrolled_rate * slope for (name, one), slope in moved}
        return functional_call(call, weights, ("generator_loss", len(pixels), labels, draws.part()))

    def after(self, part: str) -> None:
        """Clips the discriminator's weights, if that is the constraint."""
        if part == "discriminator" and self.config.constraint == "clip":
            clip_weights(self.block.discriminator, self.config.clip)

    def sample(self, n: int, labels: Tensor | None, seed: Seed) -> Tensor:
        """What the generator makes of noise."""
        return self.block.sample(n, labels, seed)

    @torch.no_grad()
    def measured(self, seed: Seed) -> dict[str, float]:
        """Of codes, how much samples tell of them by the discriminator's bound, and whether they stand for digits."""
        if not isinstance(self.block, InfoGAN):
            return {}
        draws = Draws(seed, next(self.parameters()).device)
        codes = self.block.draw_codes(SAMPLES, draws.part())
        samples = self.block.sample(SAMPLES, codes, draws.part())
        found = {"information": float(self.block.information(samples, codes))}
        if are_digits(samples):
            found["code_accuracy"] = code_accuracy(samples, codes, self.config.categories)
        return found

    def class_scores(self, pixels: Tensor, seed: Seed) -> Tensor:
        """What the auxiliary discriminator says of the classes."""
        return self.block.discriminator.judge(self.greys(pixels))[1]


class CycleGANConfig(AgentConfig):
    """Settings of a translation between two domains.

    Attributes:
        hidden: widths of the hidden layers of all networks.
        loss: one of those of `GANConfig`; the paper's is "least_squares".
        cycle: weight of the way there and back.
        identity: weight of leaving as it is what is in the domain already.
        noise: deviation of the noise on what the discriminators see.
    """

    hidden: tuple[int, ...] = (256,)
    loss: Literal["non_saturating", "minimax", "least_squares", "wasserstein"] = "least_squares"
    cycle: float = Field(10.0, ge=0)
    identity: float = Field(1.0, ge=0)
    noise: float = Field(0.0, ge=0, le=10)


class CycleGANModel(Model):
    """A `CycleGAN` between the two classes of pictures that there are.

    A minibatch is a first half from one domain and a second from the other, drawn anew from what it is given.
    """

    Config: ClassVar = CycleGANConfig
    translates = True
    phases = ("discriminators", "translators")

    def build(self) -> None:
        """Translations and discriminators."""
        if self.pictures.classes != 2:
            raise InvalidInput("generator: a cycle_gan needs pictures of two domains; it plays Unpaired (by='pixels')")
        one = self.config
        self.block = CycleGAN(self.pictures.shape, one.hidden, one.loss, one.cycle, one.identity, one.noise)

    def parameters_of(self, part: str) -> list[nn.Parameter]:
        """One side's."""
        return list(getattr(self.block, part).parameters())

    def loss(self, part: str, pixels: Tensor, labels: Tensor | None, seed: Seed) -> Tensor:
        """One side's, on the halves of a minibatch that is sorted by domain."""
        first, second = self.greys(pixels).chunk(2)
        if part == "discriminators":
            return self.block.discriminator_loss(first, second, seed)
        return self.block.generator_loss(first, second, seed)

    def rows(self, uniforms: Tensor, labels: Tensor) -> Tensor:
        """Half of the pictures from each domain, whose pictures stand one after the other."""
        first, half = (labels == 0).sum(), (len(uniforms) + 1) // 2
        return torch.cat([uniforms[:half] * first, first + uniforms[half:] * (len(labels) - first)]).long()

    def sample(self, n: int, labels: Tensor | None, seed: Seed) -> Tensor:
        """It has none."""
        raise InvalidInput("CycleGANModel: it translates pictures and makes none")

    def translate(self, pictures: Tensor, to: Tensor) -> Tensor:
        """Pictures (B, C, H, W) in [0, 1] to the domain (B,) asked for."""
        there, back = self.block(pictures, 1), self.block(pictures, 0)
        return torch.where((to == 1).view(-1, 1, 1, 1), there, back)
