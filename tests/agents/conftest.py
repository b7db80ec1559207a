"""Small tasks that only these tests use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch
from torch import Tensor

from palaestra.envs import BatchedEnv, Step, Task
from palaestra.envs.core.actions import action_dtype, bounds
from palaestra.envs.core.task import ProblemTask


@dataclass(frozen=True)
class UnevenState:
    time: Tensor
    length: Tensor
    level: Tensor


class Uneven(Task[UnevenState]):
    """Episodes last 1 to 8 steps, at random; those of 5 and more are cut off at 5. Naming the level's third pays 1."""

    horizon, reset_noise, step_noise = 5, 2, 1
    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space: spaces.Space[Any] = spaces.Discrete(3)

    def reset(self, noise: Tensor) -> UnevenState:
        length = 1 + (noise[:, 0] * 8).long()
        return UnevenState(torch.zeros_like(length), length, noise[:, 1])

    def step(self, state: UnevenState, action: Tensor, noise: Tensor) -> Step[UnevenState]:
        reward = ((state.level * 3).long() == action).float() - 0.1 * state.time
        late = state.level.masked_fill(state.time < 2, torch.nan)
        following = UnevenState(state.time + 1, state.length, noise[:, 0])
        return Step(following, reward, following.time >= state.length, {"late": late})

    def observe(self, state: UnevenState) -> Tensor:
        return torch.stack([state.time / 5, state.level], 1)

    def draw(self, state: UnevenState, canvas: Any) -> None: ...


@dataclass(frozen=True)
class ClockState:
    time: Tensor


class Clock(Task[ClockState]):
    """Shows the time, pays 1 a step, terminates after `end` steps and is cut off after `horizon`."""

    observation_space = spaces.Box(0, np.inf, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, end: int, horizon: int) -> None:
        super().__init__()
        self.end, self.horizon = end, horizon

    def reset(self, noise: Tensor) -> ClockState:
        return ClockState(torch.zeros(len(noise)))

    def step(self, state: ClockState, action: Tensor, noise: Tensor) -> Step[ClockState]:
        time = state.time + 1
        return Step(ClockState(time), torch.ones_like(time), time >= self.end)

    def observe(self, state: ClockState) -> Tensor:
        return state.time[:, None]

    def draw(self, state: ClockState, canvas: Any) -> None: ...


def value_of(space: spaces.Space[Any], sign: Tensor) -> Any:
    """Values (B, ...) of a space that tell the signs (B,): its highest where the sign is 1, its lowest elsewhere."""
    if isinstance(space, spaces.Dict):
        return {name: value_of(part, sign) for name, part in space.items()}
    low, high = (0, 1) if isinstance(space, spaces.Box) else bounds(space)
    low, high = (torch.as_tensor(bound).expand(space.shape) for bound in (low, high))
    return torch.where(sign.view(-1, *[1] * low.ndim) > 0.5, high, low).to(action_dtype(space))


@dataclass(frozen=True)
class ActState:
    sign: Tensor


class Act(ProblemTask[ActState, Tensor]):
    """Shows a sign, 0 or 1, and pays for an action whose mean is near it, in any spaces; one step."""

    horizon, sample_noise = 1, 1

    def __init__(self, action_space: spaces.Space[Any], observation_space: spaces.Space[Any] | None = None) -> None:
        super().__init__()
        self.action_space = action_space
        self.observation_space = observation_space or spaces.Box(0, 1, (1,), np.float32)

    def sample(self, noise: Tensor) -> Tensor:
        return (noise[:, 0] < 0.5).float()

    def begin(self, problem: Tensor, noise: Tensor) -> ActState:
        return ActState(problem)

    def step(self, state: ActState, action: Tensor, noise: Tensor) -> Step[ActState]:
        missed = (action.float().reshape(len(action), -1).mean(1) - state.sign).abs()
        return Step(state, 1 - missed, torch.ones_like(missed, dtype=torch.bool))

    def observe(self, state: ActState) -> Any:
        return value_of(self.observation_space, state.sign)

    def expert(self, state: ActState) -> Tensor:
        return value_of(self.action_space, state.sign)

    def draw(self, state: ActState, canvas: Any) -> None: ...


@pytest.fixture
def uneven() -> Any:
    """Makes batches of the uneven task."""
    return lambda num_envs, seed=0: BatchedEnv(Uneven(), num_envs, seed=seed)


@pytest.fixture
def clock() -> Any:
    """Makes batches of the clock."""
    return lambda num_envs, end, horizon: BatchedEnv(Clock(end, horizon), num_envs)


@pytest.fixture
def acting() -> Any:
    """Makes batches of the task for any spaces."""
    return lambda num_envs, action_space, observation_space=None, seed=0: BatchedEnv(
        Act(action_space, observation_space), num_envs, seed=seed
    )
