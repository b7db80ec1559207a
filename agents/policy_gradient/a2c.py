"""Advantage actor-critic (Mnih et al., 2016, synchronous), feed-forward or recurrent."""

from __future__ import annotations

from typing import Any

import gymnasium.spaces as spaces
from pydantic import Field
from torch import Tensor

from ...envs.core.task import Observation
from ...neural_blocks.errors import InvalidInput
from ..core.agent import Memory
from ..core.processes import mean
from ..learning.losses import value_error
from ..learning.optimisation import Optimiser
from ..learning.rollout import Rollout, sequences
from .actor_critic import ActorCriticAgent, ActorCriticConfig
from .estimators import Estimator, QActorCritic, weights


class A2CConfig(ActorCriticConfig):
    """Settings of A2C: those of every actor-critic, with the paper's optimiser and its own defaults.

    Attributes:
        estimator: what an action's log-probability is weighed with (Sutton et al., 2000; Schulman et al., 2016): the
            "advantage" of `gae_lambda`; "td_error", r + gamma V' - V; without a baseline "td_target", r + gamma V', or
            the "return" of `gae_lambda`; or "q", the value of the action itself by a critic that has one for each of a
            Discrete space.
    """

    optimiser: Optimiser = "rmsprop"
    learning_rate: float = Field(7e-4, gt=0)
    rollout_steps: int = Field(8, ge=1)
    gae_lambda: float = Field(1.0, ge=0, le=1)
    estimator: Estimator = "advantage"


class A2C(ActorCriticAgent):
    """Advantage actor-critic: one policy-gradient step on each short rollout."""

    name = "a2c"
    Config = A2CConfig
    side_by_side = True

    def build(self) -> None:
        """The actor-critic's parts, and how the loss is run."""
        if self.config.estimator == "q":
            if not isinstance(self.action_space, spaces.Discrete) or self.config.network != "perceptron":
                raise InvalidInput(
                    f"a2c: estimator 'q' needs a Discrete action space and the network 'perceptron'; got "
                    f"{self.action_space} and {self.config.network!r}"
                )
            if self.config.ensemble > 1:
                raise InvalidInput(f"a2c: estimator 'q' needs an ensemble of 1; got {self.config.ensemble}")
            if self.config.told_apart:
                raise InvalidInput("a2c: estimator 'q' goes without invariance and importance")
            self.network_kind = QActorCritic
        super().build()
        self.run_loss = self.compiled(self.loss)

    def update(self, rollout: Rollout, advantage: Tensor) -> dict[str, Tensor]:
        """One gradient step on the whole rollout."""
        target = advantage + rollout.value[:-1]
        credit = self.weighed(weights(self.config.estimator, rollout, advantage, self.config.gamma), rollout)
        steps = (rollout.observation, rollout.start, rollout.action, credit, target)
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
        if isinstance(self.network, QActorCritic):
            parameters, values, _ = self.network.actions(observation, memory, start)
            value = values.gather(-1, action.unsqueeze(-1)).squeeze(-1)
            advantage = value.detach()
        else:
            parameters, value, _ = self.network(observation, memory, start)
        policy_loss = -mean(self.policy.log_prob(parameters, action) * advantage, weight)
        value_loss = mean(value_error(config.value_error, value, target), weight)
        entropy = mean(self.policy.entropy(parameters), weight)
        loss = policy_loss + config.value_coefficient * value_loss - self.entropy_weight * entropy
        if (unlike := self.unlike(parameters, attacked, start)) is not None:
            loss = loss + mean(unlike, weight)
        parts = {"policy_loss": policy_loss, "value_loss": value_loss, "entropy": entropy}
        return loss, {name: part.detach() for name, part in parts.items()}
