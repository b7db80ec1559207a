"""Checks of what a task says of itself, and of the shapes, dtypes and ranges of what its rules give."""

from __future__ import annotations

import dataclasses
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..adapters.batched import BatchedEnv
from ..core.actions import action_dtype
from ..core.game import Versus
from ..core.task import Task
from ..core.tree import leaves
from ..core.trial import Trial
from .probing import BATCH, STEPS, inside, parts, require, sample_actions

LARGEST_UNIFORM = 1 - 2**-24  # the largest float32 below 1


def check_docstring(task: Task[Any]) -> str | None:
    """The class says what it is."""
    cls = type(bare(task))
    text = (cls.__doc__ or "").strip()
    require(bool(text) and cls.__doc__ is not Task.__doc__, f"{cls.__name__} must have a docstring: its first line")
    missing = [name for name in ("Observation:", "Action:", "Reward:", "Episode:") if name not in text]
    return f"it says nothing under {', '.join(missing)}" if missing else None


def check_spaces(task: Task[Any]) -> None:
    """Observation and action spaces of the kinds that agents know, of the dtypes that every environment has."""
    for name in ("observation_space", "action_space"):
        require(isinstance(getattr(task, name, None), spaces.Space), f"{name} must be set to a gymnasium.spaces.Space")
    action_dtype(task.action_space)
    known = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)

    def visit(space: Any, name: str) -> None:
        if isinstance(space, spaces.Dict):
            for key, part in space.items():
                visit(part, f"{name} {key!r}")
            return
        require(isinstance(space, known), f"{name} must be Box, Discrete, MultiDiscrete, MultiBinary or Dict")
        if isinstance(space, spaces.Box):
            image = space.dtype == np.uint8 and len(space.shape) == 3
            allowed = image or space.dtype == np.float32
            require(allowed, f"{name} must be float32, or for images uint8 (C, H, W); got {space.dtype} {space.shape}")
            first = (
                f"{name}: an image is channel first, (C, H, W), with 1 or 3 channels or stacked ones; got {space.shape}"
            )
            require(not image or space.shape[0] <= min(space.shape[1:]), first)

    visit(task.observation_space, "observation_space")


def check_sizes(task: Task[Any]) -> None:
    """Horizon and noise widths are whole numbers."""
    for name, least in (("horizon", 1), ("reset_noise", 0), ("step_noise", 0)):
        value = getattr(task, name, None)
        require(isinstance(value, int) and value >= least, f"{name} must be a whole number from {least}; got {value!r}")


def check_first_steps(task: Task[Any]) -> None:
    """`reset` and `step` work for a batch with no more noise than is declared, and give tensors of the right shapes."""
    state = task.reset(torch.full((BATCH, task.reset_noise), 0.5))
    frozen = getattr(getattr(type(state), "__dataclass_params__", None), "frozen", False)
    require(frozen, f"a state must be a frozen dataclass of tensors; got {type(state).__name__}")
    _batched(state, "reset's state")
    step = task.step(state, sample_actions(task, 1)[0], torch.full((BATCH, task.step_noise), 0.5))
    _batched(step.state, "step's state")
    require(type(step.state) is type(state), f"step's state must be a {type(state).__name__} like reset's")
    wanted = {"reward": torch.float32, "terminated": torch.bool} | dict.fromkeys(step.metrics, torch.float32)
    for name, dtype in wanted.items():
        tensor = step.metrics[name] if name in step.metrics else getattr(step, name)
        got = f"{tensor.dtype} {tuple(tensor.shape)}" if isinstance(tensor, Tensor) else type(tensor).__name__
        fits = isinstance(tensor, Tensor) and tensor.dtype == dtype and tensor.shape == (BATCH,)
        require(fits, f"{name} must be {dtype} ({BATCH},) for {BATCH} environments; got {got}")


def _batched(state: Any, name: str) -> None:
    for field in dataclasses.fields(state):
        for tensor in leaves(getattr(state, field.name)):
            fits = tensor.ndim > 0 and len(tensor) == BATCH
            told = f"{name}: the first axis of {field.name} must be the environment"
            require(fits, f"{told}, ({BATCH}, ...) for {BATCH} of them; got {tuple(tensor.shape)}")


def check_observations(task: Task[Any]) -> None:
    """Observations lie in their space, also at an episode's end and for the smallest and the largest uniforms."""
    env = BatchedEnv(task, BATCH, seed=11)
    seen = [("after reset", env.reset())]
    for action in sample_actions(task, min(STEPS, 2 * task.horizon)):
        step = env.step(action)
        seen += [("after a step", step.observation), ("at an episode's end", step.final_observation)]
    for uniform in (0.0, LARGEST_UNIFORM):
        state = task.reset(torch.full((BATCH, task.reset_noise), uniform))
        following = task.step(state, sample_actions(task, 1)[0], torch.full((BATCH, task.step_noise), uniform)).state
        seen += [(f"of uniforms of {uniform:.8g}", task.observe(one)) for one in (state, following)]
    for when, observation in seen:
        for name, space, batch in parts(task.observation_space, observation):
            require(isinstance(batch, Tensor), f"{name} {when} must be a tensor; got {type(batch).__name__}")
            require(batch.shape[:1] == (BATCH,), f"{name} {when} must be ({BATCH}, ...); got {tuple(batch.shape)}")
            whole = isinstance(space, spaces.Discrete | spaces.MultiDiscrete)
            require(not whole or batch.dtype == torch.int64, f"{name} {when} must be int64; got {batch.dtype}")
            inside(space, batch, name, when)


def bare(task: Task[Any]) -> Task[Any]:
    """What somebody wrote, inside of a trial or of one player's view."""
    return task.task if isinstance(task, Trial) else task.game if isinstance(task, Versus) else task
