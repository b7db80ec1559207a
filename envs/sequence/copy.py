"""Copy: read a sequence of symbols, then write it."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium.spaces as spaces
import torch
from torch import Tensor

from ..checks.options import integer
from ..core.task import Step, Task
from ..drawing.canvas import BAD, GOOD, MUTED, PANEL, Canvas
from ..drawing.choices import Choice, lettered


@dataclass(frozen=True)
class CopyState:
    """The sequence, what has been written of it, and the clock.

    Attributes:
        symbols: (B, length) int64 the sequence.
        written: (B, length) int64 what was written, -1 where nothing is yet.
        time: (B,) int64 steps taken.
    """

    symbols: Tensor
    written: Tensor
    time: Tensor


class Copy(Task[CopyState]):
    """Read a sequence of symbols, then write it.

    See `length` symbols one at a time, then write them in the same order without seeing them.

    Isolates memory for a whole sequence and its order: without it nothing beats guessing.

    Observation: Discrete(symbols + 2): below `symbols` the symbol shown now, `symbols` for nothing shown,
        `symbols` + 1 for "write".
    Action: Discrete(symbols), the next symbol written; ignored until "write" is shown.
    Reward: 1 / length for the right symbol in its place, minus that for a wrong one, 0 before writing.
    Episode: terminates after 2 * length + delay steps, when the last symbol is written.
    Metrics: accuracy of the symbols written.
    Expert: return 1. A random guess returns 2 / symbols - 1.
    Source: the copy task of Graves et al. (2014), Neural Turing Machines.

    Args:
        symbols: how many different symbols there are.
        length: symbols of a sequence.
        delay: steps between the last symbol shown and the first one to be written, in which nothing is shown.
    """

    variants = ({"symbols": 8, "length": 4, "delay": 2},)

    places: Tensor

    def __init__(self, *, symbols: int = 4, length: int = 5, delay: int = 0) -> None:
        super().__init__()
        self.symbols = integer("Copy: symbols", symbols, 2, 26)
        self.length = integer("Copy: length", length, 1, 64)
        self.delay = integer("Copy: delay", delay, 0, 1000)
        self.pause_ends = self.length + self.delay
        self.horizon = 2 * self.length + self.delay
        self.reset_noise = self.length
        self.observation_space = spaces.Discrete(self.symbols + 2)
        self.action_space = spaces.Discrete(self.symbols)
        self.register_buffer("places", torch.arange(self.length), persistent=False)

    def reset(self, noise: Tensor) -> CopyState:
        """A sequence drawn uniformly, nothing written."""
        symbols = (noise * self.symbols).long()  # (B, length)
        return CopyState(symbols, torch.full_like(symbols, -1), torch.zeros_like(symbols[:, 0]))

    def step(self, state: CopyState, action: Tensor, noise: Tensor) -> Step[CopyState]:
        """Shows the next symbol, or judges the one written."""
        place = state.time - self.pause_ends  # (B,), negative before writing
        writing = place >= 0
        correct = self._symbol(state, place) == action
        written = torch.where(self.places == place[:, None], action[:, None], state.written)
        reward = (correct.float() * 2 - 1) * writing / self.length
        time = state.time + 1
        accuracy = correct.float().masked_fill(~writing, torch.nan)
        return Step(CopyState(state.symbols, written, time), reward, time >= self.horizon, {"accuracy": accuracy})

    def _symbol(self, state: CopyState, place: Tensor) -> Tensor:
        """The sequence's symbol at each place, (B,); beyond either end, that end's."""
        return state.symbols.gather(1, place.clamp(0, self.length - 1)[:, None]).squeeze(1)

    def observe(self, state: CopyState) -> Tensor:
        """The symbol shown now, or the mark for nothing or "write", (B,)."""
        mark = self.symbols + (state.time >= self.pause_ends).long()
        return torch.where(state.time < self.length, self._symbol(state, state.time), mark)

    def expert(self, state: CopyState) -> Tensor:
        """The symbol that comes next in writing; before, the first one."""
        return self._symbol(state, state.time - self.pause_ends)

    def draw(self, state: CopyState, canvas: Canvas) -> None:
        """The sequence as far as it was shown, and beneath it what was written, with a tick or a cross at each."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        symbols, written, time = state.symbols.tolist(), state.written.tolist(), int(state.time)
        width, middle, writing = canvas.width, canvas.width // 2, time >= self.pause_ends
        title = "Write what was shown" if writing else "Remember these symbols" if time < self.length else "Wait"
        canvas.text(title, (middle, 50), size=30, anchor="center")
        canvas.text("shown, then hidden", (middle, 105), size=22, anchor="center")
        shown = [_letter(symbol) if place <= time else "" for place, symbol in enumerate(symbols)]
        canvas.cards(shown, (20, 125, width - 40, 100), highlight=time)
        canvas.text("written by the agent", (middle, 265), size=22, anchor="center")
        verdicts = [None if a < 0 else a == b for a, b in zip(written, symbols, strict=True)]
        colours = [PANEL if correct is None else GOOD if correct else BAD for correct in verdicts]
        cursor = time - self.pause_ends if writing else None
        letters = [_letter(a) for a in written]
        canvas.cards(letters, (20, 285, width - 40, 100), highlight=cursor, colours=colours, verdicts=verdicts)
        right = sum(a == b for a, b in zip(written, symbols, strict=True))
        told = f"step {time} of {self.horizon}      right so far: {right} of {max(0, time - self.pause_ends)}"
        canvas.text(told, (middle, 430), size=24, anchor="center")

    def draw_seen(self, observation: Tensor, canvas: Canvas) -> None:
        """The symbol shown now, or what to do instead."""
        middle, mark = canvas.width // 2, int(observation)
        if mark < self.symbols:
            canvas.text("Remember this symbol, and those to come", (middle, 60), size=28, anchor="center")
            canvas.cards([_letter(mark)], (middle - 110, 120, 220, 220))
        elif mark == self.symbols:
            canvas.text("Nothing is shown", (middle, 60), size=30, anchor="center")
            canvas.text("wait", (middle, 230), size=60, colour=MUTED, anchor="center")
        else:
            canvas.text("Write the symbols, in the order they came in", (middle, 60), size=28, anchor="center")
            canvas.cards(["?"], (middle - 110, 120, 220, 220))
        told = "what you press counts only once it says: write"
        canvas.text(told, (middle, 410), size=22, colour=MUTED, anchor="center")

    def choices(self) -> list[Choice]:
        """A letter for each symbol."""
        return lettered(self.symbols)


def _letter(symbol: int) -> str:
    return "" if symbol < 0 else chr(ord("A") + symbol)
