"""Environment steps and training on a CUDA device, in one run beside a plain JAX loop where jax is installed.

    python benchmarks/gpu_speed.py [--seconds 2] [--only PART]

Where no CUDA device is found it says so, and runs the same units compiled on the CPU, at sizes that fit one core: the
rates are then no claim about a device, but what is compiled is what a device would run.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import torch

import palaestra.agents as agents
import palaestra.envs as envs
from palaestra.agents.core.agent import Agent
from palaestra.envs.core.actions import random_action

CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"
EXECUTION = "captured" if CUDA else "compiled"
ENVIRONMENT_SIZES = (4096, 65_536, 1_048_576) if CUDA else (64, 4096)
FORTY = {"rollout_steps": 16, "minibatches": 4, "epochs": 4}
RECURRENT = {"memory": "gru", "rollout_steps": 52, "minibatches": 4, "epochs": 4}


def synchronise() -> None:
    if CUDA:
        torch.cuda.synchronize()


def rate(advance: Callable[[], int], seconds: float) -> float:
    """Steps per second of `advance`, which takes some and says how many; three calls warm it up."""
    for _ in range(3):
        advance()
    synchronise()
    started, taken = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        taken += advance()
        synchronise()
    return taken / (time.perf_counter() - started)


def environment(id: str, size: int, execution: str, seconds: float) -> float:
    """Steps per second of a batch, whose episodes restart by themselves, for actions that are drawn before."""
    env = envs.make_batched(id, size, device=DEVICE, execution=execution)
    env.reset(0)
    actions = [random_action(env.action_space, size).to(DEVICE) for _ in range(4)]
    turns = itertools.cycle(actions)

    def advance() -> int:
        for _ in range(8):
            env.step(next(turns))
        return 8 * size

    return rate(advance, seconds)


def learning(name: str, id: str, size: int, execution: str, seconds: float, **config: Any) -> float:
    """Environment steps per second of an agent's whole loop, the report of each iteration among it."""
    env = envs.make_batched(id, size, device=DEVICE, **config.pop("options", {}))
    agent: Agent = agents.make(name, env, execution=execution, **config)
    reports: Iterator[dict[str, float]] = agent.learn(env, 10**15)
    before = 0.0

    def advance() -> int:
        nonlocal before
        steps = next(reports)["steps"]
        taken, before = steps - before, steps
        return int(taken)

    return rate(advance, seconds)


def rows() -> list[tuple[str, str, str, int, dict[str, Any]]]:
    """What is trained: a label, the agent, the environment, how many of them, and settings."""
    large, small = (65_536, 4096) if CUDA else (256, 64)
    ppo = ("ppo", "palaestra/DigitBandit-v0")
    trial = {"memory": "gru", "memory_size": 256, "rollout_steps": 100, "minibatches": 4, "hidden": (), "gamma": 0.99}
    walk = {"inner_loss": "policy_gradient", "support_steps": 20, "rollout_steps": 40, "tasks": 40}
    return [
        ("PPO, digits", *ppo, large, FORTY),
        ("PPO, digits", *ppo, small, FORTY),
        ("PPO, points", "ppo", "palaestra/PointGoal-v0", large, FORTY),
        ("PPO with a GRU", "ppo", "palaestra/RepeatPrevious-v0", small, RECURRENT),
        ("RL², 5 arms 10 pulls", "rl2", "palaestra/BernoulliBandit-v0", 512 if CUDA else 64, trial),
        ("MAML, sine waves", "maml", "palaestra/Sinusoid-v0", small, {"options": {"points": 10}, "tasks": small // 4}),
        ("MAML, points", "maml", "palaestra/PointGoal-v0", small, {**walk, "options": {"length": 20}}),
        ("GAIL, digits", "gail", "palaestra/DigitBandit-v0", small, FORTY),
        ("self-play, points", "self_play", "palaestra/GANGame-v0", small, {"rollout_steps": 8, "minibatches": 4}),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="of measuring, a cell")
    parser.add_argument("--only", choices=["environments", "training", "jax"], help="one part")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("high")
    if CUDA:
        print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    else:
        print(f"no CUDA device is here: the same units, compiled, on one core of {platform.processor() or 'this CPU'}")
    if chosen.only in (None, "environments"):
        print(f"\nenvironment steps a second, {EXECUTION} (eager), in millions")
        print(f"{'':34}" + "".join(f"{size:>22,}" for size in ENVIRONMENT_SIZES))
        for id in envs.ids():
            told = ""
            for size in ENVIRONMENT_SIZES:
                fast, slow = (environment(id, size, mode, chosen.seconds / 4) / 1e6 for mode in (EXECUTION, "eager"))
                told += f"{fast:12,.1f} ({slow:7,.1f})"
            print(f"{id:34}{told}", flush=True)
    if chosen.only in (None, "training"):
        print(f"\n{'training, steps a second':26}{'environments':>14}{'eager':>14}{EXECUTION:>14}{'ratio':>8}")
        for label, name, id, size, config in rows():
            slow, fast = (learning(name, id, size, mode, chosen.seconds, **config) for mode in ("eager", EXECUTION))
            print(f"{label:26}{size:14,}{slow:14,.0f}{fast:14,.0f}{fast / slow:8.2f}", flush=True)
    if chosen.only in (None, "jax"):
        if find_spec("jax") is None:
            print("\njax is not installed: no JAX loop beside (pip install jax)")
            return
        from rivals.jax_loop import ppo_rate  # type: ignore[import-not-found]

        for size in (65_536, 4096) if CUDA else (256, 64):
            print(f"\nplain JAX loop, PPO, {size:,} environments: {ppo_rate(size, chosen.seconds):,.0f} steps a second")


if __name__ == "__main__":
    main()
