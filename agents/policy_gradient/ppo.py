"""Proximal policy optimisation (Schulman et al., 2017), feed-forward or recurrent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ...envs.core.task import Observation
from ...envs.core.tree import tree_map
from ..core.agent import Memory
from ..core.config import AgentConfig
from ..core.processes import mean
from ..core.randomness import ORDER
from ..learning.losses import value_error
from ..learning.rollout import Rollout, sequences
from .actor_critic import ActorCriticAgent, ActorCriticConfig
from .estimators import OfRollouts, weights

NUMBERS = ("policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction", "gradient_norm")
KL = NUMBERS.index("approx_kl")


class PPOConfig(ActorCriticConfig):
    """Settings of PPO beside those of every actor-critic.

    Attributes:
        epochs: passes over each rollout.
        minibatches: parts of about the same size that each pass cuts the rollout into, of two steps at the least; with
            a memory, of two whole sequences.
        clip: how far the probability ratio may move before its gradient stops.
        clip_end: what that has become at the end of the run, linearly; null where it stays.
        value_clip: how far a value may move from what it was in the rollout before its error is only the larger of both
            (Engstrom et al., 2020); null for any way.
        target_kl: no step is taken any more on a rollout from whose policy the present one is further away than this,
            in nats; null for no bound.
        normalise_advantage: zero mean and unit deviation within a minibatch, of whatever stands for the advantage.
        estimator: what stands for the advantage (Sutton et al., 2000; Schulman et al., 2016): the "advantage" of
            `gae_lambda`; "td_error", r + gamma V' - V; or without a baseline "td_target", r + gamma V', or the "return"
            of `gae_lambda`.
    """

    epochs: int = Field(4, ge=1)
    minibatches: int = Field(4, ge=1)
    clip: float = Field(0.2, gt=0)
    clip_end: float | None = Field(None, gt=0)
    value_clip: float | None = Field(None, gt=0)
    target_kl: float | None = Field(None, gt=0)
    normalise_advantage: bool = True
    estimator: OfRollouts = "advantage"


class PPO(ActorCriticAgent):
    """Proximal policy optimisation: several epochs of clipped policy gradient on each rollout.

    Each pass takes the sequences of all environments in one random order, cut into minibatches. Where several processes
    learn together all of them draw that same order, and of each minibatch take the sequences of their own environments:
    a changing number, about the same. Means over a minibatch, also of its advantages, are those of the whole.
    """

    name = "ppo"
    Config: ClassVar[type[AgentConfig]] = PPOConfig
    side_by_side: ClassVar[bool] = True

    def build(self) -> None:
        """The actor-critic's parts, and how the loss is run."""
        super().build()
        self.run_loss = self.loss_within(self.loss)
        self.minibatch = self.updating(self._minibatch, lambda: [self.optimiser])
        self.near = torch.ones((), dtype=torch.bool, device=self.device)  # the policy is near that of the rollout

    def update(self, rollout: Rollout, advantage: Tensor) -> dict[str, Tensor]:
        """Epochs of minibatches of sequences; returns the mean of each loss."""
        value = rollout.value[:-1]
        credit = self.weighed(weights(self.config.estimator, rollout, advantage, self.config.gamma), rollout)
        held = None if self.config.value_clip is None else value
        steps = (rollout.observation, rollout.start, rollout.action, rollout.log_prob, credit, advantage + value, held)
        batch: tuple[Any, ...] = sequences(steps, self.chunk)  # each (L, N, ...)
        memory = tuple(part.flatten(0, 1) for part in rollout.memory)  # each (N, H)
        whole = sequences(self.processes.gather(credit, 1), self.chunk)  # (L, sequences of all processes)
        count = self.processes.count(batch[1].shape[1])
        parts = max(1, min(self.config.minibatches, count // 2))
        losses = []
        self.near.fill_(True)
        for order in self.randomness.permutations(ORDER, self.config.epochs, count):
            for rows in order.tensor_split(parts):
                own, weight = self.processes.columns(rows, advantage.shape[1])
                among = None if weight is None else whole.index_select(1, rows)
                losses.append(self.minibatch(batch, memory, own, weight, among))
        return dict(zip(NUMBERS, torch.stack(losses).mean(0), strict=True))

    def _minibatch(
        self, batch: Any, memory: Memory, own: Tensor, weight: Tensor | None, among: Tensor | None
    ) -> Tensor:
        """A step on the loss of the sequences at those places (M,) of a batch (L, N, ...); its numbers (6,)."""
        part = tree_map(lambda tensor: tensor.index_select(1, own), batch)
        observation, start, action, _, advantage, *_ = part
        rows, attacked = self.rows(observation, start), None
        if self.adversary is not None:
            observation, attacked = self.learned_from(observation, start, action, self._normalised(advantage, among))
        observation, *part, attacked = self.spread(rows, (observation, *part[1:], attacked))
        remembered = tuple(piece[own] for piece in memory)
        loss, numbers = self.run_loss(observation, *part, remembered, weight, among, attacked)
        norm = self.minimise(loss, numbers, going=self._still_near(numbers))
        return torch.cat([numbers, norm.unsqueeze(0)])

    def _normalised(self, advantage: Tensor, among: Tensor | None) -> Tensor:
        """Advantages (L, N) by the mean and deviation of all of the minibatch (L, M), if the settings say so."""
        among = advantage if among is None else among
        if self.config.normalise_advantage and among.numel() > 1:
            return (advantage - among.mean()) / (among.std() + 1e-8)
        return advantage

    def _still_near(self, numbers: Tensor) -> Callable[[], Tensor] | None:
        """Whether () the policy has stayed near that of the rollout, up to the minibatch that these numbers are of."""
        bound = self.config.target_kl
        return None if bound is None else lambda: self.near.logical_and_(numbers[KL] <= bound)

    def loss(
        self,
        observation: Tensor,
        start: Tensor,
        action: Tensor,
        old_log_prob: Tensor,
        advantage: Tensor,
        target: Tensor,
        before: Tensor | None,
        memory: tuple[Tensor, ...],
        weight: Tensor | None = None,
        among: Tensor | None = None,
        attacked: Observation | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The clipped objective of sequences (L, N, ...): the loss, and its parts for the report.

        Where they are a process's share of a minibatch, `weight` (N,) is theirs in its means, and `among` (L, M) are
        its advantages; `attacked` (L, N, ...) is to be answered as the observations are. `before` (L, N) are the values
        in the rollout; only a `value_clip` asks.
        """
        config = self.config
        parameters, value, _ = self.network(observation, memory, start)
        log_ratio = self.policy.log_prob(parameters, action) - old_log_prob  # (L, N)
        ratio = log_ratio.exp()
        advantage = self._normalised(advantage, among)
        clip = self.between(config.clip, config.clip_end)
        clipped = ratio.clamp(1 - clip, 1 + clip)
        policy_loss = -mean(torch.min(ratio * advantage, clipped * advantage), weight)
        errors = value_error(config.value_error, value, target)
        if config.value_clip is not None and before is not None:
            held = before + (value - before).clamp(-config.value_clip, config.value_clip)
            errors = torch.maximum(errors, value_error(config.value_error, held, target))
        value_loss = mean(errors, weight)
        # at a coefficient of 0 it is only reported
        weighs = config.entropy_coefficient or config.entropy_end
        entropy = self.policy.entropy(parameters if weighs else parameters.detach())
        entropy = mean(entropy, weight)
        loss = policy_loss + config.value_coefficient * value_loss - self.entropy_weight * entropy
        if (unlike := self.unlike(parameters, attacked, start)) is not None:
            loss = loss + mean(unlike, weight)
        with torch.no_grad():
            approx_kl = mean(ratio - 1 - log_ratio, weight)
            clip_fraction = mean(((ratio - 1).abs() > clip).float(), weight)
            return loss, torch.stack([policy_loss, value_loss, entropy, approx_kl, clip_fraction])
