"""Rollouts: T steps of B environments, their advantages, and the sequences an update learns from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ...envs.core.protocol import BatchedEnvironment
from ...envs.core.task import Observation
from ...envs.core.tree import tree_map
from .agent import Report
from .network import ActorCritic, Memory


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


@torch.no_grad()
def collect(
    env: BatchedEnvironment,
    network: ActorCritic,
    policy: Any,
    steps: int,
    memory: Memory,
    generator: torch.Generator,
    chunk: int = 1,
) -> tuple[Rollout, Memory]:
    """Acts for `steps` steps in every environment.

    Args:
        env: where; it must have been reset.
        network: gives the policy's parameters and the values.
        policy: the action space's distribution.
        steps: T, a multiple of `chunk`.
        memory: the network's memory before the first step.
        generator: of the actions.
        chunk: keep the memory at every chunk-th step, for sequences of that length.

    Returns:
        The rollout, and the memory after it.
    """
    seen, starts, policies, actions, values, outcomes = [], [], [], [], [], []
    memories: list[Memory] = []
    final_values: list[Tensor] = []
    nothing = torch.zeros(env.num_envs, device=env.device)
    never = torch.zeros(env.num_envs, dtype=torch.bool, device=env.device)
    observation, start = env.observation, env.episode_start
    for time in range(steps):
        if time % chunk == 0:
            memories.append(memory)
        parameters, value, memory = network.act(observation, memory, start)
        action = policy.sample(parameters, generator)
        outcome = env.step(policy.to_env(action))
        seen.append(observation)
        starts.append(start)
        policies.append(parameters)
        actions.append(action)
        values.append(value)
        outcomes.append(outcome)
        if env.device.type == "cpu" and not bool(outcome.truncated.any()):
            final_values.append(nothing)
        else:
            final = network.act(outcome.final_observation, memory, never)[1]
            final_values.append(torch.where(outcome.truncated, final, nothing))
        observation, start = outcome.observation, outcome.done
    values.append(network.act(observation, memory, start)[1])
    taken = torch.stack(actions)
    rollout = Rollout(
        observation=tree_map(lambda *parts: torch.stack(parts), *seen),
        start=torch.stack(starts),
        action=taken,
        log_prob=policy.log_prob(torch.stack(policies), taken),
        value=torch.stack(values),
        reward=torch.stack([outcome.reward for outcome in outcomes]),
        terminated=torch.stack([outcome.terminated for outcome in outcomes]),
        truncated=torch.stack([outcome.truncated for outcome in outcomes]),
        final_value=torch.stack(final_values),
        memory=tree_map(lambda *parts: torch.stack(parts), *memories),
        metrics={name: torch.stack([outcome.metrics[name] for outcome in outcomes]) for name in outcomes[0].metrics},
    )
    return rollout, memory


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


class Outcomes(Protocol):
    """What `EpisodeStatistics` reads of T steps of B environments."""

    @property
    def reward(self) -> Tensor:
        """(T, B)."""

    @property
    def metrics(self) -> dict[str, Tensor]:
        """Named (T, B) values, NaN where there is none."""

    @property
    def done(self) -> Tensor:
        """(T, B) bool: an episode ended with this step."""


class EpisodeStatistics:
    """Returns and lengths of the episodes that end, kept on the device and read once per iteration."""

    def __init__(self, num_envs: int, device: torch.device) -> None:
        self.running = torch.zeros(2, num_envs, device=device)  # return and length of the current episodes

    def update(self, rollout: Outcomes) -> Tensor:
        """(3 + M,) the sum of returns, the sum of lengths, the number of ended episodes, and M mean metrics."""
        gained = torch.stack([rollout.reward, torch.ones_like(rollout.reward)])  # (2, T, B)
        closed = rollout.done.flip(0).cumsum(0).flip(0) > 0  # (T, B) the step's episode ends within the rollout
        ended = (gained * closed).sum(1) + self.running * closed[0]  # (2, B)
        self.running = (gained * ~closed).sum(1) + self.running * ~closed[0]
        means = [torch.nanmean(values) for values in rollout.metrics.values()]
        return torch.stack([*ended.sum(1), rollout.done.sum(), *means])

    def report(self, steps: int, rollout: Outcomes, losses: dict[str, Tensor]) -> Report:
        """What `Agent.learn` yields: the mean return and length of the episodes that ended, metrics and losses.

        It is the one place where an iteration reads from the device. A mean over nothing is left out.
        """
        numbers = [self.update(rollout), *(loss.reshape(1) for loss in losses.values())]
        total, length, episodes, *rest = torch.cat(numbers).tolist()
        report = {"steps": float(steps), "episodes": episodes}
        if episodes:
            report |= {"return": total / episodes, "length": length / episodes}
        named = dict(zip([*rollout.metrics, *losses], rest, strict=True))
        return report | {name: value for name, value in named.items() if name in losses or not math.isnan(value)}


def continued_statistics(statistics: EpisodeStatistics | None, env: BatchedEnvironment) -> EpisodeStatistics:
    """The statistics with which learning goes on in environments as they stand; fresh ones for another number of them.

    Environments that were never reset are.
    """
    if not env.started:
        env.reset()
    if statistics is None or statistics.running.shape[1] != env.num_envs:
        statistics = EpisodeStatistics(env.num_envs, env.device)
    statistics.running = statistics.running * ~env.episode_start  # someone may have reset them
    return statistics
