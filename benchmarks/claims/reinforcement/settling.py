"""When DAgger may stop: where what it meets no longer changes from rollout to rollout."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from palaestra import agents
from palaestra.envs import make_batched

from ..frame import Claim, Lines

LENGTH, ENVS, ROLLOUTS, EPISODES = 32, 16, 16, 128
SETTINGS: dict[str, Any] = {
    "rollout_steps": LENGTH, "updates": 20, "minibatch_size": 128, "learning_rate": 3e-3, "hidden": (32,)
}  # fmt: skip
COST = "cost of a step"
SETTLED = 0.15  # deviations of what is met


def apart(one: Tensor, other: Tensor) -> float:
    """How far two sets of observations (N, D) are apart: Wasserstein's distance of each number, in deviations, mean."""
    distance = (one.sort(0).values - other.sort(0).values).abs().mean(0)
    return float((distance / torch.cat([one, other]).std(0).clamp(min=1e-6)).mean())


def measure(seed: int) -> Lines:
    """How far what is met moves from rollout to rollout, and the cost of an episode after each."""
    env = make_batched("palaestra/Road-v0", ENVS, seed=(seed + 1) * 2**24, length=LENGTH)
    agent: Any = agents.make("dagger", env, seed=seed, **SETTINGS)
    met: list[Tensor] = []
    costs: list[float] = []
    for _ in agent.learn(env, LENGTH * ENVS * ROLLOUTS):
        met.append(agent.aggregate.kept.observation[: len(agent.aggregate)][-LENGTH * ENVS :].flatten(1).clone())
        tested = make_batched("palaestra/Road-v0", EPISODES, length=LENGTH)
        costs.append(-float(agents.evaluate(agent, tested, EPISODES, seed=2**41).returns.mean()))
    moved = [apart(one, other) for one, other in pairwise(met)]
    settled = next((k for k, far in enumerate(moved, 1) if k > 1 and far < SETTLED), ROLLOUTS - 1)
    return {
        "moved": {f"rollouts {first} to {first + 3}": sum(moved[first - 1 : first + 2]) / 3 for first in (1, 4, 13)},
        COST: {
            "after one rollout": costs[0] / LENGTH,
            "where it has settled": costs[settled] / LENGTH,
            "at the end": costs[-1] / LENGTH,
        },
        "share of the rollouts": {"where it has settled": (settled + 1) / ROLLOUTS},
    }


CLAIM = Claim(
    title="When DAgger may stop",
    says="Each policy of DAgger meets other states than the one before, and these settle as the policies do; who stops "
    "then loses nothing (Ross, Gordon and Bagnell, 2011).",
    how=f"Road with {LENGTH} steps, {ROLLOUTS} rollouts of {ENVS} episodes, the first by the expert. How far what is "
    "met moves from a rollout to the next: Wasserstein's distance of each number, in its deviations. It has settled "
    f"where that is below {SETTLED:g}; distance from the middle, a step, of {EPISODES} fresh episodes.",
    measure=measure,
    statements=(
        (
            "what is met moves more at first than at the end",
            lambda found: found.above(("moved", "rollouts 1 to 4"), ("moved", "rollouts 13 to 16")),
        ),
        (
            "where it has settled a step costs less than after one rollout",
            lambda found: found.above((COST, "after one rollout"), (COST, "where it has settled")),
        ),
        (
            "it costs at most 0.02 more than at the end",
            lambda found: found.above((COST, "at the end"), (COST, "where it has settled"), -0.02),
        ),
        (
            "it settles before the last rollout",
            lambda found: found.interval("share of the rollouts", "where it has settled")[2] < 1,
        ),
    ),
    value="deviations, distance or share",
    seeds=4,
)
