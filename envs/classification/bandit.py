"""The rules that every classification bandit shares: see one input, name one class, the episode is over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium.spaces as spaces
import torch
from torch import Tensor

from ..core.task import Observation, Step, Task
from ..core.tree import select
from ..drawing.canvas import Canvas
from ..drawing.choices import Choice, numbered


@dataclass(frozen=True)
class BanditState:
    """Which example is shown, and what was guessed.

    Attributes:
        index: (B,) int64 the example's row in the data set.
        guess: (B,) int64 the class named, -1 before the guess.
    """

    index: Tensor
    guess: Tensor


class ClassificationBandit(Task[BanditState]):
    """One labelled example, drawn uniformly with replacement; reward 1 for the right class, 0 for a wrong one.

    The episode terminates after one step. The expert names the label. Subclasses draw the input.

    Args:
        inputs: (N, ...) the examples, of the dtype of the observation.
        labels: (N,) int64 from 0 to K - 1.
        class_names: K names, for people.
        observation_space: the space of one example.
    """

    horizon = 1
    reset_noise = 1
    still = True
    inputs: Tensor
    labels: Tensor

    def __init__(
        self, inputs: Tensor, labels: Tensor, class_names: list[str], observation_space: spaces.Space[Any]
    ) -> None:
        super().__init__()
        self.observation_space = observation_space
        self.action_space = spaces.Discrete(len(class_names))
        self.class_names = class_names
        self.register_buffer("inputs", inputs, persistent=False)
        self.register_buffer("labels", labels, persistent=False)

    def reset(self, noise: Tensor) -> BanditState:
        """An example drawn uniformly."""
        index = (noise[:, 0] * len(self.labels)).long()  # (B,)
        return BanditState(index, torch.full_like(index, -1))

    def step(self, state: BanditState, action: Tensor, noise: Tensor) -> Step[BanditState]:
        """Judges the guess."""
        correct = (self.labels.index_select(0, state.index) == action).float()
        return Step(
            BanditState(state.index, action), correct, torch.ones_like(correct, dtype=torch.bool), {"accuracy": correct}
        )

    def observe(self, state: BanditState) -> Observation:
        """The example itself, (B, ...)."""
        return select(self.inputs, state.index)

    def expert(self, state: BanditState) -> Tensor:
        """The label."""
        return self.labels[state.index]

    def draw(self, state: BanditState, canvas: Canvas) -> None:
        """The input on top; below the classes to choose from, then the guess and its verdict."""
        if not canvas.spectator or int(state.guess) < 0:
            return self.draw_seen(self.observe_one(state), canvas)
        label, guess, middle = int(self.labels[state.index]), int(state.guess), canvas.width // 2
        self.draw_input(self.inputs[state.index], (20, 20, canvas.width - 40, 320), canvas)
        canvas.verdict(guess == label, (middle - 180, 360, 360, 100))
        canvas.text(f"guess: {self.class_names[guess]}", (middle, 390), size=30, anchor="center", max_width=280)
        canvas.text(f"truth: {self.class_names[label]}", (middle, 430), size=30, anchor="center", max_width=280)

    def draw_seen(self, observation: Any, canvas: Canvas) -> None:
        """The input and the classes to choose from."""
        self.draw_input(observation, (20, 20, canvas.width - 40, 320), canvas)
        canvas.text("Which class is it?", (canvas.width // 2, 375), size=30, anchor="center")
        told = [name if name.endswith(str(k)) else f"{k} {name}" for k, name in enumerate(self.class_names)]
        canvas.cards(told, (20, 405, canvas.width - 40, 60))

    def draw_input(self, example: Tensor, area: tuple[int, int, int, int], canvas: Canvas) -> None:
        """Draws an example in `area` (x, y, width, height)."""
        raise NotImplementedError

    def choices(self) -> list[Choice]:
        """A number for each class."""
        return numbered(self.class_names)
