"""Environment steps per second on one core, for every id, beside Gymnasium's CartPole in the same run.

    python benchmarks/env_speed.py [ID ...] [--seconds 1]

Actions are drawn before the clock starts, on both sides. Palaestra's rows step the native batch (same-step autoreset,
final observations kept); Gymnasium's are its single environment, its SyncVectorEnv(64), and its own vector CartPole.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import gymnasium
import numpy as np
import torch

import palaestra.envs as envs
from palaestra.envs.core.actions import random_action

BATCHES = (1, 64, 1024, 4096, 16384)
ACTIONS = 16  # different batches of actions, used in turn


def rate(step: Callable[[int], object], size: int, seconds: float) -> float:
    """Environment steps per second of `step`, which takes a running number and steps `size` environments."""
    for warm in range(3):
        step(warm)
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        for _ in range(10):
            step(count)
            count += 1
    return count * size / (time.perf_counter() - started)


def palaestra_rate(id: str, size: int, seconds: float) -> float:
    env = envs.make_batched(id, size)
    env.reset(0)
    generator = torch.Generator().manual_seed(0)
    actions = [random_action(env.action_space, size, generator) for _ in range(ACTIONS)]
    return rate(lambda k: env.step(actions[k % ACTIONS]), size, seconds)


def cartpole_single(seconds: float) -> float:
    env = gymnasium.make("CartPole-v1")
    env.reset(seed=0)
    actions = np.random.default_rng(0).integers(0, 2, ACTIONS)

    def step(k: int) -> None:
        _, _, terminated, truncated, _ = env.step(actions[k % ACTIONS])
        if terminated or truncated:
            env.reset()

    return rate(step, 1, seconds)


def cartpole_vector(size: int, mode: str, seconds: float) -> float:
    env = gymnasium.make_vec("CartPole-v1", size, vectorization_mode=mode)
    env.reset(seed=0)
    actions = np.random.default_rng(0).integers(0, 2, (ACTIONS, size))
    return rate(lambda k: env.step(actions[k % ACTIONS]), size, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "ids", nargs="*", choices=[[], *envs.ids()], metavar="ID", help="which; all of them if left out"
    )
    parser.add_argument("--seconds", type=float, default=1.0, help="of measuring, a cell")
    arguments = parser.parse_args()
    seconds = arguments.seconds
    torch.set_num_threads(1)
    print(f"{'environment steps per second':34}" + "".join(f"{f'B = {size:,}':>14}" for size in BATCHES), flush=True)
    best = 0.0
    for id in arguments.ids or envs.ids():
        rates = [palaestra_rate(id, size, seconds) for size in BATCHES]
        best = max(best, *rates)
        print(f"{id:34}" + "".join(f"{value:14,.0f}" for value in rates), flush=True)
    single, sync = cartpole_single(seconds), cartpole_vector(64, "sync", seconds)
    own = [cartpole_vector(size, "vector_entry_point", seconds) for size in BATCHES]
    print(f"{'Gymnasium CartPole-v1':34}{single:14,.0f}")
    print(f"{'Gymnasium SyncVectorEnv(64)':34}{'':14}{sync:14,.0f}")
    print(f"{'Gymnasium vector CartPole-v1':34}" + "".join(f"{value:14,.0f}" for value in own))
    ratios = {"single": best / single, "SyncVectorEnv(64)": best / sync, "vector": best / max(own)}
    print("\nfastest cell: " + ", ".join(f"{value:,.1f} x {name} CartPole" for name, value in ratios.items()))


if __name__ == "__main__":
    main()
