"""Foretelling what will be seen: contrastive predictive coding."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from ...envs.core.tree import tree_map
from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.representation.contrast import predictive_contrast
from ...neural_blocks.sequence.recurrent import memory
from .method import EncodingConfig, Method


class CPCConfig(EncodingConfig):
    """Settings of contrastive predictive coding.

    Attributes:
        ahead: steps that are foretold.
        length: steps of a sequence.
        context: features of what is remembered of it.
        temperature: divides the cosines.
    """

    ahead: int = Field(2, ge=1, le=1024)
    length: int = Field(8, ge=2, le=100_000)
    context: int = Field(64, ge=1, le=65_536)
    temperature: float = Field(0.1, gt=0)


class CPC(Method):
    """Finds what is seen some steps later among what other sequences show then (van den Oord et al., 2018).

    A GRU sums up what was seen; a linear map for each number of steps says what will be.
    """

    name = "cpc"
    reads = "sequences"
    needs = "an observation that has an encoder with weights"
    Config = CPCConfig

    @classmethod
    def fits(cls, space: object) -> bool:
        """Any observation."""
        return True

    def build(self) -> None:
        """Encoder, GRU and maps."""
        config = self.config
        if config.ahead >= config.length:
            raise InvalidInput(f"cpc: ahead must be less than length {config.length}; got {config.ahead}")
        self.length = config.length
        self.make_encoder()
        self.context = memory("gru", self.encoder.output_size, config.context)
        size = self.encoder.output_size
        self.maps = nn.ModuleList(nn.Linear(config.context, size) for _ in range(config.ahead))

    def loss(self, batch: tuple[object, Tensor], seed: Tensor) -> Tensor:
        """The contrast of sequences (L, N, ...) and episode starts (L, N), nats.

        Raises:
            InvalidInput: episodes of one step, after which nothing is to be foretold.
        """
        seen, start = batch
        flat = tree_map(lambda part: part.flatten(0, 1), seen)
        encoded = self.encoder(flat).view(*start.shape, -1)  # (L, N, F)
        context, _ = self.context(encoded, self.context.initial_memory(start.shape[1]), start)
        episode = start.long().cumsum(0)  # (L, N)
        losses, some = [], torch.zeros((), dtype=torch.bool, device=start.device)
        for steps, ahead in enumerate(self.maps, 1):
            same = episode[steps:] == episode[:-steps]  # (L - k, N)
            some = some | same.any()
            losses.append(predictive_contrast(ahead(context[:-steps]), encoded[steps:], same, self.config.temperature))
        if not bool(some):
            raise InvalidInput("cpc: needs episodes of at least two steps, of which the later is foretold")
        return torch.stack(losses).mean()
