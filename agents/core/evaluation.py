"""Evaluation: whole episodes of an agent in a batch of environments."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from ...envs.checks.options import LARGEST_SEED, MOST_EPISODES, integer
from ...envs.core.protocol import BatchedEnvironment
from .agent import Agent


@dataclass(frozen=True)
class Evaluation:
    """What N evaluated episodes gave.

    Attributes:
        returns: (N,) float64.
        lengths: (N,) int64 steps.
        metrics: named means over all steps of all episodes that have a value; without any, the name is missing.
    """

    returns: Tensor
    lengths: Tensor
    metrics: dict[str, float]


CAP = 10_000
"""Steps after which an episode is cut off where the environment itself has no limit."""


def time_limit(env: BatchedEnvironment) -> int | None:
    """The steps after which an environment truncates an episode; None where it never does."""
    task, envs = getattr(env, "task", None), getattr(env, "envs", None)
    found = getattr(task, "horizon", None)
    if found is None and envs:
        found = getattr(getattr(envs[0], "spec", None), "max_episode_steps", None)
    return None if found is None else int(found)


@torch.no_grad()
def evaluate(
    agent: Agent, env: BatchedEnvironment, episodes: int, *, seed: int | None = None, greedy: bool = True
) -> Evaluation:
    """Plays the same number of episodes in every environment, at least `episodes` in all.

    A fixed number for each environment: were the first N to end taken, short episodes would count too often. With a
    seed the result is the same whenever it is asked for; the agent's own random choices go on as if it had not been.

    In environments without a time limit an episode that lasts longer than `CAP` steps counts with what it has returned
    by then, and that environment plays no further one; a warning says so.

    Raises:
        InvalidInput: fewer episodes than 1, or environments that the agent is not for.
    """
    episodes = integer("evaluate: episodes", episodes, 1, MOST_EPISODES)
    if seed is not None:
        seed = integer("evaluate: seed", seed, -LARGEST_SEED, LARGEST_SEED)
    agent.attach(env)
    with agent.apart(seed):
        return _play(agent, env, episodes, seed, greedy)


def _play(agent: Agent, env: BatchedEnvironment, episodes: int, seed: int | None, greedy: bool) -> Evaluation:
    each = math.ceil(episodes / env.num_envs)
    observation, memory, start = env.reset(seed), agent.initial_memory(env.num_envs), env.episode_start
    device, rows = env.device, torch.arange(env.num_envs, device=env.device)
    returns = Sums((env.num_envs, each + 1), device)  # the last column is overflow
    lengths = torch.zeros(env.num_envs, each + 1, dtype=torch.int64, device=device)
    episode = torch.zeros(env.num_envs, dtype=torch.int64, device=device)
    endless = torch.zeros(env.num_envs, dtype=torch.bool, device=device)
    limited = time_limit(env) is not None
    sums: dict[str, tuple[Sums, Tensor]] = {}  # of each metric's values, and how many there are
    steps, pause = 0, 1 if device.type == "cpu" else 16  # another device is asked only now and then
    while steps % pause or bool((episode < each).any()):
        action, memory = agent.act(observation, memory, start, greedy=greedy)
        step = env.step(action)
        returns.add(step.reward, (rows, episode))
        lengths[rows, episode] += 1
        for name, values in step.metrics.items():
            counted = (episode < each) & ~values.isnan()
            total, count = sums.setdefault(name, (Sums((), device), torch.zeros((), dtype=torch.int64, device=device)))
            total.add(torch.where(counted, values, 0.0).sum())
            count += counted.sum()
        if not limited and steps + 1 >= CAP:
            cut = (lengths[rows, episode] >= CAP) & (episode < each) & ~step.done
            endless, episode = endless | cut, episode.masked_fill(cut, each)
        episode = (episode + step.done).clamp(max=each)
        observation, start = step.observation, step.done
        steps += 1
    if cut_off := int(endless.sum()):
        warnings.warn(
            f"{env.name}: {cut_off} of {env.num_envs} environments had an episode longer than {CAP:,} steps, and no "
            "time limit; it counts with what it returned by then. Give the environment a limit (max_episode_steps)",
            RuntimeWarning,
            stacklevel=4,
        )
    metrics = {name: float(total.value()) / int(count) for name, (total, count) in sums.items() if count}
    summarise = getattr(getattr(env, "task", None), "summarise", dict)  # environments of other kinds have none
    metrics = summarise(metrics)
    played = lengths[:, :each].flatten().cpu() > 0
    return Evaluation(returns.value()[:, :each].flatten()[played], lengths[:, :each].flatten().cpu()[played], metrics)


class Sums:
    """Float32 sums that lose nothing to rounding (Kahan, 1965), for devices that have no float64.

    Args:
        shape: of the sums.
        device: where they live.
    """

    def __init__(self, shape: tuple[int, ...], device: torch.device) -> None:
        self._sum, self._excess = (torch.zeros(shape, dtype=torch.float32, device=device) for _ in range(2))

    def add(self, value: Tensor, at: tuple[Tensor, ...] = ()) -> None:
        """Adds to all sums, or to those at some indices, of which none occurs twice."""
        wanted = value - self._excess[at]
        total = self._sum[at] + wanted
        self._excess[at] = (total - self._sum[at]) - wanted
        self._sum[at] = total

    def value(self) -> Tensor:
        """The sums in float64, on the CPU."""
        return self._sum.cpu().double() - self._excess.cpu().double()
