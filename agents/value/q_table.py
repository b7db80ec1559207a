"""Tabular Q-learning (Watkins and Dayan, 1992) and TD(0) evaluation (Sutton, 1988), in many environments at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import gymnasium.spaces as spaces
import torch
from pydantic import Field
from torch import Tensor

from ...envs.core.protocol import BatchedEnvironment, TimeStep
from ...envs.core.task import Observation
from ...neural_blocks.errors import InvalidInput
from ..core.agent import Memory, Report
from ..core.randomness import ACT
from ..core.thought import Thought
from ..learning.exploration import NOISE, ExplorationConfig, chances, explore
from ..learning.learner import Learner
from ..learning.rollout import stacked, without_observations
from ..learning.statistics import Numbers


class QTableConfig(ExplorationConfig):
    """Settings of tabular Q-learning beside those of exploring.

    Attributes:
        learning_rate: how far a value moves towards its target on the first visit.
        decay: exponent: the rate falls as visits ** -decay; 0 for a constant rate, 1 for the plain average.
        rollout_steps: steps of every environment between two reports.
        gamma: discount.
        q_evaluation: what follows is worth the mean over the actions of the policy that explores, so that policy is
            valued: expected SARSA (van Seijen et al., 2009); else the best action's value: Q-learning.
    """

    learning_rate: float = Field(1.0, gt=0, le=1)
    decay: float = Field(0.6, ge=0, le=1)
    rollout_steps: int = Field(100, ge=1)
    gamma: float = Field(0.99, ge=0, le=1)
    q_evaluation: bool = False


class QTable(Learner):
    """Tabular Q-learning: a table of the value of each action in each state, updated at every step."""

    name = "q_table"
    Config = QTableConfig
    observation_spaces: ClassVar = (spaces.Discrete,)
    action_spaces: ClassVar = (spaces.Discrete,)
    observation_space: spaces.Discrete
    action_space: spaces.Discrete

    def build(self) -> None:
        """A table of zeros."""
        shape = int(self.observation_space.n), int(self.action_space.n)
        self.values = torch.zeros(shape, dtype=torch.float32, device=self.device)  # (S, A)
        self.visits = torch.zeros(shape, dtype=torch.float32, device=self.device)
        self.progress = torch.zeros((), dtype=torch.float32, device=self.device)

    def act(
        self, observation: Observation, memory: Memory = (), start: Tensor | None = None, *, greedy: bool = False
    ) -> tuple[Tensor, Memory]:
        """The best actions (B,), or ones that explore as the agent does now; see `Agent.act`."""
        values = self.values[_from_zero(observation, self.observation_space)]  # (B, A)
        if greedy:
            return values.argmax(-1) + int(self.action_space.start), memory
        noise = self.randomness.uniform(ACT, len(values), NOISE)
        return explore(values, self.config, self.progress, noise) + int(self.action_space.start), memory

    def think(self, observation: Observation, memory: Memory = (), start: Tensor | None = None) -> Thought:
        """The value of each action, and of the best one."""
        values = self.values[_from_zero(observation, self.observation_space)]
        return Thought(None, values, values.max(-1).values)

    def prepare(self, env: BatchedEnvironment) -> None:
        """How a step in these environments is run."""
        self.step = self.interaction(env, self._choose)

    def _choose(self, observation: Observation, memory: Memory, start: Tensor, noise: Tensor) -> Any:
        """An action that explores; what is kept is what it was chosen for."""
        values = self.values[_from_zero(observation, self.observation_space)]
        action = explore(values, self.config, self.progress, noise) + int(self.action_space.start)
        return action, memory, (observation, action)

    def learn(self, env: BatchedEnvironment, steps: int) -> Iterator[Report]:
        """Learns until it has taken `steps` environment steps in all; yields one report per iteration.

        It goes on in the environments as they stand; those that were never reset are.
        """
        self.enter(env, steps)
        while self.steps < steps:
            self.progress.fill_(self.steps / steps)
            numbers = self.run(self._iterate)
            self.steps += self.config.rollout_steps * env.num_envs
            yield self.report(numbers)

    def _iterate(self) -> Numbers:
        """Some steps in every environment, each learned from at once."""
        assert self.statistics is not None
        outcomes, errors = [], []
        for _ in range(self.config.rollout_steps):
            noise = self.randomness.uniform(ACT, self.step.env.num_envs, NOISE)
            _, (observation, action), outcome = self.step.step((), noise)
            errors.append(self.update(observation, action, outcome))
            outcomes.append(without_observations(outcome))
        return self.statistics.gather(stacked(*outcomes), {"td_error": torch.stack(errors).mean()})

    def update(self, observation: Observation, action: Tensor, outcome: TimeStep) -> Tensor:
        """Moves the values of the pairs (B,) that were visited; returns the mean size of their errors."""
        state = _from_zero(observation, self.observation_space)
        pair = state * int(self.action_space.n) + _from_zero(action, self.action_space)
        following = self.values[_from_zero(outcome.final_observation, self.observation_space)]  # (B, A)
        if self.config.q_evaluation:
            following = (chances(following, self.config, self.progress) * following).sum(-1)
        else:
            following = following.max(-1).values
        target = outcome.reward + self.config.gamma * following * ~outcome.terminated
        error = target - self.values.view(-1)[pair]
        move(self.values, self.visits, pair, error, self.config.learning_rate, self.config.decay)
        return error.abs().mean()

    def changing(self) -> list[Tensor]:
        """The table and its visits beside the base's tensors."""
        return [*super().changing(), self.values, self.visits]

    def state_dict(self) -> dict[str, Any]:
        """The table and its visits beside the base's state."""
        return super().state_dict() | {
            "values": self.values.clone(),
            "visits": self.visits.clone(),
            "progress": float(self.progress),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues exactly where a saved agent stood."""
        super().load_state_dict(state)
        self.values, self.visits = state["values"].to(self.device), state["visits"].to(self.device)
        self.progress.fill_(state["progress"])


def td_evaluation(
    env: BatchedEnvironment,
    policy: Callable[[Tensor], Tensor],
    steps: int,
    *,
    gamma: float = 0.99,
    learning_rate: float = 1.0,
    decay: float = 0.6,
) -> Tensor:
    """The value of each state under a policy, estimated by TD(0).

    Args:
        env: environments of a Discrete observation space; they are reset.
        policy: observations (B,) int64 to actions (B,).
        steps: environment steps to learn from, over all environments.
        gamma: discount.
        learning_rate: how far a value moves towards its target on the first visit.
        decay: exponent: the rate falls as visits ** -decay.

    Returns:
        (S,) float32; 0 for a state that was never visited.

    Raises:
        InvalidInput: another observation space.
    """
    space = env.observation_space
    if not isinstance(space, spaces.Discrete):
        raise InvalidInput(f"td_evaluation: observation space must be Discrete; got {space}")
    values, visits = torch.zeros(2, int(space.n), dtype=torch.float32, device=env.device)
    observation: Any = env.reset()
    for _ in range(steps // env.num_envs):
        outcome = env.step(policy(observation))
        state, following = _from_zero(observation, space), _from_zero(outcome.final_observation, space)
        target = outcome.reward + gamma * values[following] * ~outcome.terminated
        move(values, visits, state, target - values[state], learning_rate, decay)
        observation = outcome.observation
    return values


def _from_zero(value: Any, space: spaces.Discrete) -> Tensor:
    """Values (B,) of a Discrete space, counted from 0."""
    return value - int(space.start)


def move(values: Tensor, visits: Tensor, index: Tensor, error: Tensor, learning_rate: float, decay: float) -> None:
    """Moves entries of a table by the mean of their errors, as far as that many updates one after the other would.

    Args:
        values: the table, changed in place.
        visits: how often each entry was updated before, changed in place.
        index: (B,) int64, entries of the flattened table; the same one may stand several times.
        error: (B,) target minus value.
        learning_rate: on the first visit.
        decay: exponent of its fall with the visits.
    """
    flat, seen = values.view(-1), visits.view(-1)
    count = torch.zeros_like(flat).index_add_(0, index, torch.ones_like(error))
    total = torch.zeros_like(flat).index_add_(0, index, error)
    seen += count
    rate = learning_rate * seen.clamp(min=1) ** -decay
    flat += (1 - (1 - rate) ** count) * total / count.clamp(min=1)
