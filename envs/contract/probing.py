"""What the checks of a contract share: actions, plays, states some steps into an episode, comparisons."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from torch import Tensor

from ...neural_blocks.findings import Fault
from ..adapters.batched import BatchedEnv
from ..core.actions import action_dtype
from ..core.task import NoExpert, Task
from ..core.tree import leaves, take

BATCH, STEPS = 5, 20


def sample_actions(task: Task[Any], steps: int, batch: int = BATCH, seed: int = 0) -> list[Tensor]:
    """(B, ...) random actions of the task's space, one tensor a step."""
    space = copy.deepcopy(task.action_space)
    space.seed(seed)
    dtype = action_dtype(space)
    return [torch.as_tensor(np.stack([space.sample() for _ in range(batch)])).to(dtype) for _ in range(steps)]


def play(env: BatchedEnv, actions: list[Tensor], seed: int | None = None) -> list[Tensor]:
    """Everything that an agent sees of some steps."""
    seen = leaves(env.reset(seed))
    for action in actions:
        seen += leaves(env.step(action))
    return [tensor.clone() for tensor in seen]


def same(first: list[Tensor], second: list[Tensor]) -> bool:
    """Whether two lists of tensors are equal, NaN included."""
    return len(first) == len(second) and all(
        a.dtype == b.dtype and a.shape == b.shape and torch.allclose(a, b, rtol=0, atol=0, equal_nan=True)
        for a, b in zip(first, second, strict=True)
    )


def parts(space: spaces.Space[Any], observation: Any, name: str = "observation") -> Iterator[tuple[str, Any, Any]]:
    """The name, space and batch of an observation's parts: of a Dict's entries, or the whole."""
    if not isinstance(space, spaces.Dict):
        yield name, space, observation
    elif not isinstance(observation, dict) or observation.keys() != space.spaces.keys():
        got = sorted(observation) if isinstance(observation, dict) else type(observation).__name__
        raise Fault(f"{name} must be a dict with the keys {sorted(space.spaces)} of its space; got {got}")
    else:
        for key, part in space.items():
            yield from parts(part, observation[key], f"{name} {key!r}")


def walked(task: Task[Any]) -> tuple[Any, Tensor, Tensor]:
    """A state some steps into the episode, an action for it and its noise."""
    env = BatchedEnv(task, BATCH, seed=3, autoreset=AutoresetMode.DISABLED)
    env.reset()
    for action in sample_actions(task, min(3, task.horizon - 1)):
        env.step(action)
        if bool(env.ended.any()):  # an action may end an episode early
            env.reset(rows=env.ended.nonzero().squeeze(1))
    noise = torch.rand(BATCH, task.step_noise, generator=torch.Generator().manual_seed(1))
    return env.state, sample_actions(task, 1, seed=2)[0], noise


def expert_of(task: Task[Any], state: Any) -> Tensor | None:
    """(B, ...) the expert's actions; None where there is none."""
    try:
        return task.expert(state)
    except NoExpert:
        return None


def require(fact: bool, told: str) -> None:
    """Raises a fault unless something is so."""
    if not fact:
        raise Fault(told)


def clones(tree: Any) -> list[Tensor]:
    """Copies of a tree's tensors."""
    return [tensor.clone() for tensor in (tree if isinstance(tree, list) else leaves(tree))]


def inside(space: spaces.Space[Any], batch: Tensor, name: str, when: str) -> None:
    """Raises a fault for the first row of a batch that lies outside its space."""
    for row in range(len(batch)):
        value = take(batch, row).cpu().numpy()[()]
        if not space.contains(value):
            got = " ".join(np.array2string(np.asarray(value), threshold=6, precision=5).split())
            raise Fault(f"{name} {when} must lie in {space}; got {value.dtype} {value.shape} {got}")
