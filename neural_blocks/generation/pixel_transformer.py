"""Pixel transformer: an autoregressive model of grey images that looks back by attention."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InvalidInput, unknown_name
from ..noise import Draws, Seed, at_least_float32, categorical
from ..sequence.transformer import Decoder
from .autoregressive import ORDERS, PixelModel, visits


class PixelTransformer(PixelModel):
    """A causal transformer over the pixels of a picture (Parmar et al., 2018; Chen et al., 2020), in either order.

    Pixels (B, 1, H, W) int64 to logits (B, levels, H, W). Place t of the sequence reads the grey of pixel t - 1 (the
    first reads a start of its own), the position of pixel t and the class.

    Args:
        size: (H, W) of a picture.
        levels: number of greys a pixel can have.
        channels: features of the transformer, a multiple of `heads`.
        layers: layers of the transformer.
        heads: attention heads.
        order: "raster" or "diagonal", see `visits`.
        classes: number of classes it can be asked for; 0 for none.
        mixture: logistics that a pixel's distribution is mixed of; 0 for a softmax over greys.

    Raises:
        InvalidInput: channels that heads do not divide, sizes below 1, an unknown order, or pixels of another shape.
    """

    route: Tensor
    turn: Tensor

    def __init__(
        self,
        size: tuple[int, int] = (8, 8),
        levels: int = 17,
        channels: int = 64,
        layers: int = 2,
        heads: int = 4,
        order: str = "raster",
        classes: int = 0,
        mixture: int = 0,
    ) -> None:
        if order not in ORDERS:
            raise unknown_name("PixelTransformer: order", order, ORDERS)
        super().__init__(size, levels, channels, order, classes, mixture)
        if channels % heads:
            raise InvalidInput(f"PixelTransformer: channels must be a multiple of {heads} heads; got {channels}")
        route = torch.tensor(visits(size, order))
        self.register_buffer("route", route, persistent=False)  # (H W,) which pixel is the first, the second, ...
        self.register_buffer("turn", route.argsort(), persistent=False)  # (H W,) when a pixel's turn is
        nn.init.normal_(self.position, std=0.02)
        self.grey = nn.Embedding(levels + 1, channels)  # the last row is the start
        nn.init.normal_(self.grey.weight, std=0.02)
        self.decoder = Decoder(channels, heads, layers, len(route))

    def forward(self, pixels: Tensor, labels: Tensor | None = None) -> Tensor:
        """Pixels (B, 1, H, W) int64 to logits (B, levels, H, W); see `PixelModel.forward`."""
        self.one_hot(pixels)  # refuses another shape
        in_turn = pixels.flatten(1)[:, self.route]  # (B, T)
        before = F.pad(in_turn[:, :-1], (1, 0), value=self.levels)
        places = self.bias(labels).flatten(2).transpose(1, 2)[:, self.route]  # (B or 1, T, channels)
        features = self.decoder(self.grey(before) + places)[:, self.turn]
        return self.last(features.transpose(1, 2).unflatten(2, self.size))

    @torch.no_grad()
    def sample(self, n: int, seed: Seed = None, labels: Tensor | None = None) -> Tensor:
        """Draws n pictures as `PixelModel.sample` does; keys and values of pixels that are drawn are kept."""
        draws, memory = Draws(seed, self.position.device), self.decoder.initial_memory(n)
        places = self.bias(labels).flatten(2)  # (n or 1, channels, H W)
        drawn = torch.zeros(n, places.shape[2], dtype=torch.long, device=self.position.device)
        before = torch.full_like(drawn[:, 0], self.levels)
        for pixel in visits(self.size, self.order):
            features, memory = self.decoder.step(self.grey(before) + places[:, :, pixel], memory)
            logits = self.last(features[:, :, None, None])[:, :, 0, 0]
            before = categorical(at_least_float32(logits).softmax(1), draws.uniform(n))
            drawn[:, pixel] = before
        return drawn.view(n, 1, *self.size)
