"""An encoder and a memory of somebody else's."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from palaestra.neural_blocks import GRU


class Halves(nn.Module):
    """A Box through one layer of half its size."""

    def __init__(self, space: Any) -> None:
        super().__init__()
        size = math.prod(space.shape)
        self.output_size = max(1, size // 2)
        self.layer = nn.Linear(size, self.output_size)

    @staticmethod
    def serves(space: Any) -> bool:
        """A Box."""
        return hasattr(space, "low")

    def forward(self, x: Tensor) -> Tensor:
        """(N, ...) to (N, output_size)."""
        return self.layer(x.flatten(1).float())


class Trace(GRU):
    """Somebody else's memory."""
