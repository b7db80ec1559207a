"""Environments as a stranger may write them."""

from __future__ import annotations

import copy

import gymnasium
import gymnasium.spaces as spaces
import numpy as np
import pytest

from palaestra.envs import GymnasiumBridge
from palaestra.neural_blocks.errors import InvalidInput

PIXELS = spaces.Box(0, 255, (18, 16, 3), np.uint8)
NUMBERS = spaces.Box(-1, 1, (2,), np.float32)


class Stub(gymnasium.Env):
    """Shows random observations of any space, takes any action, keeps what it was given, and ends after five steps."""

    def __init__(self, observation_space=NUMBERS, action_space=spaces.Discrete(2), faults=None):  # noqa: B008
        self.observation_space, self.action_space = copy.deepcopy(observation_space), copy.deepcopy(action_space)
        self.faults = faults or {}
        self.given, self.shown, self.count = [], [], 0

    def _show(self):
        self.shown.append(self.faults.get(f"observation {self.count}", self.observation_space.sample()))
        return self.shown[-1]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self.count = 0
        if "reset" in self.faults:
            raise self.faults["reset"]
        return self.faults.get("reset result", (self._show(), {}))

    def step(self, action):
        assert self.action_space.contains(action), f"{action!r} is not in {self.action_space}"
        self.given.append(action)
        self.count += 1
        if self.faults.get("at") == self.count:
            raise self.faults["step"]
        reward = self.faults.get(f"reward {self.count}", 1.0)
        return self.faults.get("step result", (self._show(), reward, False, self.count == 5, {}))

    def render(self):
        raise RuntimeError("no\nscreen")


def bridged(observation_space=NUMBERS, action_space=spaces.Discrete(2), num_envs=2, **faults):  # noqa: B008
    return GymnasiumBridge(
        Stub, num_envs, observation_space=observation_space, action_space=action_space, faults=faults
    )


def complaint(call, *args, **kwargs):
    with pytest.raises(InvalidInput) as caught:
        call(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)
