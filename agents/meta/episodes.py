"""Learning from whole episodes: the loop that MAML and the metric learners share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from ...envs.core.protocol import BatchedEnvironment, TimeStep
from ...envs.core.tree import take
from ...neural_blocks.errors import InvalidInput
from ..core.agent import Agent, Report
from ..core.config import AgentConfig
from ..core.rollout import EpisodeStatistics, continued_statistics


class EpisodeLearnerConfig(AgentConfig):
    """Settings of every learner from whole episodes.

    Attributes:
        learning_rate: of Adam.
        anneal: let the learning rate fall linearly to 0 over the run.
        rollout_steps: T, steps of an episode, or of a trial of several.
        tasks: episodes or trials in a gradient step.
    """

    learning_rate: float = Field(1e-3, gt=0)
    anneal: bool = False
    rollout_steps: int = Field(25, ge=1)
    tasks: int = Field(25, ge=1)


@dataclass(frozen=True)
class Episodes:
    """What one whole episode of T steps gave in each of B environments.

    Attributes:
        reward: (T, B).
        done: (T, B) bool, true at the last step only.
        metrics: named (T, B) values of the environment, NaN where there is none.
    """

    reward: Tensor
    done: Tensor
    metrics: dict[str, Tensor]


class EpisodeLearner(Agent):
    """Plays one whole episode in every environment, learns from them a few at a time, and so on.

    Subclasses say what is collected and what the loss is.

    Attributes:
        network: what is learned.
        beside: parameters that are learned and do not belong to the network.
    """

    Config: ClassVar[type[AgentConfig]] = EpisodeLearnerConfig
    network: nn.Module
    beside: nn.ParameterList

    def optimise(self, network: nn.Module, beside: list[nn.Parameter]) -> None:
        """Takes the network and the parameters beside it, and makes their optimiser; `build` ends with it."""
        self.network, self.beside = network.to(self.device), nn.ParameterList(beside)
        self.parameters = [*self.network.parameters(), *self.beside]
        self.optimiser = torch.optim.Adam(self.parameters, lr=self.config.learning_rate, fused=True)
        self.statistics: EpisodeStatistics | None = None

    @abstractmethod
    def collect(self, env: BatchedEnvironment) -> tuple[Any, list[TimeStep]]:
        """One whole episode in every environment: what `loss` takes, a tuple of (B, ...), and the T steps."""

    @abstractmethod
    def loss(self, *batch: Any) -> Tensor:
        """Of some of the environments that `collect` played in."""

    def learn(self, env: BatchedEnvironment, steps: int) -> Iterator[Report]:
        """Learns until it has taken `steps` environment steps in all; yields one report per iteration.

        Episodes are played whole: environments that stand within one are reset.

        Raises:
            InvalidInput: episodes that do not all end after `rollout_steps` steps.
        """
        self.attach(env)
        while self.steps < steps:
            if self.config.anneal:
                for group in self.optimiser.param_groups:
                    group["lr"] = self.config.learning_rate * (1 - self.steps / steps)
            if env.started and not bool(env.episode_start.all()):
                env.reset()
            self.statistics = continued_statistics(self.statistics, env)
            batch, taken = self.collect(env)
            episodes = self._whole(taken, env)
            order = torch.arange(env.num_envs, device=self.device).split(self.config.tasks)
            losses = [self.update(*take(batch, rows)) for rows in order]
            self.steps += len(taken) * env.num_envs
            yield self.statistics.report(self.steps, episodes, {"policy_loss": torch.stack(losses).mean()})

    def _whole(self, taken: list[TimeStep], env: BatchedEnvironment) -> Episodes:
        """The steps side by side, if they are one whole episode."""
        done = torch.stack([step.done for step in taken])
        if bool(done[:-1].any()) or not bool(done[-1].all()):
            raise InvalidInput(
                f"{type(self.config).__name__}: rollout_steps must be the steps of a whole episode or trial; got "
                f"{len(taken)}, and {env.name} has another length"
            )
        return Episodes(
            reward=torch.stack([step.reward for step in taken]),
            done=done,
            metrics={name: torch.stack([step.metrics[name] for step in taken]) for name in taken[0].metrics},
        )

    def update(self, *batch: Any) -> Tensor:
        """One step of Adam on the loss, which it returns."""
        loss = self.loss(*batch)
        for parameter in self.parameters:
            parameter.grad = None
        loss.backward()
        self.optimiser.step()
        return loss.detach()

    def state_dict(self) -> dict[str, Any]:
        """Weights and optimiser beside the base's counters; between two iterations no episode is under way."""
        return super().state_dict() | {
            "network": self.network.state_dict(),
            "beside": self.beside.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues exactly where a saved agent stood."""
        super().load_state_dict(state)
        self.network.load_state_dict(state["network"])
        self.beside.load_state_dict(state["beside"])
        self.optimiser.load_state_dict(state["optimiser"])
