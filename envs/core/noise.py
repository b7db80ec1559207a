"""Counter-based randomness: every uniform is a hash of (seed, purpose, counter, position).

Row i of a batch seeded s draws what row 0 of a batch seeded s + i draws, on every device, so a batch replays one
environment at a time. The hash itself stands in `neural_blocks.noise`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...neural_blocks.noise import SMALLEST as SMALLEST
from ...neural_blocks.noise import bits as bits
from ...neural_blocks.noise import keys as keys
from ...neural_blocks.noise import normal as normal
from ...neural_blocks.noise import uniform as uniform

RESET, STEP = 1, 2  # purposes: streams of the same seed that never meet
BLOCK = 8192  # uniforms drawn ahead, at most, when all environments advance together


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
