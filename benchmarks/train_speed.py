"""Whole-loop training speed: this suite's PPO beside Stable-Baselines3's, same task, network and hyperparameters.

    python benchmarks/train_speed.py [--seconds 10]

One core, one run. Both learn an image task and a sequence task with 64 x 64 ReLU networks for policy and value, Adam
3e-4, four epochs, clip 0.2. Stable-Baselines3 collects as its users do, from `gymnasium.make` environments in its
DummyVecEnv; further columns give it this suite's batched adapter instead.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import gymnasium
import torch
from stable_baselines3 import PPO as SB3PPO
from stable_baselines3.common.vec_env import DummyVecEnv

import palaestra.agents as agents
import palaestra.envs as envs

TASKS = ("palaestra/DigitBandit-v0", "palaestra/NextSymbol-v0")
SHARED: dict[str, Any] = {"learning_rate": 3e-4, "gamma": 0.99, "gae_lambda": 0.95, "max_grad_norm": 0.5}
SETTINGS = ((8, 32, 64), (64, 32, 1024), (256, 32, 4096), (512, 32, 4096))  # environments, rollout steps, minibatch


def palaestra_speed(task: str, num_envs: int, rollout: int, minibatch: int, seconds: float) -> float:
    """Steps per second of this suite's PPO."""
    env = envs.make_batched(task, num_envs)
    agent = agents.make(
        "ppo", env, rollout_steps=rollout, minibatch_size=minibatch, epochs=4, clip=0.2, entropy_coefficient=0.01,
        activation="relu", **SHARED,
    )  # fmt: skip
    learning = agent.learn(env, steps=10**12)
    next(learning)  # the first iteration warms up
    started, first = time.perf_counter(), agent.steps
    while time.perf_counter() - started < seconds:
        next(learning)
    return (agent.steps - first) / (time.perf_counter() - started)


def sb3_speed(env: Any, num_envs: int, rollout: int, minibatch: int, seconds: float) -> float:
    """Steps per second of Stable-Baselines3's PPO."""
    policy = {"net_arch": {"pi": [64, 64], "vf": [64, 64]}, "activation_fn": torch.nn.ReLU}
    model = SB3PPO(
        "MlpPolicy", env, n_steps=rollout, batch_size=minibatch, n_epochs=4, clip_range=0.2, ent_coef=0.01,
        policy_kwargs=policy, device="cpu", **SHARED,
    )  # fmt: skip
    model.learn(num_envs * rollout)
    started, steps = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        model.learn(num_envs * rollout, reset_num_timesteps=False)
        steps += num_envs * rollout
    return steps / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="of measuring, a row")
    seconds = parser.parse_args().seconds
    torch.set_num_threads(1)
    print("PPO, steps per second on one core; ratio: Palaestra / the other")
    for task in TASKS:
        heads = f"{'Palaestra':>10}{'SB3':>9}{'ratio':>7}{'SB3, our adapter':>18}{'ratio':>7}"
        print(f"\n{task}\n{'environments x steps, minibatch':32}{heads}")
        for num_envs, rollout, minibatch in SETTINGS:
            ours = palaestra_speed(task, num_envs, rollout, minibatch, seconds)
            plain = DummyVecEnv([lambda task=task: gymnasium.make(task)] * num_envs)  # type: ignore[misc]
            theirs = sb3_speed(plain, num_envs, rollout, minibatch, seconds)
            adapted = sb3_speed(envs.make_sb3(task, num_envs), num_envs, rollout, minibatch, seconds)
            cells = f"{ours:10,.0f}{theirs:9,.0f}{ours / theirs:7.1f}{adapted:18,.0f}{ours / adapted:7.1f}"
            print(f"{f'{num_envs} x {rollout}, {minibatch}':32}{cells}", flush=True)


if __name__ == "__main__":
    main()
