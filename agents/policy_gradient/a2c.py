"""Advantage actor-critic (Mnih et al., 2016, synchronous), feed-forward or recurrent."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from torch import Tensor

from ...envs.core.task import Observation
from ..core.agent import Memory
from ..core.processes import mean
from ..learning.losses import value_error
from ..learning.optimisation import Optimiser
from ..learning.rollout import Rollout, sequences
from .actor_critic import ActorCriticAgent, ActorCriticConfig


class A2CConfig(ActorCriticConfig):
    """Settings of A2C: those of every actor-critic, with the paper's optimiser and its own defaults."""

    optimiser: Optimiser = "rmsprop"
    learning_rate: float = Field(7e-4, gt=0)
    rollout_steps: int = Field(8, ge=1)
    gae_lambda: float = Field(1.0, ge=0, le=1)


class A2C(ActorCriticAgent):
    """Advantage actor-critic: one policy-gradient step on each short rollout."""

    name = "a2c"
    Config = A2CConfig
    side_by_side = True

    def build(self) -> None:
        """The actor-critic's parts, and how the loss is run."""
        super().build()
        self.run_loss = self.compiled(self.loss)

    def update(self, rollout: Rollout, advantage: Tensor) -> dict[str, Tensor]:
        """One gradient step on the whole rollout."""
        target = advantage + rollout.value[:-1]
        steps = (rollout.observation, rollout.start, rollout.action, advantage, target)
        memory = tuple(part.flatten(0, 1) for part in rollout.memory)
        batch: tuple[Any, ...] = sequences(steps, self.chunk)  # each (L, N, ...)
        observation, start, action, advantage, _ = batch
        rows = self.rows(observation, start)
        observation, attacked = self.learned_from(observation, start, action, advantage)
        observation, *batch, attacked = self.spread(rows, (observation, *batch[1:], attacked))
        alike = self.processes.alike(batch[0].shape[1], self.device)
        loss, losses = self.run_loss(observation, *batch, memory, alike, attacked)
        return losses | {"gradient_norm": self.minimise(loss, *losses.values())}

    def loss(
        self,
        observation: Observation,
        start: Tensor,
        action: Tensor,
        advantage: Tensor,
        target: Tensor,
        memory: Memory,
        weight: Tensor | None = None,
        attacked: Observation | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of sequences (L, N, ...) that weigh (N,) in its means, and its parts for the report."""
        config = self.config
        parameters, value, _ = self.network(observation, memory, start)
        policy_loss = -mean(self.policy.log_prob(parameters, action) * advantage, weight)
        value_loss = mean(value_error(config.value_error, value, target), weight)
        entropy = mean(self.policy.entropy(parameters), weight)
        loss = policy_loss + config.value_coefficient * value_loss - self.entropy_weight * entropy
        if (unlike := self.unlike(parameters, attacked, start)) is not None:
            loss = loss + mean(unlike, weight)
        parts = {"policy_loss": policy_loss, "value_loss": value_loss, "entropy": entropy}
        return loss, {name: part.detach() for name, part in parts.items()}
