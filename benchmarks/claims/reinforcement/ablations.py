"""Deep Q-learning without its parts, on a chain that only who explores walks to its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium.spaces as spaces
import torch
from torch import Tensor

from palaestra import agents
from palaestra.envs import BatchedEnv, Step, Task

from ..frame import Claim, Lines

LENGTH, ENVS, STEPS, EPISODES = 6, 8, 8000, 64
SETTINGS: dict[str, Any] = {"hidden": (32,), "learning_rate": 3e-3, "warmup_steps": 64, "batch_size": 64, "gamma": 0.95}
WAYS: dict[str, dict[str, Any]] = {
    "all of it": {},
    "no target network": {"target_rate": 1.0},
    "no replay": {"capacity": ENVS, "batch_size": ENVS},
    "Boltzmann": {"exploration": "boltzmann", "temperature": 0.1},
    "greedy": {"epsilon_start": 0.0, "epsilon_end": 0.0},
}


@dataclass(frozen=True)
class ChainState:
    """Where along the chain."""

    place: Tensor


class Chain(Task[ChainState]):
    """Forward (1) leads along a chain whose end pays 1; back (0) to the start, and pays a little at once.

    As the chains on which dithering fails (Osband et al., 2016). Twice its length of steps are an episode, so the best
    return is 1 for each passage: 2.
    """

    horizon = 2 * LENGTH
    observation_space = spaces.Discrete(LENGTH)
    action_space = spaces.Discrete(2)

    def reset(self, noise: Tensor) -> ChainState:
        """At the start."""
        return ChainState(torch.zeros(len(noise), dtype=torch.int64, device=noise.device))

    def step(self, state: ChainState, action: Tensor, noise: Tensor) -> Step[ChainState]:
        """Forward or back."""
        there = (state.place + 1) * action
        arrived = there == LENGTH
        reward = torch.where(action == 0, 0.05, arrived.float())
        return Step(ChainState(torch.where(arrived, 0, there)), reward, torch.zeros_like(arrived))

    def observe(self, state: ChainState) -> Tensor:
        """The place."""
        return state.place

    def draw(self, state: ChainState, canvas: Any) -> None:
        """Nothing: nobody watches."""


def measure(seed: int) -> Lines:
    """Greedy return after learning, of each way."""
    found = {}
    for way, changed in WAYS.items():
        env = BatchedEnv(Chain(), ENVS, seed=1000 * seed)
        agent = agents.make("dqn", env, seed=seed, **{**SETTINGS, **changed})
        list(agent.learn(env, STEPS))
        returns = agents.evaluate(agent, BatchedEnv(Chain(), EPISODES), EPISODES, seed=2**41).returns
        found[way] = float(returns.mean())
    return {"deep Q-learning": found}


def over(way: str) -> tuple[str, Any]:
    """That the whole is better than without a part."""
    return (
        f"all of it returns more than {way}",
        lambda found: found.above(("deep Q-learning", "all of it"), ("deep Q-learning", way)),
    )


CLAIM = Claim(
    title="Deep Q-learning without its parts",
    says="Replay and a target network keep Q-learning with a network stable (Mnih et al., 2015); without exploring it "
    "stays with the first reward that it finds (Sutton and Barto, 2018, chapter 2).",
    how=f"A chain of {LENGTH} places with a small reward for turning back (a return of {2 * LENGTH * 0.05:g}) and 1 at "
    f"its end (2): greedy return after {STEPS} steps.",
    measure=measure,
    statements=(*map(over, ("no target network", "no replay", "greedy")),),
    value="greedy return",
    seeds=8,
)
