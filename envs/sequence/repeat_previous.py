"""RepeatPrevious: name the symbol shown some steps ago."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium.spaces as spaces
import torch
from torch import Tensor

from ..checks.options import integer
from ..core.task import Step, Task
from ..drawing.canvas import MUTED, Canvas
from ..drawing.choices import Choice, lettered


@dataclass(frozen=True)
class RepeatPreviousState:
    """The last symbols and the clock.

    Attributes:
        recent: (B, delay + 1) int64 the symbols of the last steps, the newest last; -1 before the episode's start.
        time: (B,) int64 steps taken.
        answer: (B,) int64 the last symbol named, -1 before the first.
        target: (B,) int64 what the last answer should have been, -1 where nothing was asked.
    """

    recent: Tensor
    time: Tensor
    answer: Tensor
    target: Tensor


class RepeatPrevious(Task[RepeatPreviousState]):
    """Name, at every step, the symbol shown `delay` steps ago.

    Isolates short-term memory that must be rewritten at every step: without it nothing beats guessing.

    Observation: Discrete(symbols), the symbol shown now.
    Action: Discrete(symbols), the symbol shown `delay` steps ago; ignored during the first `delay` steps.
    Reward: 1 / (length - delay) for the right symbol, minus that for a wrong one, 0 while nothing is asked.
    Episode: terminates after `length` steps.
    Metrics: accuracy of the answers asked for.
    Expert: return 1. A random guess returns 2 / symbols - 1.
    Source: RepeatPrevious of POPGym (Morad et al., 2023).

    Args:
        symbols: how many different symbols there are.
        delay: steps between seeing a symbol and naming it.
        length: steps of an episode.
    """

    variants = ({"delay": 1}, {"symbols": 8, "delay": 8})

    reset_noise = 1
    step_noise = 1

    def __init__(self, *, symbols: int = 4, delay: int = 4, length: int = 52) -> None:
        super().__init__()
        self.symbols = integer("RepeatPrevious: symbols", symbols, 2, 26)
        self.delay = integer("RepeatPrevious: delay", delay, 1, 64)
        self.horizon = integer("RepeatPrevious: length", length, self.delay + 1)
        self.observation_space = spaces.Discrete(symbols)
        self.action_space = spaces.Discrete(symbols)
        self.random_return, self.expert_return = 2 / symbols - 1, 1.0

    def reset(self, noise: Tensor) -> RepeatPreviousState:
        """The first symbol."""
        symbol = (noise * self.symbols).long()  # (B, 1)
        none = torch.full_like(symbol[:, 0], -1)
        recent = torch.cat([symbol.new_full((len(symbol), self.delay), -1), symbol], 1)
        return RepeatPreviousState(recent, torch.zeros_like(none), none, none)

    def step(self, state: RepeatPreviousState, action: Tensor, noise: Tensor) -> Step[RepeatPreviousState]:
        """Judges the answer and shows the next symbol."""
        target = state.recent[:, 0]
        asked = target >= 0
        correct = target == action
        reward = (correct.float() * 2 - 1) * asked / (self.horizon - self.delay)
        recent = torch.cat([state.recent[:, 1:], (noise * self.symbols).long()], 1)
        time = state.time + 1
        accuracy = correct.float().masked_fill(~asked, torch.nan)
        following = RepeatPreviousState(recent, time, action, target)
        return Step(following, reward, time >= self.horizon, {"accuracy": accuracy})

    def observe(self, state: RepeatPreviousState) -> Tensor:
        """The newest symbol, (B,)."""
        return state.recent[:, -1]

    def expert(self, state: RepeatPreviousState) -> Tensor:
        """The symbol asked for; 0 while nothing is asked."""
        return state.recent[:, 0].clamp(min=0)

    def draw(self, state: RepeatPreviousState, canvas: Canvas) -> None:
        """The recent symbols as cards, the one asked for marked, and the last answer's verdict."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        cards = ["" if symbol < 0 else chr(ord("A") + int(symbol)) for symbol in state.recent]
        width, middle = canvas.width, canvas.width // 2
        canvas.text(f"Which symbol was shown {self.delay} steps ago?", (middle, 50), size=28, anchor="center")
        asked = int(state.recent[0]) >= 0
        canvas.cards(cards, (20, 130, width - 40, 100), highlight=0 if asked else None)
        told = "framed: asked for" if asked else "nothing is asked yet"
        canvas.text(f"{told}      last: shown now", (middle, 255), size=22, anchor="center")
        canvas.text(f"step {int(state.time)} of {self.horizon}", (middle, 295), size=24, anchor="center")
        if int(state.target) >= 0:
            answer, target = (chr(ord("A") + int(symbol)) for symbol in (state.answer, state.target))
            area = (middle - 130, 330, 260, 110)
            canvas.verdict(answer == target, area)
            canvas.text(f"last answer: {answer}", (middle, 365), size=28, anchor="center")
            canvas.text(f"it was: {target}", (middle, 405), size=28, anchor="center")

    def draw_seen(self, observation: Tensor, canvas: Canvas) -> None:
        """The symbol shown now."""
        middle, steps = canvas.width // 2, "step" if self.delay == 1 else "steps"
        told = f"Which symbol came {self.delay} {steps} before this one?"
        canvas.text(told, (middle, 60), size=28, anchor="center")
        canvas.cards([chr(ord("A") + int(observation))], (middle - 110, 120, 220, 220))
        canvas.text("shown now", (middle, 365), size=24, anchor="center")
        told = f"the first {self.delay} answers of an episode do not count"
        canvas.text(told if self.delay > 1 else "the first answer does not count", (middle, 420), 22, MUTED, "center")

    def choices(self) -> list[Choice]:
        """A letter for each symbol."""
        return lettered(self.symbols)
