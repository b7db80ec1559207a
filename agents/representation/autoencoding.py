"""Rebuilding what is seen: autoencoders with a bottleneck, denoising, sparse and masked, and the variational one."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from ...neural_blocks.generation.autoencoder import (
    Autoencoder,
    DenoisingAutoencoder,
    MaskedAutoencoder,
    SparseAutoencoder,
    TiedAutoencoder,
    Transposed,
)
from ...neural_blocks.generation.vae import VAE
from ...neural_blocks.representation.codes import BottleneckEncoder, LatentEncoder, PatchEncoder, bounded
from ..networks.pretrained import Recipe
from .method import Method, PretrainConfig, is_image, space_test


class AutoencoderConfig(PretrainConfig):
    """Settings of an autoencoder.

    Attributes:
        kind: "bottleneck"; "tied", one layer each way with the same weights; "denoising", of which a share of
            dimensions is hidden; "sparse", whose code is mostly silent; or "masked", a transformer that sees a share of
            an image's patches only.
        code_size: units of the code; of "masked" the features of a patch, a multiple of 8.
        layers: widths of the encoder's hidden layers; of "tied" and "masked" without effect.
        share: hidden, of "denoising" and "masked".
        target: mean activation of a unit, of "sparse".
        price: of the distance from it.
        patch: side of a patch, of "masked".
        depth: layers of the transformer, of "masked".
    """

    kind: Literal["bottleneck", "tied", "denoising", "sparse", "masked"] = "bottleneck"
    code_size: int = Field(32, ge=1, le=65_536)
    layers: tuple[int, ...] = Field((128,), max_length=16)
    share: float = Field(0.25, gt=0, lt=1)
    target: float = Field(0.05, gt=0, lt=1)
    price: float = Field(0.1, ge=0)
    patch: int = Field(2, ge=1)
    depth: int = Field(2, ge=1, le=64)


class AutoencoderMethod(Method):
    """Squeezes what is seen through a small code, and rebuilds it (Rumelhart et al., 1986); see `Autoencoder`."""

    name = "autoencoder"
    needs = "an image, or a Box with finite bounds"
    Config = AutoencoderConfig
    fits = space_test(bounded)

    def build(self) -> None:
        """The block, and an encoder that shares its layers."""
        config = self.config
        if config.kind == "masked":
            settings = {"patch": config.patch, "d_model": config.code_size, "n_head": 4, "layers": config.depth}
            self.encoder = PatchEncoder(self.seen, **settings)
            masked = MaskedAutoencoder(self.encoder.scale.shape, share=config.share, **settings)
            masked.embed, masked.place, masked.encoder = self.encoder.embed, self.encoder.place, self.encoder.encoder
            self.block: Autoencoder | MaskedAutoencoder = masked
            self.recipe = Recipe(encoder="patches", settings=settings, method=self.name)
            return
        hidden = () if config.kind == "tied" else config.layers
        self.encoder = BottleneckEncoder(self.seen, config.code_size, hidden)
        shape, sizes = self.encoder.scale.shape, (config.code_size, hidden)
        if config.kind == "denoising":
            self.block = DenoisingAutoencoder(shape, *sizes, share=config.share)
        elif config.kind == "sparse":
            self.block = SparseAutoencoder(shape, *sizes, target=config.target, weight=config.price)
        elif config.kind == "tied":
            self.block = TiedAutoencoder(shape, config.code_size)
            self.block.decoder = Transposed(self.encoder.network.layers[0])
        else:
            self.block = Autoencoder(shape, *sizes)
        self.block.encoder = self.encoder.network
        settings = {"code_size": config.code_size, "hidden": list(hidden)}
        self.recipe = Recipe(encoder="bottleneck", settings=settings, method=self.name)

    def loss(self, batch: Tensor, seed: Tensor) -> Tensor:
        """The block's loss of observations (N, ...)."""
        return self.block.loss(self.encoder.scale(batch), seed)

    @torch.no_grad()
    def pictures_of(self, places: Tensor) -> Tensor | None:
        """What codes of two units, at these places between 0 and 1, are rebuilt as."""
        if not isinstance(self.block, Autoencoder) or self.config.code_size != 2 or self.encoder.scale.layout is None:
            return None
        return self.block.decode(places)


class VAEConfig(PretrainConfig):
    """Settings of a variational autoencoder.

    Attributes:
        latent_size: dimensions of the latent.
        layers: widths of the encoder's hidden layers.
        likelihood: of an image: "bernoulli", "gaussian" or "discretised", see `VAE`.
        beta: price of the latent's distance from the prior.
    """

    latent_size: int = Field(16, ge=1, le=65_536)
    layers: tuple[int, ...] = Field((256, 256), max_length=16)
    likelihood: Literal["bernoulli", "gaussian", "discretised"] = "bernoulli"
    beta: float = Field(1.0, ge=0)


class VAEMethod(Method):
    """Fits a Gaussian latent behind each image (Kingma and Welling, 2014); see `VAE`. The encoder gives its mean."""

    name = "vae"
    needs = "an image"
    Config = VAEConfig
    fits = space_test(lambda space: is_image(space) and bounded(space))

    def build(self) -> None:
        """The block, and an encoder that shares its layers."""
        config = self.config
        self.encoder = LatentEncoder(self.seen, config.latent_size, config.layers)
        self.block = VAE(self.encoder.scale.shape, config.latent_size, config.layers, likelihood=config.likelihood)
        self.block.encoder = self.encoder.network
        settings = {"latent_size": config.latent_size, "hidden": list(config.layers)}
        self.recipe = Recipe(encoder="latent", settings=settings, method=self.name)

    def loss(self, batch: Tensor, seed: Tensor) -> Tensor:
        """Minus the evidence bound of images (N, ...), nats."""
        return self.block.loss(self.encoder.scale(batch), self.config.beta, seed)

    @torch.no_grad()
    def pictures_of(self, places: Tensor) -> Tensor | None:
        """The images expected of two latents, at these quantiles of the prior."""
        return self.block.decode(torch.special.ndtri(places)) if self.config.latent_size == 2 else None
