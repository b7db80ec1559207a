"""An environment of somebody else's."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from palaestra.envs import Canvas, Step, Task


@dataclass(frozen=True)
class LampState:
    """(B,) float32 whether the lamp shines, (B,) int64 steps so far."""

    shines: Tensor
    time: Tensor


class Lamp(Task[LampState]):
    """Say at every step whether the lamp shines.

    Observation: (2,) float32, one of them 1.
    Action: Discrete(2).
    Reward: 1 for the right answer.
    Episode: terminates after `length` steps.
    """

    step_noise, reset_noise = 1, 1

    def __init__(self, *, length: int = 4) -> None:
        super().__init__()
        self.horizon = length
        self.observation_space = spaces.Box(0, 1, (2,), np.float32)
        self.action_space = spaces.Discrete(2)

    def reset(self, noise: Tensor) -> LampState:
        """A lamp that shines or not."""
        shines = (noise[:, 0] < 0.5).float()
        return LampState(shines, torch.zeros_like(shines, dtype=torch.int64))

    def step(self, state: LampState, action: Tensor, noise: Tensor) -> Step[LampState]:
        """Judges the answer."""
        time = state.time + 1
        right = (action == state.shines).float()
        return Step(LampState((noise[:, 0] < 0.5).float(), time), right, time >= self.horizon)

    def observe(self, state: LampState) -> Tensor:
        """One of two."""
        return torch.stack([state.shines, 1 - state.shines], 1)

    def expert(self, state: LampState) -> Tensor:
        """What is."""
        return state.shines.long()

    def draw(self, state: LampState, canvas: Canvas) -> None:
        """A word."""
        canvas.text("shines" if float(state.shines) else "is dark", (240, 240), anchor="center")
