"""Whole episodes: what learners that look at an episode or a trial as a whole share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..envs.protocol import BatchedEnvironment, TimeStep
from ..neural_blocks.errors import InvalidInput
from .config import AgentConfig
from .rollout import EpisodeStatistics, continued_statistics


@dataclass(frozen=True)
class Episodes:
    """What one whole episode of T steps gave in each of B environments.

    Attributes:
        reward: (T, B).
        done: (T, B) bool, true at the last step only.
        metrics: named (T, B) values of the environment, NaN where there is none.
    """

    reward: Tensor
    done: Tensor
    metrics: dict[str, Tensor]


def at_the_start(statistics: EpisodeStatistics | None, env: BatchedEnvironment) -> EpisodeStatistics:
    """The statistics with which learning goes on where every environment starts an episode; if one does not, all do."""
    if env.started and not bool(env.episode_start.all()):
        env.reset()
    return continued_statistics(statistics, env)


def whole_episodes(steps: list[TimeStep], env: BatchedEnvironment, config: AgentConfig) -> Episodes:
    """The steps side by side.

    Raises:
        InvalidInput: an episode ended before the last step, or did not end with it.
    """
    done = torch.stack([step.done for step in steps])
    if bool(done[:-1].any()) or not bool(done[-1].all()):
        raise InvalidInput(
            f"{type(config).__name__}: rollout_steps must be the steps of a whole episode or trial; got {len(steps)}, "
            f"and {env.name} has another length"
        )
    return Episodes(
        reward=torch.stack([step.reward for step in steps]),
        done=done,
        metrics={name: torch.stack([step.metrics[name] for step in steps]) for name in steps[0].metrics},
    )
