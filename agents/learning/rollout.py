"""Rollouts: T steps of B environments, their advantages, and the sequences an update learns from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...envs.core.protocol import BatchedEnvironment, TimeStep
from ...envs.core.task import Observation
from ...envs.core.tracing import row_by_row
from ...envs.core.tree import tree_map
from ..networks.network import ActorCritic, Memory
from .execution import Interaction


@dataclass(frozen=True)
class Rollout:
    """What T steps of B environments gave.

    Attributes:
        observation: (T, B, ...) what was acted on.
        start: (T, B) bool, the first observation of an episode.
        action: (T, B, ...) raw actions, as the policy's distribution has them.
        log_prob: (T, B) of the action when it was taken.
        value: (T + 1, B) of each observation and of the one after the last.
        reward: (T, B).
        terminated: (T, B) bool.
        truncated: (T, B) bool.
        final_value: (T, B) the value of the final observation where an episode was truncated, 0 elsewhere.
        memory: the memory before each chunk of `chunk` steps, each part (T / chunk, B, H).
        metrics: named (T, B) values of the environment, NaN where there is none.
    """

    observation: Observation
    start: Tensor
    action: Tensor
    log_prob: Tensor
    value: Tensor
    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    final_value: Tensor
    memory: Memory
    metrics: dict[str, Tensor]

    @property
    def done(self) -> Tensor:
        """(T, B) bool: an episode ended with this step."""
        return self.terminated | self.truncated


class Seen(NamedTuple):
    """What acting keeps of one step of B environments: what was acted on, and how."""

    observation: Any
    start: Tensor
    parameters: Tensor
    action: Tensor
    value: Tensor


class Collector:
    """Collects rollouts in a batch of environments with a network for policy and value.

    Args:
        env: where; it must have been reset.
        network: gives the policy's parameters and the values.
        policy: the action space's distribution.
        interaction: makes how a step is run from the environments and the choice; None for eagerly.
    """

    def __init__(
        self,
        env: BatchedEnvironment,
        network: ActorCritic,
        policy: Any,
        interaction: Callable[..., Interaction] = Interaction,
    ) -> None:
        self.env, self.network, self.policy = env, network, policy
        self._interaction = interaction(env, self._choose)

    def _choose(self, observation: Observation, memory: Memory, start: Tensor, noise: Tensor) -> Any:
        parameters, value, memory = self.network.act(observation, memory, start)
        action = self.policy.sample(parameters, noise)
        return self.policy.to_env(action), memory, Seen(observation, start, parameters, action, value)

    @torch.no_grad()
    def collect(self, memory: Memory, noise: Tensor, chunk: int = 1) -> tuple[Rollout, Memory]:
        """Acts for T steps, a multiple of `chunk`, in every environment.

        Args:
            memory: the network's memory before the first step.
            noise: (T, B, noise) uniforms, which the policy's actions are made from.
            chunk: keep the memory at every chunk-th step, for sequences of that length.

        Returns:
            The rollout, and the memory after it.
        """
        env, network, policy = self.env, self.network, self.policy
        kept, outcomes, memories, final_values = [], [], [], []
        nothing = torch.zeros(env.num_envs, dtype=torch.float32, device=env.device)
        never = torch.zeros(env.num_envs, dtype=torch.bool, device=env.device)
        for time in range(len(noise)):
            if time % chunk == 0:
                memories.append(memory)
            memory, seen, outcome = self._interaction.step(memory, noise[time])
            kept.append(seen)
            outcomes.append(outcome)
            if row_by_row(env.device) and not bool(outcome.truncated.any()):
                final_values.append(nothing)
            else:
                final = network.act(outcome.final_observation, memory, never)[1]
                final_values.append(torch.where(outcome.truncated, final, nothing))
        last = network.act(env.observation, memory, env.episode_start)[1]
        observation, start, parameters, action, value = stacked(*kept)
        taken: TimeStep = stacked(*map(without_observations, outcomes))
        rollout = Rollout(
            observation=observation,
            start=start,
            action=action,
            log_prob=policy.log_prob(parameters, action),
            value=torch.cat([value, last.unsqueeze(0)]),
            reward=taken.reward,
            terminated=taken.terminated,
            truncated=taken.truncated,
            final_value=torch.stack(final_values),
            memory=stacked(*memories),
            metrics=taken.metrics,
        )
        return rollout, memory


def without_observations(step: TimeStep) -> TimeStep:
    """What a step gave beside observations, which are kept elsewhere or not at all."""
    return replace(step, observation={}, final_observation={})


def stacked(*steps: Any) -> Any:
    """Trees of (B, ...) of T steps as one of (T, B, ...)."""
    return tree_map(lambda *parts: torch.stack(parts), *steps)


def generalised_advantage(rollout: Rollout, gamma: float, gae_lambda: float) -> Tensor:
    """(T, B) advantages (Schulman et al., 2016): the discounted sum of one-step errors within each episode.

    The value that follows a step is 0 where the task terminated, that of the final observation where the time ran out,
    and that of the next observation elsewhere.
    """
    following = torch.where(rollout.done, rollout.final_value, rollout.value[1:])
    errors = rollout.reward + gamma * following - rollout.value[:-1]  # (T, B)
    decay = gamma * gae_lambda * (~rollout.done).to(errors.dtype)
    advantage = torch.empty_like(errors)
    later = torch.zeros_like(errors[0])
    for time in range(len(errors) - 1, -1, -1):
        later = torch.addcmul(errors[time], decay[time], later)
        advantage[time] = later
    return advantage


def sequences(tree: Any, chunk: int) -> Any:
    """Cuts (T, B, ...) into (chunk, T / chunk * B, ...): sequences side by side, in the order of `Rollout.memory`."""

    def cut(tensor: Tensor) -> Tensor:
        steps, batch, *rest = tensor.shape
        parts = tensor.view(steps // chunk, chunk, batch, *rest).transpose(0, 1)
        return parts.reshape(chunk, steps // chunk * batch, *rest)

    return tree_map(cut, tree)
