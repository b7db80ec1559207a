"""Recorded steps as offline learners draw them, and a recording of their own making where none was given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...envs.core.actions import action_noise, action_of
from ...envs.core.protocol import BatchedEnvironment
from ...envs.core.task import Observation
from ...envs.core.tree import tree_map
from ...neural_blocks.errors import InvalidInput
from ..core.randomness import ACT, Randomness
from ..imitation.demonstrations import Demonstration


@dataclass(frozen=True)
class Steps:
    """N steps without an order.

    Attributes:
        observation: (N, ...) what was acted on.
        action: (N, ...) the raw action, as the policy's distribution has it.
        reward: (N,) float32.
        discount: (N,) float32 of what follows: 0 where the task terminated.
        next_observation: (N, ...) what the step led to.
    """

    observation: Observation
    action: Tensor
    reward: Tensor
    discount: Tensor
    next_observation: Observation


def steps_of(name: str, told: Demonstration, raw: Callable[[Tensor], Tensor], gamma: float) -> Steps:
    """The steps of a demonstration (T, B, ...), T B of them.

    Args:
        name: the learner's, for messages.
        told: what was done, with its rewards.
        raw: raw actions (N, ...) of labels (N, ...).
        gamma: discount.

    Raises:
        InvalidInput: a demonstration that tells no rewards.
    """
    if told.reward is None or told.terminated is None or told.following is None:
        raise InvalidInput(f"{name}: demonstrations must tell their rewards; those given do not")
    seen, following = (_flat(part) for part in (told.observation, told.following))
    discount = gamma * (~told.terminated.flatten(0, 1)).to(torch.float32)
    return Steps(seen, raw(told.label.flatten(0, 1)), told.reward.flatten(0, 1), discount, following)


def _flat(seen: Observation) -> Observation:
    """(T, B, ...) as (T B, ...)."""
    return tree_map(lambda part: part.flatten(0, 1), seen)


@torch.no_grad()
def record(env: BatchedEnvironment, steps: int, share: float, randomness: Randomness) -> Demonstration:
    """What T steps of the task's expert in that share of the environments, and of random play in the others, bring.

    Args:
        env: it is reset before and after.
        steps: T.
        share: of the environments, the first ones, in which the expert plays.
        randomness: of random play.

    Raises:
        NoExpert: the task has no expert, and one is to play.
    """
    env.reset()
    expert = torch.arange(env.num_envs, device=env.device) < round(share * env.num_envs)
    rows: list[Demonstration] = []
    for _ in range(steps):
        action = action_of(env.action_space, randomness.uniform(ACT, env.num_envs, action_noise(env.action_space)))
        if share > 0:
            best = env.expert_action()
            action = torch.where(expert.view(-1, *[1] * (best.ndim - 1)), best, action.to(best.dtype))
        seen, start = env.observation, env.episode_start
        outcome = env.step(action)
        rows.append(Demonstration(seen, start, action, outcome.reward, outcome.terminated, outcome.final_observation))
    env.reset()
    whole: Demonstration = tree_map(lambda *parts: torch.stack(parts), *rows)
    return whole
