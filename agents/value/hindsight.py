"""Hindsight: what was done is replayed as if what it led to had been wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, Self

import gymnasium.spaces as spaces
import torch
from pydantic import Field, model_validator
from torch import Tensor

from ...envs.core.protocol import BatchedEnvironment
from ...neural_blocks.errors import InvalidInput
from ..core.config import AgentConfig
from ..core.randomness import REPLAY, Randomness
from ..learning.replay import Batch, Replay

ACHIEVED, DESIRED = "achieved_goal", "desired_goal"
GoalOutcome = Callable[[Tensor, Tensor], tuple[Tensor, Tensor | None]]


class HindsightConfig(AgentConfig):
    """Settings of hindsight, for environments whose observation is a Dict with `achieved_goal` and `desired_goal`.

    Attributes:
        hindsight: goals that replayed steps are given in place of their own (Andrychowicz et al., 2017): what was
            achieved at a step of the same episode, drawn from that one on, "future", or at its last one, "final"; null
            for none. Not with a memory, priorities, or sums over several steps.
        hindsight_share: of the replayed steps, how many get another goal.
    """

    hindsight: Literal["future", "final"] | None = None
    hindsight_share: float = Field(0.8, ge=0, le=1)

    @model_validator(mode="after")
    def _hindsight_of_single_steps(self) -> Self:
        for name, only in (("memory", None), ("priority_exponent", 0), ("n_step", 1)):
            if self.hindsight is not None and getattr(self, name, only) != only:
                raise ValueError(f"hindsight {self.hindsight!r} needs {name} {only}; got {getattr(self, name)!r}")
        return self


def require_goals(name: str, space: spaces.Space[Any]) -> None:
    """Raises `InvalidInput` for observations that tell no goals; `name` is the agent's, for the message."""
    parts = space.spaces if isinstance(space, spaces.Dict) else {}
    achieved, desired = parts.get(ACHIEVED), parts.get(DESIRED)
    if achieved is None or desired is None or achieved.shape != desired.shape or achieved.dtype != desired.dtype:
        raise InvalidInput(
            f"{name}: hindsight needs observations with the parts {ACHIEVED!r} and {DESIRED!r}, of one shape; got "
            f"{' '.join(str(space).split()):.160}"
        )


def outcome_of(name: str, env: BatchedEnvironment, compiled: bool) -> GoalOutcome:
    """How environments judge other goals, see `HindsightReplay`; `compiled`, as a part of an update's program.

    Raises:
        InvalidInput: they do not, or cannot be compiled.
    """
    found: GoalOutcome | None = getattr(env, "goal_outcome", None)
    if found is None:
        raise InvalidInput(f"{name}: hindsight needs environments that tell the reward of other goals; got {env.name}")
    if compiled and not hasattr(env, "advance"):
        raise InvalidInput(f"{name}: hindsight in foreign environments needs execution 'eager'; got 'compiled'")
    return found


class HindsightReplay(Replay):
    """Replay whose steps are given other goals as they are drawn, and the reward and the end that these would have had.

    An episode that still goes on ends, for this, with its newest step. Arguments and attributes as of `Replay`, in one
    process and without sequences.

    Args:
        strategy: "future" or "final", see `HindsightConfig`.
        share: of the steps, how many get another goal.

    Attributes:
        outcome: of the environments, from goals achieved (N, ...) and desired (N, ...) to rewards (N,) and, or None,
            whether the episode terminates (N,); None until it is told.
    """

    outcome: GoalOutcome | None = None

    def __init__(self, capacity: int, num_envs: int, device: torch.device, strategy: str, share: float) -> None:
        super().__init__(capacity, num_envs, device)
        self.strategy, self.share = strategy, share

    def _ends(self) -> Tensor:
        """(L, B) int64: of the step of each age, counted from the oldest one, the age of its episode's last step."""
        kept = self._kept()
        age = torch.arange(self.length, device=self.device)
        slot = (age + self.written - kept) % self.length
        done = (self._steps.terminated | self._steps.truncated)[slot]
        last = torch.where(done | (age == kept - 1).unsqueeze(1), age.unsqueeze(1), self.length)
        return last.flip(0).cummin(0).values.flip(0)

    def sample(self, size: int, gamma: float, steps: int, randomness: Randomness) -> Batch:
        """Single transitions, uniformly and with replacement, some of them with another goal; see `Replay.sample`."""
        assert self.outcome is not None
        kept = self._kept()
        drawn = randomness.integers(REPLAY, 1, size, kept * self.num_envs)[0]
        noise = randomness.uniform(REPLAY, 2, size)  # (2, N)
        batch: Any = self.batch(drawn, gamma, 1, None)
        age, env = drawn // self.num_envs, drawn % self.num_envs
        left = self._ends()[age, env] - age  # (N,) steps of the episode after this one
        ahead = left if self.strategy == "final" else torch.minimum((noise[0].double() * (left + 1)).long(), left)
        slot = (age + ahead + self.written - kept) % self.length
        other = self._rows(self._steps.next_observation[ACHIEVED], slot, env)
        own = batch.observation[DESIRED][0]
        again = noise[1] < self.share  # (N,)
        goal = torch.where(again.view(-1, *[1] * (own.ndim - 1)), other, own)
        reward, terminated = self.outcome(batch.next_observation[ACHIEVED][0], goal)
        discount = batch.discount[0]
        if terminated is not None:
            discount = torch.where(again, gamma * (~terminated).to(discount.dtype), discount)
        return replace(
            batch,
            observation={**batch.observation, DESIRED: goal.unsqueeze(0)},
            next_observation={**batch.next_observation, DESIRED: goal.unsqueeze(0)},
            reward=torch.where(again, reward.to(batch.reward.dtype), batch.reward[0]).unsqueeze(0),
            discount=discount.unsqueeze(0),
        )
