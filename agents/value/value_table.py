"""Policy evaluation by tables: TD(0) (Sutton, 1988) and every-visit Monte Carlo, in many environments at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import gymnasium.spaces as spaces
import torch
from pydantic import Field
from torch import Tensor

from ...envs.core.actions import action_noise, action_of
from ...envs.core.protocol import BatchedEnvironment, TimeStep
from ...envs.core.task import Observation
from ..classical.expert import Expert
from ..core.agent import Memory, Report
from ..core.config import AgentConfig
from ..core.randomness import ACT
from ..core.thought import Thought
from ..learning.learner import Learner
from ..learning.rollout import stacked, without_observations
from ..learning.statistics import Numbers
from .q_table import move


class ValueTableConfig(AgentConfig):
    """Settings of evaluating a policy.

    Attributes:
        policy: that is followed and valued: uniformly "random", or the task's "expert".
        method: "td", each value moves towards the reward and the next state's value; or "monte_carlo", it is the mean
            of the discounted returns from each visit on, of episodes that have ended.
        learning_rate: of "td", how far a value moves towards its target on the first visit.
        decay: of "td", exponent: the rate falls as visits ** -decay; 0 for a constant rate, 1 for the plain average.
        rollout_steps: steps of every environment between two reports.
        gamma: discount.
    """

    policy: Literal["random", "expert"] = "random"
    method: Literal["td", "monte_carlo"] = "td"
    learning_rate: float = Field(1.0, gt=0, le=1)
    decay: float = Field(0.6, ge=0, le=1)
    rollout_steps: int = Field(100, ge=1)
    gamma: float = Field(0.99, ge=0, le=1)


class ValueTable(Learner):
    """A table of what each state is worth under a policy that it follows.

    Its `value` is that of the state where it stands. An episode that time cuts off is bootstrapped by TD(0); for Monte
    Carlo it ends there, and what comes after is 0.

    Attributes:
        values: (S,) float32, of each state, counted from 0.
        visits: (S,) float32, how many targets each has had.
    """

    name = "value_table"
    Config = ValueTableConfig
    observation_spaces: ClassVar = (spaces.Discrete,)
    observation_space: spaces.Discrete

    def build(self) -> None:
        """A table of zeros."""
        self.values, self.visits = torch.zeros(
            2, int(self.observation_space.n), dtype=torch.float32, device=self.device
        )
        self.expert = Expert(self.observation_space, self.action_space, device=self.device)
        self.episodes: tuple[Tensor, ...] = ()

    def attach(self, env: BatchedEnvironment, steps: int | None = None) -> None:
        """Acts in these environments from now on."""
        super().attach(env, steps)
        self.expert.attach(env)

    def act(
        self, observation: Observation, memory: Memory = (), start: Tensor | None = None, *, greedy: bool = False
    ) -> tuple[Tensor, Memory]:
        """The policy's actions (B, ...), greedy or not; see `Agent.act`."""
        if self.config.policy == "expert":
            return self.expert.act(observation, memory, start)
        noise = self.randomness.uniform(ACT, len(self._place(observation)), action_noise(self.action_space))
        return action_of(self.action_space, noise), memory

    def think(self, observation: Observation, memory: Memory = (), start: Tensor | None = None) -> Thought:
        """The state's value."""
        return Thought(None, None, self.values[self._place(observation)])

    def _place(self, observation: Any) -> Tensor:
        """(B,) int64 the state, counted from 0."""
        place: Tensor = observation - int(self.observation_space.start)
        return place

    def prepare(self, env: BatchedEnvironment) -> None:
        """How a step in these environments is run."""
        self.step = self.interaction(env, self._follow)

    def _follow(self, observation: Observation, memory: Memory, start: Tensor, action: Tensor) -> Any:
        """The policy's action; what is kept is where it was taken."""
        return action, memory, observation

    def learn(self, env: BatchedEnvironment, steps: int) -> Iterator[Report]:
        """Learns until it has taken `steps` environment steps in all; yields one report per iteration.

        It goes on in the environments as they stand; those that were never reset are.

        Raises:
            NoExpert: the policy is the expert's, and the task has none.
        """
        if self.enter(env, steps) or not self.episodes:
            shape = (env.num_envs, len(self.values))
            self.episodes = tuple(torch.zeros(3, *shape, dtype=torch.float32, device=self.device))
        while self.steps < steps:
            numbers = self.run(self._iterate)
            self.steps += self.config.rollout_steps * env.num_envs
            yield self.report(numbers)

    @torch.no_grad()
    def _iterate(self) -> Numbers:
        """Some steps in every environment, each learned from at once, or where its episode has ended."""
        assert self.statistics is not None
        update = self._by_difference if self.config.method == "td" else self._by_return
        outcomes, errors, values = [], [], []
        for _ in range(self.config.rollout_steps):
            env = self.step.env
            action, _ = self.act(env.observation, (), env.episode_start)
            _, observation, outcome = self.step.step((), action)
            place = self._place(observation)
            values.append(self.values[place].mean())
            errors.append(update(place, outcome))
            outcomes.append(without_observations(outcome))
        numbers = {"value_error": torch.stack(errors).mean(), "value": torch.stack(values).mean()}
        return self.statistics.gather(stacked(*outcomes), numbers)

    def _by_difference(self, place: Tensor, outcome: TimeStep) -> Tensor:
        """TD(0) for the states (B,) that were visited; returns the mean size of their errors."""
        following = self.values[self._place(outcome.final_observation)] * ~outcome.terminated
        error = outcome.reward + self.config.gamma * following - self.values[place]
        move(self.values, self.visits, place, error, self.config.learning_rate, self.config.decay)
        return error.abs().mean()

    def _by_return(self, place: Tensor, outcome: TimeStep) -> Tensor:
        """The mean of all returns so far, from those of the episodes that end with this step; likewise.

        Of each episode and state it keeps what a reward now counts for its visits so far, (B, S), their returns up to
        now, summed, and how many they are.
        """
        weight, total, count = self.episodes
        weight.mul_(self.config.gamma)
        here = place.unsqueeze(1)
        ones = torch.ones_like(here, dtype=weight.dtype)
        weight.scatter_add_(1, here, ones)
        count.scatter_add_(1, here, ones)
        total.addcmul_(weight, outcome.reward.unsqueeze(1))
        done = outcome.done.unsqueeze(1)
        visits, returns = (torch.where(done, part, 0).sum(0) for part in (count, total))
        error = returns - visits * self.values
        self.visits += visits
        self.values += error / self.visits.clamp(min=1)
        for part in self.episodes:
            part.masked_fill_(done, 0)
        return error.abs().sum() / visits.sum().clamp(min=1)

    def changing(self) -> list[Tensor]:
        """Table, visits and running episodes beside the base's tensors."""
        return [*super().changing(), self.values, self.visits, *self.episodes]

    def state_dict(self) -> dict[str, Any]:
        """Table, visits and running episodes beside the base's state."""
        own = {"values": self.values.clone(), "visits": self.visits.clone()}
        return super().state_dict() | own | {"episodes_by_state": [part.clone() for part in self.episodes]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues exactly where a saved agent stood."""
        super().load_state_dict(state)
        self.values, self.visits = state["values"].to(self.device), state["visits"].to(self.device)
        self.episodes = tuple(part.to(self.device) for part in state["episodes_by_state"])
