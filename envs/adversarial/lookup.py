"""Which image of a set an image is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..core.noise import RESET, keys


class Lookup(nn.Module):
    """The row of images in a set of different ones: (B, ...) uint8 to (B,) int64, -1 for an image that is not in it.

    An image is looked up by a hash of its pixels, in whole numbers and so the same on every device, and then compared.

    Args:
        images: (N, ...) uint8 the set.
    """

    images: Tensor
    weights: Tensor
    hashes: Tensor
    order: Tensor

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        flat = images.flatten(1)
        weights = keys(torch.arange(flat.shape[1]), RESET)
        hashes, order = (flat * weights).sum(1).sort()
        self.register_buffer("images", flat, persistent=False)  # (N, D)
        self.register_buffer("weights", weights, persistent=False)  # (D,)
        self.register_buffer("hashes", hashes, persistent=False)  # (N,) ascending
        self.register_buffer("order", order, persistent=False)  # (N,) the row of each

    def forward(self, images: Tensor) -> Tensor:
        """(B,) the rows."""
        flat = images.flatten(1)
        place = torch.searchsorted(self.hashes, (flat * self.weights).sum(1)).clamp(max=len(self.order) - 1)
        row = self.order[place]
        return torch.where((self.images[row] == flat).all(1), row, -1)
