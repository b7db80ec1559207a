"""Advantage actor-critic (Mnih et al., 2016, synchronous), feed-forward or recurrent."""

from __future__ import annotations

import torch
from torch import Tensor

from ..core.rollout import Rollout, sequences
from .actor_critic import ActorCriticAgent, ActorCriticConfig


class A2CConfig(ActorCriticConfig):
    """Settings of A2C: those of every actor-critic, with its own defaults."""

    learning_rate: float = 7e-4
    rollout_steps: int = 8
    gae_lambda: float = 1.0


class A2C(ActorCriticAgent):
    """Advantage actor-critic: one policy-gradient step on each short rollout."""

    name = "a2c"
    Config = A2CConfig

    def make_optimiser(self) -> torch.optim.Optimizer:
        """RMSprop, as in the paper."""
        return torch.optim.RMSprop(self.parameters, lr=self.config.learning_rate, alpha=0.99, eps=1e-5)

    def update(self, rollout: Rollout, advantage: Tensor) -> dict[str, Tensor]:
        """One gradient step on the whole rollout."""
        config = self.config
        target = advantage + rollout.value[:-1]
        observation, start, action, advantage, target = sequences(
            (rollout.observation, rollout.start, rollout.action, advantage, target), self.chunk
        )
        memory = tuple(part.flatten(0, 1) for part in rollout.memory)
        parameters, value, _ = self.network(observation, memory, start)
        policy_loss = -(self.policy.log_prob(parameters, action) * advantage).mean()
        value_loss = 0.5 * (value - target).square().mean()
        entropy = self.policy.entropy(parameters).mean()
        self.minimise(policy_loss + config.value_coefficient * value_loss - config.entropy_coefficient * entropy)
        names = ("policy_loss", "value_loss", "entropy")
        return dict(zip(names, (policy_loss.detach(), value_loss.detach(), entropy.detach()), strict=True))
