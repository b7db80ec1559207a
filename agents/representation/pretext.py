"""Tasks that images set by themselves: how far one was turned, and where its parts were (pretext tasks)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...neural_blocks.noise import Draws
from ...neural_blocks.perception.augmentation import restored
from ...neural_blocks.perception.images import image_layout
from .method import EncodingConfig, Method, is_image, space_test


class Pretext(Method):
    """Names which of some known changes an image has undergone. Subclasses make the changes.

    Attributes:
        ways: how many changes there are.
        head: from what is encoded to a logit for each.
    """

    needs = "an image"
    Config = EncodingConfig
    fits = space_test(is_image)
    ways: ClassVar[int]

    def build(self) -> None:
        """The encoder and what names the change."""
        self.make_encoder()
        layout = image_layout(self.seen)
        assert layout is not None
        self.layout = layout
        self.head = nn.Linear(self.encoder.output_size, self.ways)

    def changed(self, images: Tensor) -> Sequence[Tensor]:
        """Images (N, C, H, W) in each way, (N, C, H, W) each."""
        raise NotImplementedError

    def loss(self, batch: Tensor, seed: Tensor) -> Tensor:
        """Mean cross-entropy of the way in which each image (N, ...) was changed, nats."""
        images, draws = self.layout(batch), Draws(seed, batch.device)
        way = (draws.uniform(len(images)) * self.ways).long()
        every = torch.stack(list(self.changed(images)))  # (ways, N, C, H, W)
        chosen = every[way, torch.arange(len(images), device=way.device)]
        return F.cross_entropy(self.head(self.encoder(restored(chosen, self.layout, self.seen.shape))), way)  # type: ignore[arg-type]


class Rotation(Pretext):
    """Names by how many quarters an image was turned (Gidaris et al., 2018)."""

    name = "rotation"
    needs = "a square image"
    ways = 4
    fits = space_test(lambda space: is_image(space) and image_layout(space).shape[1] == image_layout(space).shape[2])  # type: ignore[union-attr]

    def changed(self, images: Tensor) -> Sequence[Tensor]:
        """Turned by no, one, two and three quarters."""
        return [images.rot90(quarters, (2, 3)) for quarters in range(self.ways)]


class Jigsaw(Pretext):
    """Names the order in which an image's quarters were put together again.

    Noroozi and Favaro (2016), with four parts instead of nine, in all of their 24 orders. A side of an odd number of
    pixels loses its last one.
    """

    name = "jigsaw"
    ways = 24

    def changed(self, images: Tensor) -> Sequence[Tensor]:
        """The quarters in each order."""
        height, width = images.shape[2] // 2 * 2, images.shape[3] // 2 * 2
        quarters = [part for row in images[:, :, :height, :width].chunk(2, 2) for part in row.chunk(2, 3)]
        made = []
        for order in permutations(range(4)):
            whole = images.clone()
            upper, lower = (torch.cat([quarters[k] for k in row], 3) for row in (order[:2], order[2:]))
            whole[:, :, :height, :width] = torch.cat([upper, lower], 2)
            made.append(whole)
        return made
