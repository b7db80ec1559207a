"""Convolutional networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .errors import InvalidInput
from .mlp import orthogonal


class SmallCNN(nn.Module):
    """Two 3 x 3 convolutions, the second with stride 2, and a linear layer, each followed by ReLU: for small images.

    (B, C, H, W) float to (B, output_size); after LeCun et al. (1998), with ReLU and strides for tanh and pooling.

    Args:
        shape: (C, H, W) of one image, H and W at least 4.
        channels: filters of the two convolutions.
        output_size: features out.

    Raises:
        InvalidInput: a shape that is not (C, H, W) with H and W at least 4.
    """

    def __init__(self, shape: tuple[int, ...], channels: tuple[int, int] = (16, 32), output_size: int = 128) -> None:
        super().__init__()
        if len(shape) != 3 or min(shape[1:]) < 4:
            raise InvalidInput(f"SmallCNN: shape must be (C, H, W) with H and W at least 4; got {shape}")
        first, second = channels
        self.convolutions = nn.Sequential(
            orthogonal(nn.Conv2d(shape[0], first, 3, padding=1)),
            nn.ReLU(),
            orthogonal(nn.Conv2d(first, second, 3, stride=2, padding=1)),
            nn.ReLU(),
            nn.Flatten(),
        )
        with torch.no_grad():
            features = self.convolutions(torch.zeros(1, *shape)).shape[1]
        self.linear = orthogonal(nn.Linear(features, output_size))
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, output_size)."""
        return torch.relu(self.linear(self.convolutions(x)))
