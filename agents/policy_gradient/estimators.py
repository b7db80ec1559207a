"""What a policy's gradient weighs the probability of an action with: the critic's part in an actor-critic."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from ...envs.core.task import Observation
from ..learning.rollout import Rollout
from ..networks.network import ActorCritic, Memory

OfRollouts = Literal["advantage", "td_error", "td_target", "return"]
Estimator = Literal[OfRollouts, "q"]


def weights(estimator: str, rollout: Rollout, advantage: Tensor, gamma: float) -> Tensor:
    """(T, B) weights of the actions of a rollout.

    Args:
        estimator: "advantage", generalised; "td_error", r + gamma V' - V; "td_target", r + gamma V'; "return", the
            advantage and the value. ("q" is the network's own.)
        rollout: T steps of B environments.
        advantage: (T, B) generalised.
        gamma: discount.
    """
    value = rollout.value[:-1]
    if estimator == "return":
        return advantage + value
    following = torch.where(rollout.done, rollout.final_value, rollout.value[1:])
    target = rollout.reward + gamma * following
    return {"td_target": target, "td_error": target - value}.get(estimator, advantage)


class QActorCritic(ActorCritic):
    """An actor-critic whose critic values each of A actions; a state's value is their mean under the policy.

    Arguments as of `ActorCritic`, for a policy that chooses one of A actions.
    """

    def __init__(self, observation_space: Any, policy_size: int, **settings: Any) -> None:
        super().__init__(observation_space, policy_size, **settings)
        self.critic = self.head(policy_size)

    def actions(self, observation: Observation, memory: Memory, start: Tensor) -> tuple[Tensor, Tensor, Memory]:
        """Logits (T, B, A), the values (T, B, A) of the actions, and the memory after the last step."""
        features, memory = self.features(observation, memory, start)
        return self.parameters_of(features, observation), self.critic(features), memory

    def forward(self, observation: Observation, memory: Memory, start: Tensor) -> Any:
        """Logits (T, B, A), values (T, B) and the memory after the last step."""
        logits, values, memory = self.actions(observation, memory, start)
        return logits, (logits.softmax(-1) * values).sum(-1), memory
