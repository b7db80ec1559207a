"""An agent's randomness: every draw is a hash of (seed, purpose, counter, row, position), as environments' noise is.

So row i draws the same in a batch of any size, a CPU and a GPU draw the same numbers, and a captured graph needs no
generator: all that moves is one counter a purpose, which lives on the device.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...envs.core.noise import bits, keys, uniform

ACT, ORDER, REPLAY, EXPERT, UPDATE = range(11, 16)  # purposes, apart from those of environments
BY_ROW = (ACT, EXPERT)  # those of which each environment has its own draws
PURPOSES = {ACT: "act", ORDER: "order", REPLAY: "replay", EXPERT: "expert", UPDATE: "update"}
AHEAD = 8192  # uniforms drawn ahead, at most
HALF = 31  # bits of a whole number


class Stream:
    """The draws of one purpose: a key from seed and purpose, and a counter of the draws made so far.

    While nobody traces or captures it, a block of draws is hashed ahead; that changes the speed, never a number.
    """

    def __init__(self, seed: Tensor, purpose: int, rank: int = 0) -> None:
        self._key = keys(seed, purpose)  # ()
        self._rank = rank
        self._rows = keys(self._key.reshape(1), 0)  # (B,) the key of each row, for as many as were ever asked for
        self.counter = torch.zeros_like(seed)  # () draws made before the block
        self._block: Tensor | None = None  # (K, B, width)
        self._cursor = 0

    def settle(self) -> None:
        """Brings the counter to where the draws are; what was drawn ahead is drawn again when it is asked for."""
        if self._cursor:
            self.counter += self._cursor
        self._block, self._cursor = None, 0

    def row_keys(self, rows: int) -> Tensor:
        """(rows,) int64 keys."""
        if self._rank:
            return keys(self._key + self._rank * rows + torch.arange(rows, device=self._key.device), 0)
        if len(self._rows) < rows:
            self._rows = keys(self._key + torch.arange(rows, device=self._key.device), 0)
        return self._rows[:rows]

    def next(self, rows: int, width: int, ahead: bool) -> Tensor:
        """The next uniforms, (rows, width)."""
        if not ahead:
            noise = uniform(self.row_keys(rows), self.counter, width)
            self.counter += 1
            return noise
        block = self._block
        if block is None or self._cursor == len(block) or block.shape[1:] != (rows, width):
            longest = max(1, AHEAD // max(1, rows * width))
            length = min(longest, 1 if block is None else 2 * len(block))
            self.settle()
            self._block = block = self.steps(length, rows, width)
            self.counter -= length
        self._cursor += 1
        return block[self._cursor - 1]

    def steps(self, steps: int, rows: int, width: int) -> Tensor:
        """What the next `steps` calls of `next` would give, (steps, rows, width)."""
        time = self.counter + torch.arange(steps, device=self.counter.device).unsqueeze(1)  # (T, 1)
        noise = uniform(self.row_keys(rows), time, width)
        self.counter += steps
        return noise

    def bits(self, count: int, width: int) -> Tensor:
        """The next `count` draws of whole numbers from 0 to 2**31 - 1, (count, width) int64."""
        time = self.counter + torch.arange(count, device=self.counter.device)
        drawn = bits(self.row_keys(1), time, width)
        self.counter += count
        return (drawn >> (64 - HALF)).bitwise_and_((1 << HALF) - 1)


class Randomness:
    """All random numbers of one agent, by purpose.

    Args:
        seed: a whole number; it is told apart from every other one modulo 2**64.
        device: where the numbers are drawn.
        rank: of this process among those that share a batch of environments: where B rows are asked for, those of the
            environments are rows rank B to (rank + 1) B - 1 of the whole. All else is drawn alike by every process.

    Attributes:
        ahead: hash blocks of what acting draws ahead, which pays where each kernel costs a call; off while it is
            captured in a graph. What updates draw may be part of a program, and is never hashed ahead.
    """

    def __init__(self, seed: int, device: torch.device | str = "cpu", rank: int = 0) -> None:
        self.seed, self.device, self.rank = seed, torch.device(device), rank
        self.ahead = self.device.type == "cpu"
        start = torch.tensor((seed + 2**63) % 2**64 - 2**63, device=self.device)
        self._streams = {purpose: Stream(start, purpose, rank if purpose in BY_ROW else 0) for purpose in PURPOSES}

    def uniform(self, purpose: int, rows: int, width: int) -> Tensor:
        """float32 uniforms in [0, 1), (rows, width); row i is the same whatever the number of rows."""
        return self._streams[purpose].next(rows, width, self.ahead and purpose in BY_ROW)

    def skip(self, purpose: int) -> None:
        """Leaves out what the next call of `uniform` would give."""
        stream = self._streams[purpose]
        stream.settle()
        stream.counter += 1

    def steps(self, purpose: int, steps: int, rows: int, width: int) -> Tensor:
        """What so many calls of `uniform` would give, (steps, rows, width), in one."""
        self._streams[purpose].settle()
        return self._streams[purpose].steps(steps, rows, width)

    def integers(self, purpose: int, count: int, width: int, high: int | Tensor) -> Tensor:
        """int64 from 0 to high - 1, (count, width); a tensor `high` is a scalar on the device, up to 2**31."""
        self._streams[purpose].settle()
        return (self._streams[purpose].bits(count, width) * high) >> HALF

    def permutations(self, purpose: int, count: int, length: int) -> Tensor:
        """So many orders of 0 to length - 1, (count, length) int64."""
        self._streams[purpose].settle()
        return self._streams[purpose].bits(count, length).argsort(dim=-1, stable=True)

    @property
    def counters(self) -> list[Tensor]:
        """() int64 each, all that changes; drawing moves them in place."""
        for stream in self._streams.values():
            stream.settle()
        return [stream.counter for stream in self._streams.values()]

    def copy(self) -> Randomness:
        """One that goes on where this one stands, and leaves this one alone."""
        twin = Randomness(self.seed, self.device, self.rank)
        twin.load_state_dict(self.state_dict())
        return twin

    def state_dict(self) -> dict[str, Any]:
        """The seed and the counter of each purpose."""
        counters = zip(PURPOSES.values(), self.counters, strict=True)
        return {"seed": self.seed, **{name: counter.clone() for name, counter in counters}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues exactly where a saved one stood, on whatever device that was."""
        if state["seed"] != self.seed:
            self.__init__(state["seed"], self.device, self.rank)  # type: ignore[misc]
        for name, counter in zip(PURPOSES.values(), self.counters, strict=True):
            counter.copy_(state[name])
