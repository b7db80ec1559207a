"""Encoders that learn without labels: a bottleneck's code, a Gaussian latent's mean, the mean of patches' codes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from ..generation.autoencoder import MaskedAutoencoder
from ..perception.images import ImageLayout, image_layout
from ..perception.mlp import MLP


def bounded(space: Any) -> bool:
    """Whether a space is a Box with finite bounds: whether its values can be brought to [0, 1]."""
    return hasattr(space, "low") and bool(np.isfinite(space.low).all() and np.isfinite(space.high).all())


class UnitScale(nn.Module):
    """A bounded Box's values in [0, 1]: images (N, *shape) as (N, C, H, W), all else in its own shape.

    Args:
        space: a Box with finite bounds.

    Raises:
        InvalidInput: another space.
    """

    low: Tensor
    factor: Tensor

    def __init__(self, space: Any) -> None:
        super().__init__()
        if not bounded(space):
            raise InvalidInput(f"observation space must be a Box with finite bounds; got {space}")
        self.layout: ImageLayout | None = image_layout(space)
        self.shape: tuple[int, ...] = tuple(space.shape) if self.layout is None else self.layout.shape
        low, high = (np.asarray(bound, np.float64) for bound in (space.low, space.high))
        width = np.where(high > low, high - low, 1)
        self.register_buffer("low", torch.as_tensor(low, dtype=torch.get_default_dtype()), persistent=False)
        self.register_buffer("factor", torch.as_tensor(1 / width, dtype=torch.get_default_dtype()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, *shape) to floats in [0, 1]."""
        x = (x.to(self.factor.dtype) - self.low) * self.factor
        return x if self.layout is None else self.layout(x)


class BottleneckEncoder(nn.Module):
    """The code of an `Autoencoder`: (N, *shape) to (N, code_size) in (0, 1).

    Args:
        space: a Box with finite bounds.
        code_size: units of the code.
        hidden: widths of the hidden layers.

    Raises:
        InvalidInput: another space.
    """

    def __init__(self, space: Any, code_size: int = 32, hidden: Sequence[int] = (128,)) -> None:
        super().__init__()
        self.scale, self.output_size = UnitScale(space), code_size
        self.network = MLP(math.prod(self.scale.shape), hidden, code_size, activation="silu")

    @staticmethod
    def serves(space: Any) -> bool:
        """A Box with finite bounds."""
        return bounded(space)

    def forward(self, x: Tensor) -> Tensor:
        """(N, *shape) to (N, code_size)."""
        return torch.sigmoid(self.network(self.scale(x).flatten(1)))


class LatentEncoder(nn.Module):
    """The mean of a `VAE`'s latent: (N, *shape) to (N, latent_size).

    Args:
        space: a Box with finite bounds.
        latent_size: dimensions of the latent.
        hidden: widths of the hidden layers.

    Raises:
        InvalidInput: another space.
    """

    def __init__(self, space: Any, latent_size: int = 16, hidden: Sequence[int] = (256, 256)) -> None:
        super().__init__()
        self.scale, self.output_size = UnitScale(space), latent_size
        size = math.prod(self.scale.shape)
        self.network = MLP(size, hidden, 2 * latent_size, activation="silu", output_gain=0.1)

    @staticmethod
    def serves(space: Any) -> bool:
        """A Box with finite bounds."""
        return bounded(space)

    def forward(self, x: Tensor) -> Tensor:
        """(N, *shape) to (N, latent_size)."""
        return self.network(2 * self.scale(x).flatten(1) - 1)[:, : self.output_size]


class PatchEncoder(nn.Module):
    """The mean of what a `MaskedAutoencoder`'s encoder makes of all patches: (N, *shape) to (N, d_model).

    Args:
        space: of images.
        patch: side of a patch, which divides H and W.
        d_model: features, a multiple of 2 `n_head`.
        n_head: attention heads.
        layers: of the transformer.

    Raises:
        InvalidInput: what `MaskedAutoencoder` refuses, or a space that holds no images.
    """

    def __init__(self, space: Any, patch: int = 2, d_model: int = 64, n_head: int = 4, layers: int = 2) -> None:
        super().__init__()
        if image_layout(space) is None:
            raise InvalidInput(f"observation space must be one of images; got {space}")
        self.scale, self.output_size = UnitScale(space), d_model
        whole = MaskedAutoencoder(self.scale.shape, patch, d_model, n_head, layers)
        self.patch, self.embed, self.place, self.encoder = patch, whole.embed, whole.place, whole.encoder

    @staticmethod
    def serves(space: Any) -> bool:
        """An image."""
        return image_layout(space) is not None and bounded(space)

    def forward(self, x: Tensor) -> Tensor:
        """(N, *shape) to (N, d_model)."""
        patches = nn.functional.unfold(self.scale(x), self.patch, stride=self.patch).transpose(1, 2)
        return self.encoder(self.embed(2 * patches - 1) + self.place.weight).mean(1)
