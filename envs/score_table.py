"""What random and expert play return: the shipped table, and the command that remakes it.

``python -m palaestra.envs.score_table [NAME ...]`` plays every variant of the named environments, or of all that are
registered, and rewrites ``scores.json``.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from ..neural_blocks.errors import unknown_name
from .adapters.batched import BatchedEnv
from .core.actions import random_action
from .core.task import NoExpert
from .registry import OWN, make_task, task_class

TABLE = Path(__file__).with_name("scores.json")
EPISODES, PARALLEL, SEED = 16384, 4096, 2**40  # a seed range that no training run starts from
PLAYED = 2048  # episodes of an environment of somebody else's, whose steps may be slow


@dataclass(frozen=True)
class Scores:
    """Reference returns of one environment with one set of options.

    Attributes:
        random: mean return of uniformly random actions.
        random_error: its standard error.
        expert: mean return of the task's expert, or of the reference that stands in for it; NaN where there is neither.
        expert_error: its standard error.
        episodes: episodes each mean is taken over; 0 where the task states them.
    """

    random: float
    random_error: float
    expert: float
    expert_error: float
    episodes: int


def key(id: str, options: dict[str, Any]) -> str:
    """The table's key: the id and the options in a fixed order."""
    return f"{id} {json.dumps(options, sort_keys=True)}" if options else id


@lru_cache
def _table() -> dict[str, dict[str, Any]]:
    return json.loads(TABLE.read_text()) if TABLE.exists() else {}


def scores(id: str, **options: Any) -> Scores:
    """Random and expert return of an environment: from the shipped table, what the task states, or played now.

    Raises:
        InvalidInput: an unknown id or option.
    """
    if key(id, options) in _table():
        row = _table()[key(id, options)].items()
        known: dict[str, Any] = {name: math.nan if value is None else value for name, value in row}
        return Scores(**known)
    task = make_task(id, **options)
    if task.random_return is not None and task.expert_return is not None:
        return Scores(task.random_return, 0.0, task.expert_return, 0.0, 0)
    return _played(id, json.dumps(options, sort_keys=True), EPISODES if id in OWN else PLAYED)


@lru_cache
def _played(id: str, options: str, episodes: int) -> Scores:
    return measure(id, json.loads(options), episodes)


def measure(id: str, options: dict[str, Any], episodes: int = EPISODES) -> Scores:
    """Plays random and expert episodes of an id."""
    random = _returns(id, options, "random", episodes)
    try:
        expert = _returns(id, options, "expert", episodes)
    except NoExpert:
        expert = torch.full_like(random, torch.nan)
    return Scores(*_mean_and_error(random), *_mean_and_error(expert), episodes=len(random))


def _mean_and_error(returns: torch.Tensor) -> tuple[float, float]:
    return round(float(returns.mean()), 6), round(float(returns.std()) / math.sqrt(len(returns)), 6)


def _returns(id: str, options: dict[str, Any], policy: str, episodes: int) -> torch.Tensor:
    """The first episode's return in each of `episodes` environments, float64."""
    parallel = min(PARALLEL, episodes)
    generator = torch.Generator().manual_seed(0)
    chunks = []
    for first in range(0, episodes, parallel):
        env = BatchedEnv(make_task(id, **options), parallel, seed=SEED + first)
        env.reset()
        total, running = torch.zeros(parallel, dtype=torch.float64), torch.ones(parallel, dtype=torch.bool)
        while bool(running.any()):
            action = env.expert_action() if policy == "expert" else random_action(env.action_space, parallel, generator)
            step = env.step(action)
            total += step.reward.double() * running
            running &= ~step.done
        chunks.append(total)
    return torch.cat(chunks)


def remake(names: Sequence[str] = ()) -> None:
    """Plays every variant of the named environments, or of all, and rewrites their rows of the table.

    Raises:
        InvalidInput: an unknown name.
    """
    known = {id.removeprefix("palaestra/").removesuffix("-v0"): id for id in OWN}
    for name in names:
        if name not in known:
            raise unknown_name("environment", name, known)
    table = {}
    for name, id in known.items():
        for options in ({}, *task_class(id).variants):
            row = _table().get(key(id, options))
            if not names or name in names or row is None:
                measured = asdict(measure(id, options))
                row = {name: None if math.isnan(value) else value for name, value in measured.items()}
                print(key(id, options), row, flush=True)
            table[key(id, options)] = row
    TABLE.write_text(json.dumps(table, indent=1, sort_keys=True, allow_nan=False) + "\n")


if __name__ == "__main__":
    remake(sys.argv[1:])
