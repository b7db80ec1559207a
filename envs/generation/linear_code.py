"""A linear autoencoder of the embedded digits: their principal components, in whole parts of 2^-12, so exact."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..frozen.rounding import GRID, rounded


class LinearCode(nn.Module):
    """Digits of 64 greys as the standardised coordinates along their first principal components, and back.

    No sum of it is rounded, in whichever order it is taken: means are whole greys, and what is multiplied lies on a
    grid.

    Args:
        images: (N, 64) int64 the digits that the components are taken of.
        size: D, number of components.
    """

    mean: Tensor
    encoder: Tensor
    decoder: Tensor

    def __init__(self, images: Tensor, size: int) -> None:
        super().__init__()
        mean = images.double().mean(0).round()
        values, vectors = torch.linalg.eigh(torch.cov(images.double().T))
        values, vectors = values.flip(0)[:size], vectors.flip(1)[:, :size]  # largest first; columns
        vectors = vectors * vectors.sum(0).sign()  # an eigenvector's sign is open
        self.register_buffer("mean", mean, persistent=False)  # (64,) whole greys
        encoder = (vectors / values.sqrt() * GRID**2).round() / GRID**2
        self.register_buffer("encoder", encoder, persistent=False)  # (64, D)
        decoder = (vectors * values.sqrt() * GRID).round() / GRID
        self.register_buffer("decoder", decoder.T.contiguous(), persistent=False)  # (D, 64)

    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures (B, 64) of whole greys to codes (B, D) float32, in standard deviations, multiples of 1 / 4096."""
        return rounded((pictures.double() - self.mean) @ self.encoder)

    def decode(self, code: Tensor) -> Tensor:
        """Codes (B, D), multiples of 1 / 4096, to pictures (B, 64) int32."""
        return (self.mean + code.double() @ self.decoder).round().clamp(0, 255).int()
