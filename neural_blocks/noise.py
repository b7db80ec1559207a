"""Counter-based randomness: every uniform is a hash of (seed, stream, counter, position), the same on every device.

A block's loss or sample takes a `seed` and hashes all its draws from it: it compiles to one graph for any batch size,
repeats itself with the same seed, and row i of its draws is the same whatever the number of rows. The hash is
SplitMix64 (Steele, Lea and Flood, 2014); the counter is its Weyl sequence.
"""

from __future__ import annotations

import math
import operator

import torch
from torch import Tensor

from .errors import InvalidInput

Seed = Tensor | int | None
SMALLEST = 2.0**-25  # in place of a uniform of 0, whose quantile is infinite
SCALAR = torch.backends.cpu.get_cpu_capability() == "DEFAULT"  # what is compiled for this processor has no vectors


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


GOLDEN = _signed(0x9E3779B97F4A7C15)
FIRST = _signed(0xBF58476D1CE4E5B9)
SECOND = _signed(0x94D049BB133111EB)


def _mix(x: Tensor) -> Tensor:
    """SplitMix64's finaliser on int64, in place; a masked arithmetic shift is a logical one."""
    x.bitwise_xor_((x >> 30).bitwise_and_((1 << 34) - 1)).mul_(FIRST)
    x.bitwise_xor_((x >> 27).bitwise_and_((1 << 37) - 1)).mul_(SECOND)
    return x.bitwise_xor_((x >> 31).bitwise_and_((1 << 33) - 1))


def keys(seeds: Tensor, purpose: int) -> Tensor:
    """One int64 key per seed (int64, any shape) and the purpose of the stream; streams of one seed never meet."""
    return _mix(_mix(seeds + GOLDEN).add_(_signed(purpose * GOLDEN & (1 << 64) - 1)))


def bits(key: Tensor, counter: Tensor, width: int) -> Tensor:
    """64 random bits each, as int64: shape of `counter` broadcast with `key`, plus (width,)."""
    position = torch.arange(1, width + 1, device=key.device)
    if torch.compiler.is_compiling():  # a compiler that folds constants into the index overflows; this changes nothing
        position = position.bitwise_or(0)
    x = (counter * width).unsqueeze(-1) + position
    return _mix(_times_golden(x) + key.unsqueeze(-1))


def _times_golden(x: Tensor) -> Tensor:
    """x GOLDEN modulo 2^64, in place; in halves for a compiler of scalar loops, to which no overflow can be."""
    if SCALAR and torch.compiler.is_compiling():
        return ((x * (GOLDEN >> 32 & 0xFFFFFFFF)) << 32) + x * (GOLDEN & 0xFFFFFFFF)
    return x.mul_(GOLDEN)


def uniform(key: Tensor, counter: Tensor, width: int) -> Tensor:
    """float32 uniforms in [0, 1), multiples of 2^-24: shape of `counter` broadcast with `key`, plus (width,)."""
    return (bits(key, counter, width) >> 40).bitwise_and_((1 << 24) - 1).to(torch.float32).mul_(2.0**-24)


def normal(noise: Tensor) -> Tensor:
    """Standard normal variates from uniforms in [0, 1), of the same shape and dtype: their quantiles."""
    return torch.special.ndtri(noise.clamp(min=SMALLEST))


def categorical(probabilities: Tensor, noise: Tensor) -> Tensor:
    """One of n values by the cumulated probabilities that the uniform has passed.

    Args:
        probabilities: (..., n) of any sum; what has none is never drawn.
        noise: (...) uniforms in [0, 1).

    Returns:
        (...) int64.
    """
    reached = at_least_float32(probabilities).cumsum(-1)
    passed = reached / reached[..., -1:]  # exactly 1 from the last value that can be drawn on
    return (passed <= noise.clamp(min=SMALLEST).unsqueeze(-1)).sum(-1)


def at_least_float32(x: Tensor) -> Tensor:
    """x as it is in single or double precision; in single where it has less."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


class Draws:
    """The random numbers of one call, one draw after another, each a stream of its own.

    Args:
        seed: a whole number or an int64 tensor of no dimensions; None draws one from PyTorch's global generator.
        device: where the numbers are drawn.

    Raises:
        InvalidInput: another seed.
    """

    def __init__(self, seed: Seed, device: torch.device) -> None:
        self._seed, self._count = as_seed(seed, device), 0

    def part(self) -> Tensor:
        """A seed for a part that draws for itself, () int64."""
        self._count += 1
        return keys(self._seed, self._count)

    def uniform(self, *shape: int) -> Tensor:
        """float32 uniforms in [0, 1)."""
        key = self.part()
        return uniform(key, torch.zeros_like(key), math.prod(shape)).view(shape)

    def normal(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Standard normal numbers."""
        return normal(self.uniform(*shape)).to(dtype)


def as_seed(seed: Seed, device: torch.device) -> Tensor:
    """A seed as an int64 tensor of no dimensions on the device; arguments and errors as of `Draws`."""
    if seed is None:
        return torch.randint(-(2**63), 2**63 - 1, (), device=device)
    if isinstance(seed, Tensor) and seed.dtype == torch.int64 and seed.dim() == 0:
        return seed.to(device)
    if isinstance(seed, int) and -(2**63) <= seed < 2**63:
        return torch.full((), seed, dtype=torch.int64, device=device)
    try:
        whole = operator.index(seed)
        if isinstance(seed, Tensor):
            raise TypeError
    except TypeError:
        raise InvalidInput(f"seed must be a whole number or a tensor of one, int64 (); got {seed!r:.80}") from None
    return torch.full((), _signed(whole % 2**64), dtype=torch.int64, device=device)
