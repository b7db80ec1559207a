"""Eight seeds as one batch of networks beside one after the other: the CPU time that learning takes, and its ratio.

python benchmarks/seeds.py
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import torch

import palaestra.agents as agents
import palaestra.envs as envs
from palaestra.agents.learning.side_by_side import Seeds

SEEDS, ITERATIONS = 8, 4
CASES: dict[str, tuple[str, str, int, dict[str, Any]]] = {
    "PPO, TabularBandit, 16 environments": ("ppo", "TabularBandit", 16, {"rollout_steps": 32}),
    "PPO, DigitBandit, 64 environments": ("ppo", "DigitBandit", 64, {"rollout_steps": 8}),
    "PPO with a GRU, RepeatPrevious, 16 environments": (
        "ppo",
        "RepeatPrevious",
        16,
        {"rollout_steps": 32, "memory": "gru"},
    ),
    "A2C, TabularBandit, 16 environments": ("a2c", "TabularBandit", 16, {}),
}


def measured(iterations: Iterator[Any]) -> float:
    """CPU seconds of an iteration, after one to warm up."""
    next(iterations)
    began = time.process_time()
    for _ in range(ITERATIONS):
        next(iterations)
    return (time.process_time() - began) / ITERATIONS


def made(name: str, id: str, num_envs: int, settings: dict[str, Any], seed: int) -> tuple[Any, Any]:
    """An agent and its environments."""
    env = envs.make_batched(f"palaestra/{id}-v0", num_envs, seed=1000 * seed)
    return agents.make(name, env, seed=seed, **settings), env


def main() -> None:
    """Prints a line for each case."""
    torch.set_num_threads(1)
    for told, (name, id, num_envs, settings) in CASES.items():
        agent, env = made(name, id, num_envs, settings, 0)
        apart = SEEDS * measured(agent.learn(env, 10**9))
        several = [made(name, id, num_envs, settings, seed)[0] for seed in range(SEEDS)]
        batch = envs.make_batched(f"palaestra/{id}-v0", SEEDS * num_envs)
        batch.reset()
        together = measured(Seeds(several, batch).learn(10**9))
        print(
            f"{told}: {apart * 1e3:.0f} ms apart, {together * 1e3:.0f} ms together, {apart / together:.1f} x",
            flush=True,
        )


if __name__ == "__main__":
    main()
