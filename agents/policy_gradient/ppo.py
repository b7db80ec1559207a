"""Proximal policy optimisation (Schulman et al., 2017), feed-forward or recurrent."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ...envs.core.tree import tree_map
from ..core.config import AgentConfig
from ..core.randomness import ORDER
from ..learning.optimisers import adam
from ..learning.rollout import Rollout, sequences
from .actor_critic import ActorCriticAgent, ActorCriticConfig


class PPOConfig(ActorCriticConfig):
    """Settings of PPO beside those of every actor-critic.

    Attributes:
        epochs: passes over each rollout.
        minibatches: parts of about the same size that each pass cuts the rollout into, of two steps at the least; with
            a memory, of two whole sequences.
        clip: how far the probability ratio may move before its gradient stops.
        normalise_advantage: zero mean and unit deviation within a minibatch.
    """

    epochs: int = Field(4, ge=1)
    minibatches: int = Field(4, ge=1)
    clip: float = Field(0.2, gt=0)
    normalise_advantage: bool = True


class PPO(ActorCriticAgent):
    """Proximal policy optimisation: several epochs of clipped policy gradient on each rollout."""

    name = "ppo"
    Config: ClassVar[type[AgentConfig]] = PPOConfig

    def build(self) -> None:
        """The actor-critic's parts, and how the loss is run."""
        super().build()
        self.run_loss = self.compiled(self.loss)

    def make_optimiser(self) -> torch.optim.Optimizer:
        """Adam, as in the paper."""
        return adam(self.parameters, self.config.learning_rate, eps=1e-5)

    def update(self, rollout: Rollout, advantage: Tensor) -> dict[str, Tensor]:
        """Epochs of minibatches of sequences; returns the mean of each loss."""
        target = advantage + rollout.value[:-1]
        steps = (rollout.observation, rollout.start, rollout.action, rollout.log_prob, advantage, target)
        batch: tuple[Any, Any, Any, Any, Any, Any] = sequences(steps, self.chunk)  # each (L, N, ...)
        memory = tuple(part.flatten(0, 1) for part in rollout.memory)  # each (N, H)
        count = batch[1].shape[1]
        parts = max(1, min(self.config.minibatches, count // 2))
        losses = []
        for order in self.randomness.permutations(ORDER, self.config.epochs, count):
            for rows in order.tensor_split(parts):
                part = tree_map(lambda tensor, rows=rows: tensor.index_select(1, rows), batch)
                loss, numbers = self.run_loss(*part, tuple(piece[rows] for piece in memory))
                losses.append(torch.cat([numbers, self.minimise(loss).reshape(1)]))
        names = ("policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction", "gradient_norm")
        return dict(zip(names, torch.stack(losses).mean(0), strict=True))

    def loss(
        self,
        observation: Tensor,
        start: Tensor,
        action: Tensor,
        old_log_prob: Tensor,
        advantage: Tensor,
        target: Tensor,
        memory: tuple[Tensor, ...],
    ) -> tuple[Tensor, Tensor]:
        """The clipped objective of sequences (L, N, ...): the loss, and its parts for the report."""
        config = self.config
        parameters, value, _ = self.network(observation, memory, start)
        log_ratio = self.policy.log_prob(parameters, action) - old_log_prob  # (L, N)
        ratio = log_ratio.exp()
        if config.normalise_advantage and advantage.numel() > 1:
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        clipped = ratio.clamp(1 - config.clip, 1 + config.clip)
        policy_loss = -torch.min(ratio * advantage, clipped * advantage).mean()
        value_loss = 0.5 * (value - target).square().mean()
        # at a coefficient of 0 it is only reported
        entropy = self.policy.entropy(parameters if config.entropy_coefficient else parameters.detach()).mean()
        loss = policy_loss + config.value_coefficient * value_loss - config.entropy_coefficient * entropy
        with torch.no_grad():
            approx_kl = (ratio - 1 - log_ratio).mean()
            clip_fraction = ((ratio - 1).abs() > config.clip).float().mean()
            return loss, torch.stack([policy_loss, value_loss, entropy, approx_kl, clip_fraction])
