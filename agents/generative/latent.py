"""Generators with latents: VAE and VQ-VAE, NICE and Real-NVP, diffusion, and the restricted Boltzmann machine."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.generation.diffusion import Diffusion
from ...neural_blocks.generation.flow import PixelFlow
from ...neural_blocks.generation.vae import VAE
from ...neural_blocks.generation.vq_vae import VQVAE
from ...neural_blocks.neurons.energy import ENUMERABLE, RBM
from ...neural_blocks.noise import Seed
from ..core.config import AgentConfig
from .model import Model

LARGEST = 4096  # units of a layer
READINGS = 8  # of a picture with gaps, each with what the last one expected in them


class VAEConfig(AgentConfig):
    """Settings of a variational autoencoder.

    Attributes:
        latent_size: dimensions of the latent.
        hidden: widths of the encoder's hidden layers; the decoder has them in reverse.
        likelihood: "discretised", "bernoulli" or "gaussian", see `neural_blocks.VAE`.
        beta: weight of the divergence in the loss.
        samples: latents of the importance-weighted bound by which it is scored, and of what it expects where pixels
            are missing.
    """

    latent_size: int = Field(16, ge=1, le=LARGEST)
    hidden: tuple[int, ...] = (256, 256)
    likelihood: Literal["discretised", "bernoulli", "gaussian"] = "discretised"
    beta: float = Field(1.0, ge=0)
    samples: int = Field(16, ge=1, le=10_000)


class VAEModel(Model):
    """A `VAE`; each class has a prior of its own."""

    Config: ClassVar = VAEConfig
    restores = True

    def build(self) -> None:
        """The block."""
        one, of = self.config, self.pictures
        self.block = VAE(
            of.shape, one.latent_size, one.hidden, likelihood=one.likelihood, levels=of.levels, classes=of.classes
        )

    @property
    def scored(self) -> bool:
        """A bound, where pixels have probabilities."""
        likelihood = self.config.likelihood
        return likelihood == "discretised" or (likelihood == "bernoulli" and self.pictures.levels == 2)

    def loss(self, part: str, pixels: Tensor, labels: Tensor | None, seed: Seed) -> Tensor:
        """The negative evidence bound, nats."""
        return self.block.loss(self.greys(pixels), self.config.beta, seed, labels)

    def sample(self, n: int, labels: Tensor | None, seed: Seed) -> Tensor:
        """What the decoder expects of latents from the prior."""
        return self.block.sample(n, seed, labels)

    def log_prob(self, pixels: Tensor, labels: Tensor | None, seed: Seed) -> Tensor:
        """The importance-weighted bound."""
        return self.block.importance_bound(self.greys(pixels), self.config.samples, seed, labels)

    def restore(self, pictures: Tensor, missing: Tensor, most: int, seed: Seed) -> Tensor:
        """By weighted latents."""
        return self.block.restore(pictures, missing, self.config.samples, READINGS, seed)


class VQVAEConfig(AgentConfig):
    """Settings of an autoencoder with discrete latents.

    Attributes:
        codes: in the list.
        size: features of a code.
        channels: features of the hidden layers, and of the prior's, even.
        beta: weight of the distance in which the encoder commits itself to codes.
    """

    codes: int = Field(32, ge=2, le=LARGEST)
    size: int = Field(8, ge=1, le=LARGEST)
    channels: int = Field(32, ge=2, le=1024, multiple_of=2)
    beta: float = Field(0.25, ge=0)


class VQVAEModel(Model):
    """A `VQVAE`; its autoencoder and its prior learn side by side, and the prior is asked for classes."""

    Config: ClassVar = VQVAEConfig
    phases = ("autoencoder", "prior")

    def build(self) -> None:
        """The block."""
        one, of = self.config, self.pictures
        self.block = VQVAE(of.shape, of.levels, one.codes, one.size, one.channels, one.beta, of.classes)

    @property
    def scored(self) -> bool:
        """A bound, as a picture could have come from other codes too."""
        return True

    def parameters_of(self, part: str) -> list[nn.Parameter]:
        """The prior's, or all others."""
        prior = {id(one) for one in self.block.prior.parameters()}
        return [one for one in self.block.parameters() if (id(one) in prior) == (part == "prior")]

    def loss(self, part: str, pixels: Tensor, labels: Tensor | None, seed: Seed) -> Tensor:
        """Of the reconstruction, or bits of each code."""
        return self.block.prior_loss(pixels, labels) if part == "prior" else self.block.loss(pixels)

    def sample(self, n: int, labels: Tensor | None, seed: Seed) -> Tensor:
        """Codes from the prior, and greys from the decoder."""
        return self.greys(self.block.sample(n, seed, labels))

    def log_prob(self, pixels: Tensor, labels: Tensor | None, seed: Seed) -> Tensor:
        """By the picture's own codes."""
        return self.block.log_prob(pixels, labels)


class FlowConfig(AgentConfig):
    """Settings of a normalising flow.

    Attributes:
        couplings: coupling layers.
        hidden: widths of each coupling's network.
    """

    couplings: int = Field(6, ge=2, le=64)
    hidden: tuple[int, ...] = (128, 128)


class RealNVPModel(Model):
    """A `PixelFlow` of affine couplings; each class has latents around a mean of its own."""

    Config: ClassVar = FlowConfig
    affine: ClassVar[bool] = True

    def build(self) -> None:
        """The block."""
        one, of = self.config, self.pictures
        self.block = PixelFlow(of.shape, of.levels, one.couplings, one.hidden, self.affine, of.classes)

    @property
    def scored(self) -> bool:
        """A bound, as pixels are dequantised."""
        return True

    def begin(self, pixels: Tensor) -> None:
        """Each pixel alone has the frequencies of its greys."""
        self.block.marginals.fit(pixels)

    def loss(self, part: str, pixels: Tensor, labels: Tensor | None, seed: Seed) -> Tensor:
        """Bits per pixel."""
        return self.block.loss(pixels, seed, labels)

    def sample(self, n: int, labels: Tensor | None, seed: Seed) -> Tensor:
        """What latents are mapped back to."""
        return self.greys(self.block.sample(n, seed, labels))

    def log_prob(self, pixels: Tensor, labels: Tensor | None, seed: Seed) -> Tensor:
        """The density of dequantised pixels, from one noise each."""
        return self.block.log_prob(pixels, seed, labels)


class NICEModel(RealNVPModel):
    """A `PixelFlow` of additive couplings with a closing scaling."""

    affine = False


class DiffusionConfig(AgentConfig):
    """Settings of a diffusion model.

    Attributes:
        steps: from noise to a picture.
        schedule: of the noise, "cosine" or "linear".
        width: features of the denoiser, even.
        blocks: residual blocks of the denoiser.
        ddim: deterministic steps that a sample takes; 0 for all of `steps`, with noise.
        guidance: towards the class asked for; 1 for none beyond it, see `neural_blocks.Diffusion`.
        drop: share of the pictures that it learns from without their class.
        particles: pictures drawn to suit what is left of one, whose mean fills its gaps.
        resampling: how often each step is taken for that, see `neural_blocks.Diffusion`.
    """

    steps: int = Field(10, ge=2, le=10_000)
    schedule: Literal["cosine", "linear"] = "cosine"
    width: int = Field(128, ge=2, le=LARGEST, multiple_of=2)
    blocks: int = Field(3, ge=1, le=64)
    ddim: int = Field(0, ge=0, le=10_000)
    guidance: float = Field(1.0, ge=0, le=100)
    drop: float = Field(0.1, ge=0, lt=1)
    particles: int = Field(16, ge=1, le=LARGEST)
    resampling: int = Field(1, ge=1, le=100)


class DiffusionModel(Model):
    """A `Diffusion`, by classifier-free guidance where there are classes."""

    Config: ClassVar = DiffusionConfig
    denoises = True
    restores = True

    def build(self) -> None:
        """The block."""
        one, of = self.config, self.pictures
        if one.ddim > one.steps:
            raise InvalidInput(f"DiffusionConfig: ddim must be at most steps, {one.steps}; got {one.ddim}")
        self.block = Diffusion(of.shape, of.levels, one.steps, one.schedule, one.width, one.blocks, of.classes)

    @property
    def scored(self) -> bool:
        """The variational bound."""
        return True

    def loss(self, part: str, pixels: Tensor, labels: Tensor | None, seed: Seed) -> Tensor:
        """The squared error of the noise."""
        return self.block.loss(self.greys(pixels), seed, labels, self.config.drop)

    def sample(self, n: int, labels: Tensor | None, seed: Seed) -> Tensor:
        """Out of noise."""
        one = self.config
        if one.ddim:
            return self.block.sample_ddim(n, one.ddim, seed, labels, one.guidance).clamp(0, 1)
        return self.block.sample(n, seed, labels, one.guidance).clamp(0, 1)

    def log_prob(self, pixels: Tensor, labels: Tensor | None, seed: Seed) -> Tensor:
        """From one noisy picture for each step."""
        return self.block.bound(pixels, seed, labels)

    def restore(self, pictures: Tensor, missing: Tensor, most: int, seed: Seed) -> Tensor:
        """The mean of pictures that suit what is left."""
        return self.block.restore(pictures, missing, self.config.particles, self.config.resampling, seed)


class RBMConfig(AgentConfig):
    """Settings of a restricted Boltzmann machine.

    Attributes:
        hidden: units; of 16 at most the likelihood of black and white pictures is exact, of more there is none.
        divergence: Gibbs rounds of contrastive divergence.
        rounds: Gibbs rounds of a sample, and of what it expects where pixels are missing.
    """

    hidden: int = Field(64, ge=1, le=LARGEST)
    divergence: int = Field(1, ge=1, le=1000)
    rounds: int = Field(200, ge=1, le=10_000)


class RBMModel(Model):
    """An `RBM`, which takes greys between black and white for probabilities."""

    Config: ClassVar = RBMConfig
    restores = True

    def build(self) -> None:
        """The block."""
        if self.pictures.classes:
            raise InvalidInput("generator: an rbm has no classes; it plays GANGame (dataset='digits')")
        self.block = RBM(math.prod(self.pictures.shape), self.config.hidden)

    @property
    def scored(self) -> bool:
        """The likelihood of a small machine, of black and white pictures."""
        return self.config.hidden <= ENUMERABLE and self.pictures.levels == 2

    def begin(self, pixels: Tensor) -> None:
        """Biases that give each pixel alone its frequency (Hinton, 2012)."""
        share = self.greys(pixels).flatten(1).mean(0).clamp(0.01, 0.99)
        with torch.no_grad():
            self.block.visible_bias.copy_(share.logit())

    def loss(self, part: str, pixels: Tensor, labels: Tensor | None, seed: Seed) -> Tensor:
        """Contrastive divergence."""
        return self.block.loss(self.greys(pixels).flatten(1), self.config.divergence, seed)

    def sample(self, n: int, labels: Tensor | None, seed: Seed) -> Tensor:
        """The probabilities after all Gibbs rounds."""
        drawn = self.block.sample(n, self.config.rounds, seed)
        return self.block.reconstruct(self.block(drawn)).view(n, *self.pictures.shape)

    def log_prob(self, pixels: Tensor, labels: Tensor | None, seed: Seed) -> Tensor:
        """Less the logarithm of the partition function."""
        return self.block.log_prob(self.greys(pixels).flatten(1))

    def restore(self, pictures: Tensor, missing: Tensor, most: int, seed: Seed) -> Tensor:
        """By Gibbs rounds that leave the rest as it is."""
        return self.block.restore(pictures.flatten(1), missing.flatten(1), self.config.rounds, seed).view_as(pictures)
