"""Recall: see keys with their values, then name the value of each key asked for."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..checks.options import integer
from ..core.task import Step, Task
from ..drawing.canvas import MUTED, Canvas
from ..drawing.choices import Choice, numbered


@dataclass(frozen=True)
class RecallState:
    """What is shown at each step of the episode, and the last answer.

    Attributes:
        key: (B, pairs + queries) int64 the key of each step: first the pairs', then those asked for.
        value: (B, pairs + queries) int64 the value that belongs to it.
        time: (B,) int64 steps taken.
        answer: (B,) int64 the last value named, -1 before the first query was answered.
    """

    key: Tensor
    value: Tensor
    time: Tensor
    answer: Tensor


class Recall(Task[RecallState]):
    """See keys with their values, then name the value of each key asked for.

    See `pairs` keys, each with a value; then see keys alone and name the value that each came with.

    Isolates associative memory: what is looked up is found by its content, not by when it was shown.

    Observation: MultiDiscrete((keys + 1, values + 1)), a key and its value; the value is `values` when it is asked
        for, and the key is `keys` too once all queries are answered.
    Action: Discrete(values), the value of the key asked for; ignored while pairs are shown.
    Reward: 1 / queries for the right value, minus that for a wrong one, 0 while pairs are shown.
    Episode: terminates after pairs + queries steps.
    Metrics: accuracy of the answers asked for.
    Expert: return 1. A random guess returns 2 / values - 1.
    Source: associative recall of Graves et al. (2014), with many queries as in Arora et al. (2023).

    Args:
        keys: how many different keys there are; those of an episode's pairs differ from each other.
        values: how many different values there are; pairs may share one.
        pairs: keys shown with their values.
        queries: keys asked for, each drawn from those shown.
    """

    variants = ({"keys": 12, "values": 6, "pairs": 6, "queries": 3},)

    def __init__(self, *, keys: int = 6, values: int = 4, pairs: int = 4, queries: int = 4) -> None:
        super().__init__()
        self.keys = integer("Recall: keys", keys, 1, 26)
        self.values = integer("Recall: values", values, 2, 10)
        self.pairs = integer("Recall: pairs", pairs, 1, self.keys)
        self.queries = integer("Recall: queries", queries, 1, 1000)
        self.horizon = self.pairs + self.queries
        self.reset_noise = self.keys + self.pairs + self.queries
        self.observation_space = spaces.MultiDiscrete(np.array([self.keys + 1, self.values + 1]))
        self.action_space = spaces.Discrete(self.values)

    def reset(self, noise: Tensor) -> RecallState:
        """Distinct keys in a random order, a value for each, and what will be asked."""
        order, value, asked = noise.split([self.keys, self.pairs, self.queries], 1)
        key = order.argsort(stable=True, dim=1)[:, : self.pairs]  # (B, pairs)
        value, asked = (value * self.values).long(), (asked * self.pairs).long()
        key, value = (torch.cat([part, part.gather(1, asked)], 1) for part in (key, value))
        zero = torch.zeros_like(key[:, 0])
        return RecallState(key, value, zero, zero - 1)

    def step(self, state: RecallState, action: Tensor, noise: Tensor) -> Step[RecallState]:
        """Shows the next pair, or judges the answer."""
        asked = state.time >= self.pairs
        correct = self._at(state.value, state.time) == action
        reward = (correct.float() * 2 - 1) * asked / self.queries
        time = state.time + 1
        accuracy = correct.float().masked_fill(~asked, torch.nan)
        following = RecallState(state.key, state.value, time, torch.where(asked, action, -1))
        return Step(following, reward, time >= self.horizon, {"accuracy": accuracy})

    def _at(self, sequence: Tensor, time: Tensor) -> Tensor:
        """The sequence's (B, pairs + queries) entry at each time, (B,); after the last, the last one."""
        return sequence.gather(1, time.clamp(max=self.horizon - 1)[:, None]).squeeze(1)

    def observe(self, state: RecallState) -> Tensor:
        """The key and the value, or the mark that stands for what is not shown, (B, 2)."""
        key = self._at(state.key, state.time).masked_fill(state.time >= self.horizon, self.keys)
        value = self._at(state.value, state.time).masked_fill(state.time >= self.pairs, self.values)
        return torch.stack([key, value], 1)

    def expert(self, state: RecallState) -> Tensor:
        """The value of the key shown now."""
        return self._at(state.value, state.time)

    def draw(self, state: RecallState, canvas: Canvas) -> None:
        """The pairs shown so far, the key asked for, and the last answer's verdict."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        keys, values = [_letter(key) for key in state.key.tolist()], state.value.tolist()
        time, width, middle = int(state.time), canvas.width, canvas.width // 2
        asked = self.pairs <= time < self.horizon
        told = "Remember these pairs" if time < self.pairs else "Which number came with the letter?"
        canvas.text(told, (middle, 40), size=30, anchor="center")
        canvas.text("shown, then hidden", (middle, 85), size=22, anchor="center")
        shown = [f"{keys[i]} {values[i]}" if i <= time else "" for i in range(self.pairs)]
        canvas.cards(shown, (20, 105, width - 40, 100), highlight=time)
        canvas.text(f"step {time} of {self.horizon}", (middle, 455), size=24, anchor="center")
        if time < self.pairs:
            return
        canvas.text("asked now" if asked else "all queries are answered", (middle, 235), size=22, anchor="center")
        if asked:
            canvas.cards([f"{keys[time]} ?"], (middle - 60, 250, 120, 75), highlight=0)
        answer = int(state.answer)
        if answer >= 0:
            area = (middle - 130, 335, 260, 100)
            canvas.verdict(answer == values[time - 1], area)
            canvas.text(f"answer: {keys[time - 1]} {answer}", (middle, 367), size=28, anchor="center")
            canvas.text(f"it was: {keys[time - 1]} {values[time - 1]}", (middle, 407), size=28, anchor="center")

    def draw_seen(self, observation: Tensor, canvas: Canvas) -> None:
        """The pair shown now, or the key asked for."""
        middle, (key, value) = canvas.width // 2, observation.tolist()
        if key == self.keys:
            canvas.text("All queries are answered", (middle, 220), size=30, anchor="center")
            return
        shown = value < self.values
        told = "Remember which number comes with the letter" if shown else "Which number came with this letter?"
        canvas.text(told, (middle, 60), size=28, anchor="center")
        canvas.cards([_letter(key), str(value) if shown else "?"], (middle - 190, 120, 380, 200))
        told = "what you press counts only when a number is asked for"
        canvas.text(told, (middle, 390), size=22, colour=MUTED, anchor="center")

    def choices(self) -> list[Choice]:
        """A number for each value."""
        return numbered([str(value) for value in range(self.values)])


def _letter(key: int) -> str:
    return chr(ord("A") + key)
