"""Environments as text: what is seen and what may be answered as a prompt, and an answer in words."""

from __future__ import annotations

import math
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
from gymnasium.vector import AutoresetMode

from ...neural_blocks.errors import InvalidInput, shown
from ..core.task import Task
from ..drawing.choices import Choice
from ..drawing.wording import number
from ..registry import is_task, make_task, summary
from .batched import BatchedEnv

NAMED = 120  # actions that a prompt lists by name
NUMBERS = (spaces.MultiDiscrete, spaces.MultiBinary, spaces.Box)


class TextEnv:
    """One environment that is played in plain text, as a language model or a person at a terminal plays it.

    ``reset`` and ``step`` give a prompt: what the environment is about, what is seen (no more than the observation
    holds), the last reward and the return so far, and what may be answered. ``step`` takes an answer: an action's name,
    its key or its number; for several numbers, all of them with spaces or commas between them.

    >>> env = TextEnv("palaestra/Copy-v0", length=2)
    >>> print(env.reset(seed=3).splitlines()[-1])
    Answer with one of: A, B, C, D

    Args:
        id: of the environment, or a `Task`.
        options: of the environment.

    Raises:
        InvalidInput: an unknown id or option; a Dict of actions, as of a game for several.

    Attributes:
        total: the return so far.
        ended: whether the episode is over.
        batch: the environment itself, of one row.
    """

    def __init__(self, id: str | Task[Any], **options: Any) -> None:
        task = make_task(id, **options) if isinstance(id, str) else id
        if not isinstance(task.action_space, (spaces.Discrete, *NUMBERS)):
            raise InvalidInput(f"{task.name}: an answer must stand for one action; got {task.action_space}")
        self.batch = BatchedEnv(task, 1, autoreset=AutoresetMode.DISABLED)
        self.about = summary(id) if isinstance(id, str) and is_task(id) else task.name
        self.space: spaces.Space[Any] = task.action_space
        self.choices = _single(task.choices())
        self.total, self.ended = 0.0, True
        self._reward: float | None = None

    def reset(self, seed: int | None = None) -> str:
        """Starts the next episode, with a seed the first one of that seed; returns the first prompt."""
        self.batch.reset(seed)
        self.total, self.ended, self._reward = 0.0, False, None
        return self.prompt()

    def step(self, answer: str) -> tuple[str, float, bool, bool, dict[str, float]]:
        """Takes an answer.

        Returns:
            The next prompt, the reward, whether the episode has terminated or was truncated, and the step's metrics.

        Raises:
            InvalidInput: an answer that stands for no action, with what is allowed; nothing has happened then.
        """
        step = self.batch.step(np.asarray([self.action(answer)]))
        self._reward = float(step.reward[0])
        self.total += self._reward
        self.ended = bool(step.done[0])
        metrics = {name: float(value[0]) for name, value in step.metrics.items()}
        return self.prompt(), self._reward, bool(step.terminated[0]), bool(step.truncated[0]), metrics

    def prompt(self) -> str:
        """What a player is told now."""
        lines = [self.about, "", *self.batch.texts()[0].splitlines(), ""]
        if self._reward is not None:
            lines.append(f"Last reward: {number(self._reward)}; return so far: {number(self.total)}")
        lines.append("The episode is over." if self.ended else f"Answer with {self.allowed()}")
        return "\n".join(lines)

    def allowed(self) -> str:
        """What may be answered, in words."""
        space, names = self.space, [one.label for one in self.choices]
        if isinstance(space, spaces.Discrete):
            first, last = int(space.start), int(space.start + space.n) - 1
            if len(names) == space.n and len(set(names)) == len(names) and len(names) <= NAMED:
                return f"one of: {', '.join(names)}"
            return f"a whole number from {first} to {last}"
        low, high = _bounds(space)
        count = int(np.prod(space.shape or ()))
        kind = "number" if isinstance(space, spaces.Box) else "whole number"
        several = f"{count} {kind}s with spaces between them" if count > 1 else f"a {kind}"
        if len(set(low)) == len(set(high)) == 1:
            return f"{several}, from {number(low[0])} to {number(high[0])}"
        return f"{several}, from {' '.join(map(number, low))} to {' '.join(map(number, high))}"

    def action(self, answer: str) -> Any:
        """The action that an answer stands for. Raises `InvalidInput` for one that stands for none."""
        space, text = self.space, str(answer).strip()
        named = self._named(text)
        if named is not None:
            return np.asarray(named, dtype=np.int64 if not isinstance(space, spaces.Box) else space.dtype)
        values = self._numbers(text)
        low: list[float]
        high: list[float]
        if isinstance(space, spaces.Discrete):
            low, high, count = [int(space.start)], [int(space.start + space.n) - 1], 1
        else:
            low, high = _bounds(space)
            count = int(np.prod(space.shape or ()))
        if values is None or len(values) != count:
            raise self._refused(answer)
        whole = not isinstance(space, spaces.Box)
        for value, least, most in zip(values, low, high, strict=True):
            if not least <= value <= most or (whole and value != int(value)):
                raise self._refused(answer)
        array = np.array(values, dtype=np.int64 if whole else space.dtype)
        return array.reshape(space.shape or ())

    def _named(self, text: str) -> Any | None:
        """The action with that name, or else with that key, whatever the case where only one is meant."""
        for exact in (True, False):
            for part in ("label", "key"):
                same = [
                    one.action
                    for one in self.choices
                    if getattr(one, part) == text or (not exact and getattr(one, part).lower() == text.lower())
                ]
                if len(same) == 1:
                    return same[0]
        return None

    def _numbers(self, text: str) -> list[float] | None:
        try:
            values = [float(word) for word in text.replace(",", " ").strip("[]() ").split()]
        except ValueError:
            return None
        return values if all(map(math.isfinite, values)) else None

    def _refused(self, answer: object) -> InvalidInput:
        return InvalidInput(f"{self.batch.name}: answer must be {self.allowed()}; got {shown(answer)}")


def _single(choices: list[Choice]) -> list[Choice]:
    """The choices, each action once: an action with several keys is known by the first."""
    known: dict[str, Choice] = {}
    for one in choices:
        known.setdefault(str(one.action), one)
    return list(known.values())


def _bounds(space: Any) -> tuple[list[float], list[float]]:
    """The least and the largest value of each number of an action."""
    if isinstance(space, spaces.MultiDiscrete):
        return space.start.ravel().tolist(), (space.start + space.nvec - 1).ravel().tolist()
    if isinstance(space, spaces.MultiBinary):
        count = int(np.prod(space.shape))
        return [0] * count, [1] * count
    return space.low.ravel().tolist(), space.high.ravel().tolist()
