"""Looking at an agent while it trains, on the validation options, to keep the best one so far."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...agents.core.agent import Agent
from ...agents.core.evaluation import evaluate, time_limit
from ...envs.core.protocol import BatchedEnvironment
from ..seeds import CHECK_SEED

MOST, MOST_EPISODES, LEAST_EPISODES = 10, 128, 4
SHARE = 0.25  # of the training's steps, what checks may take in all
ASSUMED = 1000  # steps of an episode that has no limit


@dataclass(frozen=True)
class Checks:
    """How often an agent is looked at, and over how many episodes.

    Attributes:
        times: at equal distances, the last one at the end.
        episodes: of each check.
    """

    times: int
    episodes: int

    def due(self, steps: int, total: int) -> int:
        """How many should have taken place after so many of all steps."""
        return min(self.times, self.times * steps // max(total, 1))


def planned_checks(steps: int, env: BatchedEnvironment, wanted: int | None = None) -> Checks:
    """Checks that cost no more than a quarter of a training of that many steps, by the longest episode there can be.

    At most ten of 128 episodes; a short training is looked at less often, over fewer episodes, and always at its end.
    So many as are wanted there always are, then each of four episodes at the least.
    """
    length, budget = time_limit(env) or ASSUMED, SHARE * steps
    times = wanted or int(min(MOST, max(1, budget // (LEAST_EPISODES * length))))
    return Checks(times, int(min(MOST_EPISODES, max(LEAST_EPISODES, budget // (times * length)))))


def check(agent: Agent, env: BatchedEnvironment, episodes: int, seed: int) -> float:
    """The agent's mean return over the episodes of that seed; the same whenever it is asked for.

    Before, it is given the chance to fit what it fits on such episodes, see `Agent.settle`.
    """
    agent.settle(env, CHECK_SEED + seed)
    returns = evaluate(agent, env, episodes, seed=CHECK_SEED + seed, aside=False).returns
    return float(returns.mean()) if len(returns) else -math.inf
