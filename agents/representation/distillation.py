"""Saying what a slow copy of oneself makes of another view: BYOL and DINO."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from ...neural_blocks.perception.mlp import MLP
from ...neural_blocks.representation.contrast import dino_loss
from ...neural_blocks.representation.metric import BYOL
from ...neural_blocks.robustness.ensemble import WeightAverage
from .contrast import ViewsConfig
from .method import Method, Views, is_image, space_test


class BYOLConfig(ViewsConfig):
    """Settings of BYOL.

    Attributes:
        decay: share of the slow copy that stays at each step.
    """

    decay: float = Field(0.99, ge=0, le=1)


class BYOLMethod(Method):
    """Predicts what a slow copy makes of another view, without negatives (Grill et al., 2020); see `BYOL`."""

    name = "byol"
    needs = "an image"
    Config = BYOLConfig
    fits = space_test(is_image)

    def build(self) -> None:
        """Encoder, block, and what makes views."""
        config = self.config
        self.make_encoder()
        self.views = Views(self.seen, config.views)
        self.block = BYOL(
            self.encoder,
            self.encoder.output_size,
            projection=config.projection,
            hidden=config.hidden,
            decay=config.decay,
        )

    def loss(self, batch: Tensor, seed: Tensor) -> Tensor:
        """The block's loss of two views of images (N, ...)."""
        return self.block.loss(*self.views(batch, seed))

    def after(self) -> None:
        """The slow copy follows."""
        self.block.update_target()


class DINOConfig(ViewsConfig):
    """Settings of self-distillation.

    Attributes:
        temperature: of the learner's distribution.
        sharp: temperature of the slow copy's.
        decay: share of the slow copy that stays at each step.
        centring: share of the centre that stays at each step.
    """

    temperature: float = Field(0.1, gt=0)
    sharp: float = Field(0.04, gt=0)
    decay: float = Field(0.99, ge=0, le=1)
    centring: float = Field(0.9, ge=0, le=1)


class DINO(Method):
    """Puts a view where a slow copy, centred and sharpened, puts another (Caron et al., 2021)."""

    name = "dino"
    needs = "an image"
    Config = DINOConfig
    fits = space_test(is_image)
    centre: Tensor

    def build(self) -> None:
        """Encoder and projection, their slow copy, its centre, and what makes views."""
        config = self.config
        self.make_encoder()
        self.views = Views(self.seen, config.views)
        self.projection = MLP(self.encoder.output_size, (config.hidden,), config.projection, activation="gelu")
        self.online = torch.nn.Sequential(self.encoder, self.projection)
        self.slow = WeightAverage(self.online, config.decay)
        self.register_buffer("centre", torch.zeros(config.projection))

    def loss(self, batch: Tensor, seed: Tensor) -> Tensor:
        """The cross-entropy of either view with the slow copy's of the other, nats; keeps the latter for the centre."""
        first, second = self.views(batch, seed)
        with torch.no_grad():
            slow = [self.slow(first), self.slow(second)]
            self.mean = torch.cat(slow).mean(0)
        temperatures = (self.config.temperature, self.config.sharp)
        ways = [(self.online(first), slow[1]), (self.online(second), slow[0])]
        losses = [dino_loss(student, teacher, self.centre, *temperatures) for student, teacher in ways]
        return torch.stack(losses).mean()

    def after(self) -> None:
        """The slow copy follows, and its centre moves."""
        self.slow.update_parameters(self.online)
        self.centre.lerp_(self.mean, 1 - self.config.centring)
