"""Places in a sequence: as vectors, sinusoids or learned tables, and as turns of queries and keys."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..errors import InvalidInput, unknown_name
from ..noise import at_least_float32

POSITIONS = ("sinusoidal", "learned")


def sinusoidal(positions: Tensor, size: int) -> Tensor:
    """Sines and cosines of wavelengths from 2π to 10,000 · 2π, side by side in pairs (Vaswani et al., 2017).

    Args:
        positions: (...) of any real dtype: a place in a sequence, or a diffusion step.
        size: features out, even.

    Returns:
        (..., size), of the positions' dtype, float32 for whole ones.

    Raises:
        InvalidInput: an odd size.
    """
    if size < 2 or size % 2:
        raise InvalidInput(f"sinusoidal: size must be even and at least 2; got {size}")
    dtype = positions.dtype if positions.is_floating_point() else torch.float32
    place = at_least_float32(positions.to(dtype)).unsqueeze(-1)
    exponent = torch.arange(0, size, 2, device=positions.device, dtype=place.dtype) / size
    angle = place * torch.exp(-math.log(10_000.0) * exponent)  # (..., size / 2)
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(-2).to(dtype)


def rotated(x: Tensor, places: Tensor) -> Tensor:
    """Pairs of features turned by angles that grow with the place (Su et al., 2021): rotary positions.

    The product of a query and a key that are both turned depends on how far apart they are, not on where they are. The
    wavelengths are those of `sinusoidal`.

    Args:
        x: (..., T, d), d even; features 2 i and 2 i + 1 are a pair.
        places: (T,) of any real dtype.

    Returns:
        (..., T, d).

    Raises:
        InvalidInput: an odd d.
    """
    angles = sinusoidal(places.to(at_least_float32(x).dtype), x.shape[-1])
    sine, cosine = angles.unflatten(-1, (-1, 2)).unbind(-1)  # (T, d / 2) each
    first, second = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([first * cosine - second * sine, first * sine + second * cosine], -1).flatten(-2).to(x.dtype)


def positions(kind: str, length: int, size: int) -> nn.Embedding:
    """A table of positions: places (...) int64 below `length` to (..., size), fixed sinusoids or learned vectors.

    Args:
        kind: "sinusoidal" (Vaswani et al., 2017) or "learned" (Gehring et al., 2017).
        length: places in the table.
        size: features of each.

    Raises:
        InvalidInput: an unknown kind, a length below 1 or an odd sinusoidal size.
    """
    if kind not in POSITIONS:
        raise unknown_name("positions", kind, POSITIONS)
    if min(length, size) < 1:
        raise InvalidInput(f"positions: length and size must be at least 1; got {length} and {size}")
    if kind == "sinusoidal":
        return nn.Embedding.from_pretrained(sinusoidal(torch.arange(length), size))
    table = nn.Embedding(length, size)
    nn.init.normal_(table.weight, std=0.02)
    return table
