"""What a network says, to the last bit, whatever else is in the batch and whichever device computes it."""

from __future__ import annotations

import torch
from torch import Tensor

GRID = 4096  # values to a unit
LEAST = 2.0**-25  # a uniform of 0 stands for this one


def rounded(x: Tensor) -> Tensor:
    """Double-precision results of a network as float32 multiples of 1 / 4096.

    A matrix product's last bits depend on the size of the batch and on the device. In double precision they lie so far
    below this grid that the same number comes out: one result in about 10^11 is close enough to a midpoint to differ.
    """
    return (x * GRID).round_().div_(GRID).to(torch.float32)


def normal(noise: Tensor) -> Tensor:
    """Uniforms in [0, 1) as standard normal numbers in double precision, for a network or to be rounded."""
    return torch.special.ndtri(noise.double().clamp(min=LEAST))
