"""Observations gathered to learn from, without labels: what a player sees in the environments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...envs.core.protocol import BatchedEnvironment
from ...envs.core.task import Observation
from ...envs.core.tree import tree_map
from ...neural_blocks.errors import InvalidInput
from ..core.agent import Agent
from ..core.randomness import REPLAY, Randomness
from ..learning.rollout import stacked
from .method import Method


@dataclass(frozen=True)
class Gathered:
    """T steps of B environments.

    Attributes:
        observation: (T, B, ...) what was acted on.
        start: (T, B) bool, the first of an episode.
        final: (T, B, ...) what the step led to, before any reset.
        done: (T, B) bool: an episode ended with the step.
    """

    observation: Observation
    start: Tensor
    final: Observation
    done: Tensor


@torch.no_grad()
def gather(
    env: BatchedEnvironment,
    player: Agent,
    samples: int,
    seed: int,
    on_part: Callable[[int, int], None] = lambda *_: None,
) -> Gathered:
    """Plays for at least so many observations.

    Args:
        env: B environments; they are reset.
        player: who acts; greedily.
        samples: observations.
        seed: of row 0, and of the player's choices.
        on_part: told how many are there, and of how many.
    """
    player.attach(env)
    env.reset(seed)
    steps, memory = -(-samples // env.num_envs), player.initial_memory(env.num_envs)
    seen = []
    with player.apart(seed):
        for number in range(1, steps + 1):
            observation, start = tree_map(torch.clone, env.observation), env.episode_start.clone()
            action, memory = player.act(observation, memory, start, greedy=True)
            step = env.step(action)
            seen.append((observation, start, tree_map(torch.clone, step.final_observation), step.done.clone()))
            on_part(number * env.num_envs, steps * env.num_envs)
    return Gathered(*stacked(*seen))


class Batches:
    """Random batches of what was gathered, as a method reads them.

    Args:
        gathered: from which they are drawn.
        method: that reads them.

    Raises:
        InvalidInput: too little for one: no episode that ended, or fewer steps than a sequence has.
    """

    def __init__(self, gathered: Gathered, method: Method) -> None:
        self.method, self.start = method, gathered.start
        self.whole = method.own(gathered.observation)
        steps, rows = gathered.start.shape
        self.first = torch.zeros(0, dtype=torch.int64, device=gathered.start.device)
        if method.reads == "finals":
            self.first = gathered.done.flatten().nonzero().squeeze(1)
            self.whole = method.own(gathered.final)
            if len(self.first) < 2:
                raise InvalidInput(f"{method.name}: samples must be more: only {len(self.first)} episodes have ended")
        elif method.reads == "sequences" and steps < method.length:
            least = method.length * rows
            raise InvalidInput(f"{method.name}: samples must be at least {least}, for {rows} sequences of its length")

    def draw(self, count: int, randomness: Randomness) -> Any:
        """`count` rows, sequences or last observations, drawn anew with each call."""
        steps, rows = self.start.shape
        if self.method.reads == "sequences":
            length = self.method.length
            first = randomness.integers(REPLAY, 1, count, steps - length + 1)[0]  # (N,)
            row = randomness.integers(REPLAY, 1, count, rows)[0]
            time = first + torch.arange(length, device=first.device).unsqueeze(1)  # (L, N)
            start = self.start[time, row]
            start[0] = True
            return tree_map(lambda part: part[time, row], self.whole), start
        among = steps * rows if self.method.reads == "rows" else len(self.first)
        index = randomness.integers(REPLAY, 1, count, among)[0]
        index = index if self.method.reads == "rows" else self.first[index]
        return tree_map(lambda part: part.flatten(0, 1)[index], self.whole)
