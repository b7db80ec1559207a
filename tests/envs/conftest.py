"""What the tests of environments share: every id with every variant, and a task made for the tests."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch
from torch import Tensor

from palaestra.envs import Step, Task, make_task
from palaestra.envs.registry import ids, task_class

CASES = [(id, options) for id in ids() for options in ({}, *task_class(id).variants)]
_task = cache(lambda index: make_task(CASES[index][0], **CASES[index][1]))


def pytest_generate_tests(metafunc):
    """A test that asks for `case` runs for every id and variant, or marked `of_every_task` for every id."""
    if "case" in metafunc.fixturenames:
        plain = metafunc.definition.get_closest_marker("of_every_task") is not None
        cases = [(id, options) for id, options in CASES if not (plain and options)]
        names = [
            " ".join([id[10:-3], *(f"{name}={value}" for name, value in options.items())]) for id, options in cases
        ]
        metafunc.parametrize("case", cases, ids=names)


@pytest.fixture(autouse=True)
def _own_display():
    """No test leaves its window, or the system that shows windows, to the next one."""
    yield
    if "pygame" in sys.modules:
        sys.modules["pygame"].display.quit()


@pytest.fixture
def task(case):
    """The case's task; made once, as it holds no state."""
    return _task(CASES.index(case))


@dataclass(frozen=True)
class WalkState:
    position: Tensor  # (B, 2)
    ended: Tensor  # (B,) bool


class Walk(Task[WalkState]):
    """A walk in the plane that terminates by chance or by leaving the unit square, and else is truncated after 5 steps.

    Its observation is a Dict and its action a Box; the metric `lucky` is known only where the chance was high.
    """

    horizon, reset_noise, step_noise = 5, 2, 1

    def __init__(self):
        super().__init__()
        self.observation_space = spaces.Dict(
            {"position": spaces.Box(-9, 9, (2,), np.float32), "right": spaces.Discrete(2)}
        )
        self.action_space = spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, noise):
        return WalkState(noise - 0.5, torch.zeros(len(noise), dtype=torch.bool))

    def step(self, state, action, noise):
        position = state.position + action
        ended = (noise[:, 0] < 0.15) | (position.abs().amax(1) > 1)
        lucky = torch.where(noise[:, 0] > 0.5, noise[:, 0], torch.nan)
        return Step(WalkState(position, ended), position.sum(1), ended, {"lucky": lucky})

    def observe(self, state):
        return {"position": state.position, "right": (state.position[:, 0] > 0).long()}

    def draw(self, state, canvas):
        canvas.points(state.position[None], (0, 0, 480, 480), limits=(-9, 9, -9, 9))


@pytest.fixture
def walk():
    """A task that both terminates and truncates."""
    return Walk()
