"""Vision transformer: an image as a sequence of patches."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from ..sequence.positions import positions
from ..sequence.transformer import Encoder
from .convolution import check_images


class PatchEmbedding(nn.Module):
    """Cuts an image into square patches and maps each linearly, row by row: (B, C, H, W) to (B, N, d_model).

    Args:
        shape: (C, H, W) of one image.
        patch: P, pixels a side; divides H and W, so that N = (H / P) (W / P).
        d_model: features of each patch.

    Raises:
        InvalidInput: a shape that is not (C, H, W), or a patch that does not divide H and W.
    """

    def __init__(self, shape: tuple[int, ...], patch: int, d_model: int) -> None:
        super().__init__()
        if len(shape) != 3 or patch < 1 or shape[1] % patch or shape[2] % patch:
            raise InvalidInput(f"PatchEmbedding: patch must divide H and W of (C, H, W); got {patch} and {shape}")
        self.shape = tuple(shape)
        self.count = (shape[1] // patch) * (shape[2] // patch)
        self.linear = nn.Conv2d(shape[0], d_model, patch, stride=patch)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, N, d_model)."""
        check_images("PatchEmbedding", x, *self.shape)
        return self.linear(x).flatten(2).transpose(1, 2)


class VisionTransformer(nn.Module):
    """ViT (Dosovitskiy et al., 2021): patches and a class token through an encoder, the latter read by a linear layer.

    (B, C, H, W) float to (B, output_size).

    Args:
        shape: (C, H, W) of one image.
        output_size: features out.
        patch: pixels a side of a patch; divides H and W.
        d_model: features of a patch, a multiple of n_head.
        n_head: h of each layer.
        layers: how many.
        d_ff: width of each layer's perceptron; None for 4 d_model.

    Raises:
        InvalidInput: what `PatchEmbedding` and `Encoder` refuse.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        output_size: int = 128,
        *,
        patch: int = 2,
        d_model: int = 64,
        n_head: int = 4,
        layers: int = 2,
        d_ff: int | None = None,
    ) -> None:
        super().__init__()
        self.patches = PatchEmbedding(shape, patch, d_model)
        self.class_token = nn.Parameter(torch.zeros(1, 1, d_model))
        self.positions = positions("learned", self.patches.count + 1, d_model)
        self.encoder = Encoder(d_model, n_head, layers, d_ff)
        self.linear = nn.Linear(d_model, output_size)
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, output_size)."""
        patches = self.patches(x)
        tokens = torch.cat([self.class_token.expand(x.shape[0], -1, -1), patches], 1)  # (B, N + 1, d_model)
        return self.linear(self.encoder(tokens + self.positions.weight)[:, 0])
