"""What `train_speed.py` compares: for each algorithm the task, the return to reach, and the settings of both sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from .peers import Goal, Result, imitation, palaestra, stable_baselines3

Run = Callable[[dict[str, float]], Result]

ENDLESS = 10**9  # steps; the clock ends such a run
DIGITS, SYMBOLS = Goal("palaestra/DigitBandit-v0", 0.8, 512, 512), Goal("palaestra/NextSymbol-v0", 14.8, 256, 256)
BANDIT = Goal("palaestra/BernoulliBandit-v0", 6.0, 1024, 1024)
PREVIOUS, CARTPOLE = Goal("palaestra/RepeatPrevious-v0", 0.0, 256, 256), Goal("CartPole-v1", 475.0, 20, 20)


@dataclass(frozen=True)
class Race:
    """One algorithm on one task, here and in another library.

    Attributes:
        name: of the algorithm, and under which rule.
        goal: what both run for.
        factor: how many times as fast this suite is to be.
        peer: the other library.
        module: what must be installed for it.
        ours: this suite's runs, by their settings.
        theirs: the other library's.
        adapted: the other library's on this suite's adapter, for comparison.
    """

    name: str
    goal: Goal
    factor: float
    peer: str
    module: str
    ours: dict[str, Run]
    theirs: dict[str, Run]
    adapted: dict[str, Run] = field(default_factory=dict)


def by_batch(run: Callable[..., Run], *batches: tuple[int, int, int], **settings: Any) -> dict[str, Run]:
    """Runs by (environments, steps of a rollout or updates of a step, minibatch)."""
    return {f"{batch[0]} x {batch[1]}, {batch[2]}": run(*batch, **settings) for batch in batches}


def linear(start: float) -> Callable[[float], float]:
    """A schedule of Stable-Baselines3 that falls to 0."""
    return lambda left: left * start


def ppo(goal: Goal, rate: float) -> Race:
    """64 x 64 ReLU networks for policy and value, four epochs, clip 0.2, entropy bonus 0.01."""

    def ours(num_envs: int, rollout: int, minibatch: int) -> Run:
        return partial(
            palaestra, goal, "ppo", num_envs, ENDLESS, learning_rate=rate, rollout_steps=rollout,
            minibatches=num_envs * rollout // minibatch, epochs=4, entropy_coefficient=0.01, activation="relu",
        )  # fmt: skip

    def theirs(num_envs: int, rollout: int, minibatch: int, adapter: bool = False) -> Run:
        return partial(
            stable_baselines3, goal, "stable_baselines3:PPO", num_envs, ENDLESS, learning_rate=rate, n_steps=rollout,
            batch_size=minibatch, n_epochs=4, ent_coef=0.01, adapter=adapter,
            policy_kwargs={"net_arch": [64, 64], "activation_fn": torch.nn.ReLU},
        )  # fmt: skip

    large = (512, 32, 4096)
    return Race(
        "PPO", goal, 20, "Stable-Baselines3", "stable_baselines3", by_batch(ours, large),
        by_batch(theirs, (8, 32, 64), (64, 32, 1024)), by_batch(theirs, large, adapter=True),
    )  # fmt: skip


def zoo_ppo() -> Race:
    """RL-Zoo's setting of CartPole on both sides, but for the clip range, which only the other side lets fall."""
    num_envs, rollout, steps = 8, 32, 100_000
    shared: dict[str, Any] = {"gamma": 0.98, "gae_lambda": 0.8}
    ours = partial(
        palaestra, CARTPOLE, "ppo", num_envs, steps, rollout_steps=rollout, minibatches=1, epochs=20,
        learning_rate=1e-3, anneal=True, entropy_coefficient=0.0, activation="tanh", **shared,
    )  # fmt: skip
    theirs = partial(
        stable_baselines3, CARTPOLE, "stable_baselines3:PPO", num_envs, steps, n_steps=rollout, batch_size=256,
        n_epochs=20, learning_rate=linear(1e-3), clip_range=linear(0.2), ent_coef=0.0, **shared,
    )  # fmt: skip
    setting = "8 x 32, 256"
    compiled = partial(ours, execution="compiled", compiling=3 * num_envs * rollout)
    runs: dict[str, Run] = {setting: ours, f"{setting}, compiled": compiled}
    return Race("PPO, RL-Zoo's setting", CARTPOLE, 3, "Stable-Baselines3", "stable_baselines3", runs, {setting: theirs})


def dqn() -> Race:
    """256 x 256 networks; RL-Zoo's setting for the other side, and for both half its updates in eight environments."""
    steps = 50_000
    shared: dict[str, Any] = {"learning_rate": 2.3e-3, "batch_size": 64, "exploration_fraction": 0.16}
    ours = partial(
        palaestra, CARTPOLE, "dqn", 8, steps, rollout_steps=32, updates=64, double=False, hidden=(256, 256),
        target_rate=1.0, target_every=64, epsilon_end=0.04, **shared,
    )  # fmt: skip

    def theirs(num_envs: int, train_freq: int, updates: int, target_every: int) -> Run:
        return partial(
            stable_baselines3, CARTPOLE, "stable_baselines3:DQN", num_envs, steps, buffer_size=100_000,
            learning_starts=1000, train_freq=train_freq, gradient_steps=updates, target_update_interval=target_every,
            exploration_final_eps=0.04, policy_kwargs={"net_arch": [256, 256]}, **shared,
        )  # fmt: skip

    setting = "8 x 32, 64 of 64"
    runs = {"1 x 256, 128 of 64": theirs(1, 256, 128, 10), setting: theirs(8, 32, 64, 256)}
    compiled = partial(ours, execution="compiled", compiling=6 * 8 * 32)  # the warm-up is 1,000 steps
    own: dict[str, Run] = {setting: ours, f"{setting}, compiled": compiled}
    return Race("DQN", CARTPOLE, 3, "Stable-Baselines3", "stable_baselines3", own, runs)


def dqn_digits() -> Race:
    """64 x 64 networks; the batch grows with the environments."""
    shared: dict[str, Any] = {"learning_rate": 1e-3, "exploration_fraction": 0.2}

    def ours(num_envs: int, updates: int, minibatch: int) -> Run:
        return partial(
            palaestra, DIGITS, "dqn", num_envs, 200_000, updates=updates, batch_size=minibatch, double=False,
            target_rate=1.0, target_every=100, **shared,
        )  # fmt: skip

    def theirs(num_envs: int, updates: int, minibatch: int, adapter: bool = False) -> Run:
        return partial(
            stable_baselines3, DIGITS, "stable_baselines3:DQN", num_envs, 200_000, train_freq=1, gradient_steps=updates,
            batch_size=minibatch, buffer_size=100_000, learning_starts=1000, target_update_interval=100 * num_envs,
            policy_kwargs={"net_arch": [64, 64]}, adapter=adapter, **shared,
        )  # fmt: skip

    large = (256, 2, 512)
    return Race(
        "DQN", DIGITS, 5, "Stable-Baselines3", "stable_baselines3", by_batch(ours, large),
        by_batch(theirs, (8, 1, 64), (64, 1, 256)), by_batch(theirs, large, adapter=True),
    )  # fmt: skip


def recurrent_ppo(goal: Goal, rollout: int, policy: str, **shared: Any) -> Race:
    """One LSTM of 64 units under a hidden layer of 64 for the policy and one for the value; four epochs."""

    def ours(num_envs: int, rollout: int, minibatch: int) -> Run:
        return partial(
            palaestra, goal, "ppo", num_envs, ENDLESS, memory="lstm", memory_size=64, hidden=(64,), activation="relu",
            rollout_steps=rollout, minibatches=num_envs * rollout // minibatch, epochs=4, entropy_coefficient=0.01,
            **shared,
        )  # fmt: skip

    def theirs(num_envs: int, rollout: int, minibatch: int, adapter: bool = False) -> Run:
        network = {"net_arch": [64], "activation_fn": torch.nn.ReLU, "lstm_hidden_size": 64}
        return partial(
            stable_baselines3, goal, "sb3_contrib:RecurrentPPO", num_envs, ENDLESS, policy=policy, n_steps=rollout,
            batch_size=minibatch, n_epochs=4, ent_coef=0.01, adapter=adapter,
            policy_kwargs=network | {"shared_lstm": True, "enable_critic_lstm": False}, **shared,
        )  # fmt: skip

    large = (256, rollout, 64 * rollout)
    return Race(
        "recurrent PPO", goal, 20, "sb3-contrib", "sb3_contrib", by_batch(ours, large),
        by_batch(theirs, (8, rollout, 2 * rollout), (64, rollout, 16 * rollout)), by_batch(theirs, large, adapter=True),
    )  # fmt: skip


def balance(observation: Tensor) -> Tensor:
    """(B,) pushes that keep CartPole's pole up for 500 steps, for observations (B, 4)."""
    return (observation @ observation.new_tensor([0.1, 0.3, 1.0, 0.5]) > 0).long()


def dagger() -> Race:
    """64 x 64 networks, the expert acting in the first round alone."""
    ours = partial(
        palaestra, CARTPOLE, "dagger", 64, ENDLESS, expert=balance, rollout_steps=8, updates=8, minibatch_size=256,
        learning_rate=3e-3,
    )  # fmt: skip
    theirs: dict[str, Run] = {
        f"{num_envs} x 500, 4 epochs of 64": partial(
            imitation, CARTPOLE, num_envs, ENDLESS, expert=balance, learning_rate=3e-3
        )
        for num_envs in (1, 8)
    }
    return Race("DAgger", CARTPOLE, 10, "imitation", "imitation", {"64 x 8, 8 of 256": ours}, theirs)


RACES = (
    ppo(DIGITS, 1e-3),
    ppo(SYMBOLS, 1e-3),
    zoo_ppo(),
    dqn(),
    dqn_digits(),
    recurrent_ppo(PREVIOUS, 52, "MlpLstmPolicy", learning_rate=2e-3, gamma=0.5, gae_lambda=0.5),
    recurrent_ppo(BANDIT, 30, "MultiInputLstmPolicy", learning_rate=2e-3, gamma=0.99, gae_lambda=0.9),
    dagger(),
)
