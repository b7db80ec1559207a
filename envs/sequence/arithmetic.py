"""Arithmetic: add two numbers digit by digit, with room for notes."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..checks.options import integer, number
from ..core.task import Step, Task
from ..drawing.canvas import ACCENT, MUTED, Canvas
from ..drawing.choices import DIGITS, Choice

EQUALS, BLANK = 10, 11  # symbols beside the digits: the end of the notes, and nothing written yet


@dataclass(frozen=True)
class ArithmeticState:
    """A sum and what is written of it; digits stand as on paper, the highest first.

    Attributes:
        first: (B, digits) int64.
        second: (B, digits) int64.
        total: (B, digits + 1) int64 the sum's digits.
        notes: (B, scratch) int64 digits noted, 11 where none is yet.
        answer: (B, digits + 1) int64 symbols answered, 11 where none is yet.
        noted: (B,) int64 how many notes there are.
        written: (B,) int64 how many symbols of the answer there are.
        answering: (B,) bool whether the next symbol belongs to the answer.
    """

    first: Tensor
    second: Tensor
    total: Tensor
    notes: Tensor
    answer: Tensor
    noted: Tensor
    written: Tensor
    answering: Tensor


class Arithmetic(Task[ArithmeticState]):
    """Add two numbers digit by digit, the highest first, with room for notes.

    Isolates calculating in steps. The highest digit comes first, but whether it takes a carry is decided by all digits
    below, where many columns add up to nine and hand a carry on. With room for notes one may first write the digits
    from the lowest on, each of which follows from one column and the note before, and then copy them.

    Observation: MultiDiscrete: the digits of both numbers (10 each), the highest first; with notes also the `scratch`
        notes in the order in which they were written, and the answer's digits + 1 symbols (12 each: a digit, 10 for
        "=", 11 where nothing is written), and 1 once the answer has begun, else 0.
    Action: Discrete(10), the answer's next digit; with notes Discrete(11), a digit to note or to answer, or 10 for "=",
        with which the answer begins. It begins by itself where the notes are full.
    Reward: 1 / (digits + 1) for each right digit of the answer, 0 for a wrong one and for notes, which cost nothing
        but time.
    Episode: terminates with the answer's last digit.
    Metrics: accuracy of each digit; exact, whether the whole answer is right.
    Expert: return 1. Where there is room for it, it notes the sum from the lowest digit on. Random digits return 0.10;
        always writing 9, the commonest one, 0.34.
    Source: scratchpads of Nye et al. (2021); carries as what makes addition hard of Lee et al. (2024).

    Args:
        digits: of each number, with zeros ahead.
        scratch: notes there is room for; digits + 1 hold the whole sum.
        chains: the share of columns that are made to add up to nine; of others a tenth does.
    """

    variants = ({"scratch": 5}, {"digits": 2, "chains": 0.0})

    def __init__(self, *, digits: int = 4, scratch: int = 0, chains: float = 0.5) -> None:
        super().__init__()
        self.digits = integer("Arithmetic: digits", digits, 1, 12)
        self.scratch = integer("Arithmetic: scratch", scratch, 0, 26)
        self.chains = number("Arithmetic: chains", chains, 0, 1)
        self.horizon = self.digits + 1 + (self.scratch + 1 if self.scratch else 0)
        self.reset_noise = 3 * self.digits
        sizes = [10] * (2 * self.digits) + [12] * (self.scratch + self.digits + 1) + [2] * (self.scratch > 0)
        self.observation_space = spaces.MultiDiscrete(np.array(sizes))
        self.action_space = spaces.Discrete(10 + (self.scratch > 0))

    def reset(self, noise: Tensor) -> ArithmeticState:
        """The digits of both numbers, some columns of which add up to nine."""
        first, second, nine = noise.split(self.digits, 1)
        first, second = (first * 10).long(), (second * 10).long()
        second = torch.where(nine < self.chains, 9 - first, second)
        carry, total = torch.zeros_like(first[:, 0]), []
        for column in range(self.digits - 1, -1, -1):
            carry = first[:, column] + second[:, column] + carry
            total.append(carry % 10)
            carry = carry // 10
        zero = torch.zeros_like(carry)
        notes = torch.full_like(first[:, :1], BLANK).expand(-1, self.scratch)
        answer = torch.full_like(first[:, :1], BLANK).expand(-1, self.digits + 1)
        answering = torch.full_like(zero, self.scratch == 0, dtype=torch.bool)
        return ArithmeticState(
            first, second, torch.stack([carry, *total[::-1]], 1), notes, answer, zero, zero, answering
        )

    def step(self, state: ArithmeticState, action: Tensor, noise: Tensor) -> Step[ArithmeticState]:
        """Writes a symbol, and judges it if it belongs to the answer."""
        answering = state.answering
        notes = _put(state.notes, state.noted, action, ~answering & (action != EQUALS))
        answer = _put(state.answer, state.written, action, answering)
        right = (action == _at(state.total, state.written)).float()
        written = state.written + answering
        noted = state.noted + (~answering & (action != EQUALS))
        ended = written > self.digits
        exact = (answer == state.total).all(1).float()
        metrics = {
            "accuracy": right.masked_fill(~answering, torch.nan),
            "exact": exact.masked_fill(~ended, torch.nan),
        }
        begins = answering | (action == EQUALS) | (noted >= self.scratch)
        following = ArithmeticState(state.first, state.second, state.total, notes, answer, noted, written, begins)
        return Step(following, right * answering / (self.digits + 1), ended, metrics)

    def observe(self, state: ArithmeticState) -> Tensor:
        """Both numbers, the notes, the answer so far and, with notes, whether it has begun, (B, numbers)."""
        parts = [state.first, state.second, state.notes, state.answer]
        return torch.cat([*parts, state.answering[:, None].long()] if self.scratch else parts, 1)

    def expert(self, state: ArithmeticState) -> Tensor:
        """The next digit of the notes or of the answer, or the sign between them."""
        told = _at(state.total, state.written)
        if self.scratch <= self.digits:  # no room for all of the sum
            return torch.where(state.answering, told, EQUALS) if self.scratch else told
        lowest_first = _at(state.total, (self.digits - state.noted).clamp(min=0))
        note = torch.where(state.noted <= self.digits, lowest_first, EQUALS)
        return torch.where(state.answering, told, note)

    def draw(self, state: ArithmeticState, canvas: Canvas) -> None:
        """The sum on paper as the player sees it; below, the truth, and the verdict in the end."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        answer, total = state.answer.tolist(), state.total.tolist()
        verdicts = [None if symbol == BLANK else symbol == digit for symbol, digit in zip(answer, total, strict=True)]
        self._paper(self.observe_one(state), canvas, verdicts)
        told = f"in truth (hidden): {''.join(map(str, total))}"
        canvas.text(told, (canvas.width // 2, 430), 24, MUTED, "center")
        if int(state.written) > self.digits:
            told = "the answer is right" if all(verdicts) else "the answer is wrong"
            canvas.text(told, (canvas.width // 2, 460), 24, ACCENT, "center")

    def draw_seen(self, observation: Tensor, canvas: Canvas) -> None:
        """The sum on paper, the notes, and the place of the next symbol."""
        self._paper(observation, canvas)
        told = "notes are free; = begins the answer" if self.scratch else "the highest digit comes first"
        canvas.text(told, (canvas.width // 2, 445), 22, MUTED, "center")

    def _paper(self, observation: Tensor, canvas: Canvas, verdicts: list[bool | None] | None = None) -> None:
        """Both numbers above each other, their sum beneath, and notes above that if there is room for them."""
        seen, width, wide = observation.tolist(), canvas.width, self.digits + 1
        first, second = seen[: self.digits], seen[self.digits : 2 * self.digits]
        notes = seen[2 * self.digits : 2 * self.digits + self.scratch]
        answer = seen[2 * self.digits + self.scratch :][:wide]
        answering = not self.scratch or bool(seen[-1])
        canvas.text("Write the sum, digit by digit", (width // 2, 30), 30, anchor="center")
        side = min(60, 440 // (wide + 1))
        left, top = width // 2 - side * wide // 2, 60
        for row, digits in enumerate((first, second)):
            place = (left + side, top + row * side, side * self.digits, side)
            canvas.cards([str(digit) for digit in digits], place)
        canvas.text("+", (left + side // 2, top + side + side // 2), 36, anchor="center")
        canvas.fill((left, top + 2 * side + 8, side * wide, 4), MUTED)
        place = (left, top + 2 * side + 18, side * wide, side)
        following = answer.index(BLANK) if answering and BLANK in answer else wide
        canvas.cards([_symbol(symbol) for symbol in answer], place, following, None, verdicts)
        if self.scratch:
            told = "notes" if answering else "notes: the next symbol goes here"
            canvas.text(told, (width // 2, 290), 22, anchor="center")
            following = notes.index(BLANK) if not answering and BLANK in notes else self.scratch
            canvas.cards([_symbol(symbol) for symbol in notes], (20, 308, width - 40, 80), following)

    def choices(self) -> list[Choice]:
        """The digits, and with notes the sign that begins the answer."""
        digits = [Choice(key, f"digit {key}", k) for k, key in enumerate(DIGITS)]
        return [*digits, Choice("=", "begin the answer", EQUALS)] if self.scratch else digits


def _at(symbols: Tensor, place: Tensor) -> Tensor:
    """The symbol (B,) at a place (B,) of a row (B, L); beyond its end, the last one."""
    return symbols.gather(1, place.clamp(max=symbols.shape[1] - 1)[:, None])[:, 0]


def _put(row: Tensor, place: Tensor, symbol: Tensor, where: Tensor) -> Tensor:
    """A row (B, L) with a symbol (B,) at a place (B,), where (B,) bool says so."""
    here = (torch.arange(row.shape[1], device=row.device) == place[:, None]) & where[:, None]
    return torch.where(here, symbol[:, None], row)


def _symbol(symbol: int) -> str:
    return {EQUALS: "=", BLANK: ""}.get(symbol, str(symbol))
