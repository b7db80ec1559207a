"""Adaptation: what each episode of a trial brings, where an agent plays several on one problem."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...agents.core.agent import Agent
from ...agents.core.whole_file import write_text
from ...envs.core.protocol import BatchedEnvironment
from ...envs.core.trial import Trial
from ..seeds import EVALUATION_SEED, SEED_SPAN
from .folder import ADAPTATION, RunFolder
from .plan import Plan


@torch.no_grad()
def returns_within_trials(agent: Agent, env: BatchedEnvironment, seed: int) -> Tensor:
    """The mean return of the first episode of a trial, of the second, ...; (episodes,), over a trial in each row.

    Args:
        agent: plays greedily, with the memory that it has.
        env: B environments of a `Trial`.
        seed: of the environments and of the agent's own choices.
    """
    task: Any = getattr(env, "task", None)
    agent.attach(env)
    with agent.apart(seed):
        env.reset(seed)
        memory, rows = agent.initial_memory(env.num_envs), torch.arange(env.num_envs, device=env.device)
        returns = torch.zeros(env.num_envs, task.episodes, device=env.device)
        playing = torch.ones(env.num_envs, dtype=torch.bool, device=env.device)
        state: Any = env
        for _ in range(task.horizon):
            at = state.state.episode.clone()
            action, memory = agent.act(env.observation, memory, env.episode_start, greedy=True)
            step = env.step(action)
            returns[rows, at] += torch.where(playing, step.reward, 0.0)
            playing &= ~step.done
    return returns.mean(0)


def keep_adaptation(plan: Plan, folder: RunFolder, agent: Agent, env: BatchedEnvironment) -> None:
    """Keeps the returns within the evaluation's trials, where it has trials; that it cannot is a warning."""
    if not isinstance(getattr(env, "task", None), Trial):
        return
    try:
        found = returns_within_trials(agent, env, EVALUATION_SEED + plan.seed * SEED_SPAN)
        told = {"trials": env.num_envs, "returns": found.tolist()}
        folder.require()
        write_text(folder.path / ADAPTATION, json.dumps(told, allow_nan=False) + "\n")
    except Exception as error:  # the result stands
        warnings.warn(f"no adaptation was kept: {type(error).__name__}: {error}", RuntimeWarning, stacklevel=2)


def read_adaptation(folder: Path) -> list[float] | None:
    """The mean returns by episode that a run has kept; None where it has none."""
    try:
        found = json.loads((folder / ADAPTATION).read_text(encoding="utf-8"))["returns"]
        return [float(value) for value in found] or None
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return None
