"""MAML by gradient step: the paper's sine waves beside the published error, and PointGoal beside a joint policy.

    python benchmarks/maml.py [--seeds 3]

Sine waves have the setting of Finn et al. (2017): ten points, one step of 0.01, 25 tasks in each of 5,000
meta-iterations, two hidden layers of 40 ReLUs. Eleven points are asked for in an episode, because the last one's answer
is not shown. PointGoal has four episodes of 100 steps with one gradient step after each but the last, all with random
actions; the joint policy is PPO without memory on single episodes of it, with as many environment steps. Rewrites
benchmarks/results/maml.json and benchmarks/results/maml.md.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from palaestra import agents
from palaestra.agents.core.agent import Agent, Memory
from palaestra.envs import make_batched

RESULTS = Path(__file__).parent / "results"
TASKS, TEST_SEED = 2000, 2**41  # scored, from a seed range that no training run starts from
PUBLISHED = 0.70  # squared error after one step at 5,000 meta-iterations
WAVES, GOALS = "Sinusoid, squared error", "PointGoal, return of an episode"
HEADING = """Written by `python benchmarks/maml.py`: one row a seed, with the standard error over 2,000 unseen tasks.

In each task the first value is that of the weights before any gradient step, the next that after one gradient step on
the episode before, and so on; each episode is played once, so a gradient step sees one episode. "ppo" is the joint
policy: one for all goals, which it does not see. Environment steps are those of training, counted over all
environments; seconds are CPU time of one core.

| measure | agent | seed | after 0, 1, ... gradient steps | environment steps | seconds |
|---|---|---|---|---|---|
"""


@torch.no_grad()
def by_episode(agent: Agent, env: Any, episodes: int, length: int, greedy: bool) -> Tensor:
    """(episodes, B) the return of each episode of a trial."""
    memory: Memory = ()
    observation, rewards = env.reset(TEST_SEED), []
    for _ in range(episodes * length):
        action, memory = agent.act(observation, memory, greedy=greedy)
        step = env.step(action)
        observation = step.observation
        rewards.append(step.reward)
    return torch.stack(rewards).unflatten(0, (episodes, length)).sum(1)


def row(measure: str, agent: Agent, seed: int, values: Tensor, seconds: float) -> dict[str, Any]:
    """Means over the tasks of values (steps, B) and their standard errors."""
    means, errors = values.mean(1).tolist(), (values.std(1) / math.sqrt(values.shape[1])).tolist()
    return {
        "measure": measure,
        "agent": agent.name,
        "seed": seed,
        "means": [round(value, 3) for value in means],
        "errors": [round(value, 3) for value in errors],
        "steps": agent.steps,
        "seconds": round(seconds, 1),
    }


def trained(name: str, env: Any, steps: int, seed: int, **config: Any) -> tuple[Agent, float]:
    """An agent after that many environment steps, and the processor time it took."""
    agent, started = agents.make(name, env, seed=seed, **config), time.process_time()
    for _ in agent.learn(env, steps):
        pass
    return agent, time.process_time() - started


def sine_waves(seed: int) -> dict[str, Any]:
    """The mean squared error before and after one gradient step."""
    points, iterations = 11, 5000
    make = lambda num_envs, seed: make_batched("palaestra/Sinusoid-v0", num_envs, seed=seed, points=points)  # noqa: E731
    env = make(500, (seed + 1) * 2**24)
    agent, seconds = trained("maml", env, 2 * points * 25 * iterations, seed, support_steps=points, rollout_steps=22)
    error = -by_episode(agent, make(TASKS, 0), 2, points, greedy=True) / points
    return row(WAVES, agent, seed, error, seconds)


def goals(seed: int) -> list[dict[str, Any]]:
    """The return of an episode after each of three gradient steps, and that of a policy for all goals at once."""
    episodes, length, steps = 4, 100, 800_000
    make = lambda num_envs, seed, episodes: make_batched(  # noqa: E731
        "palaestra/PointGoal-v0", num_envs, seed=seed, episodes=episodes, length=length
    )
    start, settings = (seed + 1) * 2**24, {"inner_loss": "policy_gradient", "inner_rate": 0.05, "gamma": 0.0}
    settings |= {"support_steps": length, "rollout_steps": episodes * length, "hidden": (64, 64), "learning_rate": 3e-3}
    maml, seconds = trained("maml", make(100, start, episodes), steps, seed, **settings)
    found = by_episode(maml, make(TASKS, 0, episodes), episodes, length, greedy=False)
    joint, joint_seconds = trained("ppo", make(100, start, 1), steps, seed, gamma=0.9, rollout_steps=100)
    alone = by_episode(joint, make(TASKS, 0, 1), 1, length, greedy=True)
    return [row(GOALS, maml, seed, found, seconds), row(GOALS, joint, seed, alone, joint_seconds)]


def verdicts(rows: list[dict[str, Any]]) -> str:
    """Whether each claim holds for every seed."""
    waves = [one["means"][1] for one in rows if one["measure"] == WAVES]
    goals = {name: [one for one in rows if (one["measure"], one["agent"]) == (GOALS, name)] for name in ("maml", "ppo")}
    rises = [
        later - earlier > 2 * math.hypot(error, later_error)
        for one in goals["maml"]
        for (earlier, later), (error, later_error) in zip(
            itertools.pairwise(one["means"]), itertools.pairwise(one["errors"]), strict=True
        )
    ]
    beats = [one["means"][-1] > joint["means"][0] for one, joint in zip(goals["maml"], goals["ppo"], strict=True)]
    claims = {
        f"Sine waves: squared error at most 0.75 after one gradient step (published: {PUBLISHED:.2f})": [
            error <= 0.75 for error in waves
        ],
        "PointGoal: each gradient step raises the return by more than two standard errors": rises,
        "PointGoal: after the last gradient step MAML returns more than the joint policy": beats,
    }
    lines = [f"- {claim}: {'yes' if all(held) else '**no**'}, {len(waves)} seeds" for claim, held in claims.items()]
    return "\n" + "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for seed in range(parser.parse_args().seeds):
        rows += [sine_waves(seed), *goals(seed)]
        print(*rows[-3:], sep="\n", flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "maml.json").write_text(json.dumps(rows, indent=1) + "\n")
    lines = [
        f"| {one['measure']} | {one['agent']} | {one['seed']} | "
        + ", ".join(f"{mean} ± {error}" for mean, error in zip(one["means"], one["errors"], strict=True))
        + f" | {one['steps']:,} | {one['seconds']:.0f} |\n"
        for one in rows
    ]
    (RESULTS / "maml.md").write_text(HEADING + "".join(lines) + verdicts(rows))


if __name__ == "__main__":
    main()
