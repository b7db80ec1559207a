"""Vision transformers: an image as a sequence of patches."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from ..sequence.positions import positions
from ..sequence.transformer import Encoder, TransformerLayer
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
        norm: "pre" or "post", see `TransformerLayer`.
        dropout: see there.

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
        norm: str = "pre",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.patches = PatchEmbedding(shape, patch, d_model)
        self.class_token = nn.Parameter(torch.zeros(1, 1, d_model))
        self.positions = positions("learned", self.patches.count + 1, d_model)
        self.encoder = Encoder(d_model, n_head, layers, d_ff, norm=norm, dropout=dropout)
        self.linear = nn.Linear(d_model, output_size)
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, output_size)."""
        patches = self.patches(x)
        tokens = torch.cat([self.class_token.expand(x.shape[0], -1, -1), patches], 1)  # (B, N + 1, d_model)
        return self.linear(self.encoder(tokens + self.positions.weight)[:, 0])


class SwinTransformer(nn.Module):
    """Patches that attend within windows, which every other layer has shifted by half a side (Liu et al., 2021).

    One stage of it: patches are not joined on the way. (B, C, H, W) float to (B, output_size), from the patches' mean.
    A mask keeps windows apart, so it says what windows do to an answer, and not what they save.

    Args:
        shape: (C, H, W) of one image.
        output_size: features out.
        patch: pixels a side of a patch; divides H and W.
        window: patches a side of a window.
        d_model: features of a patch, a multiple of n_head.
        n_head: h of each layer.
        layers: how many.
        norm: "pre" or "post", see `TransformerLayer`.
        dropout: see there.

    Raises:
        InvalidInput: a window below 2, and what `PatchEmbedding` and `TransformerLayer` refuse.
    """

    plain: Tensor
    shifted: Tensor

    def __init__(
        self,
        shape: tuple[int, ...],
        output_size: int = 128,
        *,
        patch: int = 2,
        window: int = 4,
        d_model: int = 64,
        n_head: int = 4,
        layers: int = 2,
        norm: str = "pre",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if window < 2:
            raise InvalidInput(f"SwinTransformer: window must be at least 2; got {window}")
        self.patches = PatchEmbedding(shape, patch, d_model)
        rows, columns = shape[1] // patch, shape[2] // patch
        for name, by in (("plain", 0), ("shifted", window // 2)):
            of_row, of_column = ((torch.arange(count) + by) // window for count in (rows, columns))
            within = (of_row.unsqueeze(1) * (columns + window) + of_column).flatten()  # (N,) each patch's window
            self.register_buffer(name, within.unsqueeze(1) == within, persistent=False)
        self.positions = positions("learned", self.patches.count, d_model)
        settings: Any = {"norm": norm, "dropout": dropout}
        self.layers = nn.ModuleList(TransformerLayer(d_model, n_head, **settings) for _ in range(layers))
        self.norm = nn.LayerNorm(d_model)
        self.linear = nn.Linear(d_model, output_size)
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, output_size)."""
        x = self.patches(x) + self.positions.weight
        for place, layer in enumerate(self.layers):
            x = layer(x, self.shifted if place % 2 else self.plain)
        return self.linear(self.norm(x).mean(1))
