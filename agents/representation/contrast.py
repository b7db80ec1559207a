"""Telling each image's other view from other images: SimCLR and MoCo."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ...neural_blocks.perception.mlp import MLP
from ...neural_blocks.representation.contrast import nt_xent, queue_contrast
from ...neural_blocks.robustness.ensemble import WeightAverage
from ..networks.network_config import Change
from .method import EncodingConfig, Method, Views, is_image, space_test


class ViewsConfig(EncodingConfig):
    """Settings of a method that compares two views of each image.

    Attributes:
        views: how a view is made from an image: one change at random after the other, see `augmentation`.
        projection: features that are compared.
        hidden: units of the hidden layer before these.
    """

    views: tuple[Change, ...] = Field(("rotate", "crop", "noise"), min_length=1)
    projection: int = Field(64, ge=1, le=65_536)
    hidden: int = Field(128, ge=1, le=65_536)


class SimCLRConfig(ViewsConfig):
    """Settings of SimCLR.

    Attributes:
        temperature: divides the cosines.
    """

    temperature: float = Field(0.5, gt=0)


class SimCLR(Method):
    """Finds each view's partner among all views of a batch (Chen et al., 2020); the projection is then thrown away."""

    name = "simclr"
    needs = "an image"
    Config = SimCLRConfig
    fits = space_test(is_image)

    def build(self) -> None:
        """Encoder, projection, and what makes views."""
        self.make_encoder()
        self.views = Views(self.seen, self.config.views)
        self.projection = MLP(self.encoder.output_size, (self.config.hidden,), self.config.projection)

    def loss(self, batch: Tensor, seed: Tensor) -> Tensor:
        """The contrast of two views of images (N, ...), nats."""
        first, second = (self.projection(self.encoder(view)) for view in self.views(batch, seed))
        return nt_xent(first, second, self.config.temperature)


class MoCoConfig(ViewsConfig):
    """Settings of MoCo.

    Attributes:
        temperature: divides the cosines.
        queue: keys of earlier batches that are kept as negatives.
        decay: share of the slow encoder that stays at each step.
    """

    temperature: float = Field(0.2, gt=0)
    queue: int = Field(1024, ge=1, le=10**7)
    decay: float = Field(0.99, ge=0, le=1)


class MoCo(Method):
    """Finds what a slow copy makes of the other view, among a queue of earlier ones (He et al., 2020)."""

    name = "moco"
    needs = "an image"
    Config = MoCoConfig
    fits = space_test(is_image)
    queue: Tensor

    def build(self) -> None:
        """Encoder and projection, their slow copy, the queue, and what makes views."""
        config = self.config
        self.make_encoder()
        self.views = Views(self.seen, config.views)
        self.projection = MLP(self.encoder.output_size, (config.hidden,), config.projection)
        self.online = torch.nn.Sequential(self.encoder, self.projection)
        self.slow = WeightAverage(self.online, config.decay)
        self.register_buffer("queue", F.normalize(torch.randn(config.queue, config.projection), dim=-1))

    def loss(self, batch: Tensor, seed: Tensor) -> Tensor:
        """The contrast of images (N, ...) with the queue, nats; keeps the keys for it."""
        first, second = self.views(batch, seed)
        with torch.no_grad():
            self.keys = F.normalize(self.slow(second), dim=-1)
        return queue_contrast(self.online(first), self.keys, self.queue, self.config.temperature)

    def after(self) -> None:
        """The slow copy follows, and the oldest keys leave the queue."""
        self.slow.update_parameters(self.online)
        self.queue.copy_(torch.cat([self.keys, self.queue])[: len(self.queue)])
