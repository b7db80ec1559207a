"""Counter-based randomness: every uniform is a hash of (seed, purpose, counter, position).

Row i of a batch seeded s draws what row 0 of a batch seeded s + i draws, on every device, so a batch replays one
environment at a time. The hash is SplitMix64 (Steele, Lea and Flood, 2014); the counter is its Weyl sequence.
"""

from __future__ import annotations

import torch
from torch import Tensor

RESET, STEP = 1, 2  # purposes: streams of the same seed that never meet
SMALLEST = 2.0**-25  # in place of a uniform of 0, whose quantile is infinite
BLOCK = 8192  # uniforms drawn ahead, at most, when all environments advance together


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
    """One int64 key per environment from int64 seeds (B,) and the purpose of the stream."""
    return _mix(_mix(seeds + GOLDEN).add_(_signed(purpose * GOLDEN & (1 << 64) - 1)))


def bits(key: Tensor, counter: Tensor, width: int) -> Tensor:
    """64 random bits each, as int64: shape of `counter` broadcast with `key`, plus (width,)."""
    position = torch.arange(1, width + 1, device=key.device)
    x = (counter * width).unsqueeze(-1) + position
    return _mix(x.mul_(GOLDEN) + key.unsqueeze(-1))


def uniform(key: Tensor, counter: Tensor, width: int) -> Tensor:
    """float32 uniforms in [0, 1), multiples of 2^-24: shape of `counter` broadcast with `key`, plus (width,)."""
    return (bits(key, counter, width) >> 40).bitwise_and_((1 << 24) - 1).to(torch.float32).mul_(2.0**-24)


def normal(noise: Tensor) -> Tensor:
    """Standard normal variates from uniforms in [0, 1), of the same shape and dtype: their quantiles."""
    return torch.special.ndtri(noise.clamp(min=SMALLEST))


class NoiseStream:
    """Uniforms (B, width) for one purpose, and the counter of how many draws each environment has made.

    While all environments draw together, a block of draws is hashed ahead; that changes the speed, never a number.
    """

    def __init__(self, purpose: int, width: int, seeds: Tensor) -> None:
        self.purpose, self.width = purpose, width
        self._key = keys(seeds, purpose)  # (B,)
        self._start = torch.zeros_like(seeds)  # (B,) counter at the start of the block
        self._block = torch.empty(0, len(seeds), width, device=seeds.device)  # (K, B, width)
        self._cursor = 0

    @property
    def counter(self) -> Tensor:
        """Draws made so far, (B,) int64."""
        return self._start + self._cursor

    def _settle(self, counter: Tensor) -> None:
        self._start, self._cursor, self._block = counter, 0, self._block[:0]

    def reseed(self, seeds: Tensor, rows: Tensor | None = None) -> None:
        """Starts the streams of all rows, or of the given ones, anew from int64 seeds."""
        counter = self.counter
        if rows is None:
            self._key, counter = keys(seeds, self.purpose), torch.zeros_like(counter)
        else:
            self._key = self._key.index_copy(0, rows, keys(seeds, self.purpose))
            counter = counter.index_fill(0, rows, 0)
        self._settle(counter)

    def draw(self) -> Tensor:
        """The next uniforms of every environment, (B, width)."""
        if self._cursor == len(self._block):
            longest = max(1, BLOCK // max(1, self._start.numel() * self.width))
            length = min(longest, max(1, 2 * len(self._block)))
            counter = self.counter
            self._settle(counter)
            ahead = torch.arange(length, device=counter.device).unsqueeze(1)
            self._block = uniform(self._key, counter + ahead, self.width)
        self._cursor += 1
        return self._block[self._cursor - 1]

    def draw_rows(self, rows: Tensor) -> Tensor:
        """The next uniforms of the given environments only, (len(rows), width); the others' counters stand still."""
        counter = self.counter
        noise = uniform(self._key[rows], counter[rows], self.width)
        self._settle(counter.index_add(0, rows, torch.ones_like(rows)))
        return noise

    def draw_where(self, mask: Tensor) -> Tensor:
        """Uniforms (B, width) of which the rows in `mask` count as drawn: the branch-free form of `draw_rows`."""
        counter = self.counter
        self._settle(counter + mask)
        return uniform(self._key, counter, self.width)

    def state_dict(self) -> dict[str, Tensor]:
        """Key and counter, each (B,) int64: all that the stream is."""
        return {"key": self._key, "counter": self.counter}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continues where a saved stream stood."""
        self._key = state["key"].to(self._key.device)
        self._settle(state["counter"].to(self._key.device))
