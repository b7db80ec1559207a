"""Learned policies as opponents in a game: frozen copies, and a pool of them."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import torch
from torch import Tensor, nn

from ...envs.core.game import Opponent
from ...envs.core.task import Observation
from ...envs.core.tree import take
from ...neural_blocks.errors import InvalidInput
from ..networks.distributions import Bernoulli, Categorical, DiagonalGaussian
from ..policy_gradient.actor_critic import ActorCriticAgent


class FrozenPolicy(Opponent):
    """A copy of an actor-critic's policy as it is now, which draws its actions from the game's noise.

    Args:
        agent: whose policy; without a memory, and for a Discrete, MultiBinary or Box action space.

    Raises:
        InvalidInput: an agent with a memory, or of another action space.
    """

    def __init__(self, agent: ActorCriticAgent) -> None:
        super().__init__()
        if agent.network.memory is not None:
            raise InvalidInput(f"an opponent's policy must be without a memory; got one with {agent.config.memory!r}")
        if not isinstance(agent.policy, Bernoulli | Categorical | DiagonalGaussian):
            raise InvalidInput(
                f"an opponent's action space must be Discrete, MultiBinary or Box; got {agent.action_space}"
            )
        self.network, self.policy = copy.deepcopy(agent.network), copy.deepcopy(agent.policy)
        self.noise = self.policy.noise
        self.requires_grad_(False)

    def forward(self, observation: Observation, noise: Tensor) -> Tensor:
        """Actions (B, ...) of the action space, from uniforms (B, `noise`)."""
        never = torch.zeros(len(noise), dtype=torch.bool, device=noise.device)
        parameters = self.network.act(observation, (), never)[0]  # (B, size)
        return self.policy.to_env(self.policy.sample(parameters, noise))


class Pool(Opponent):
    """Several policies of one player, each playing against an equal share of the environments.

    Attributes:
        policies: from the oldest to the newest; never empty.
    """

    def __init__(self, first: FrozenPolicy, limit: int) -> None:
        super().__init__()
        self.policies, self.limit, self.noise = nn.ModuleList([first]), limit, first.noise

    def add(self, policy: FrozenPolicy) -> bool:
        """A newer policy; beyond the limit the oldest one goes, and the weights move in place.

        Returns:
            Whether the pool has grown: what was captured or compiled with it is then out of date.
        """
        if len(self.policies) < self.limit:
            self.policies = nn.ModuleList([*self.policies, policy])
            return True
        for older, newer in itertools.pairwise([*self.policies, policy]):
            older.load_state_dict(newer.state_dict())
        return False

    def forward(self, observation: Observation, noise: Tensor) -> Tensor:
        """Actions (B, ...): the first rows by the oldest policy, the last by the newest."""
        shares = torch.arange(len(noise), device=noise.device).tensor_split(len(self.policies))
        chosen = [
            policy(take(observation, rows), noise[rows])
            for policy, rows in zip(self.policies, shares, strict=True)
            if len(rows)
        ]
        return torch.cat(chosen)

    def saved(self) -> list[dict[str, Any]]:
        """The weights of every policy."""
        return [policy.state_dict() for policy in self.policies]

    def restore(self, saved: list[dict[str, Any]]) -> None:
        """Takes over saved policies."""
        policies = [copy.deepcopy(self.policies[0]) for _ in saved]
        for policy, weights in zip(policies, saved, strict=True):
            policy.load_state_dict(weights)
        self.policies = nn.ModuleList(policies)
