"""MAML by gradient step: the papers' sine waves beside published errors, and PointGoal beside a joint policy and RL².

    python benchmarks/maml.py [--seeds 3]

Sine waves have the setting of Finn et al. (2017): one step of 0.01, 25 tasks in each of 5,000 meta-iterations, two
hidden layers of 40 ReLUs; K = 5, 10 and 20 points. An episode asks for one point more, because the last one's answer is
not shown. The same weights then take up to ten steps on the same K points. PointGoal has four episodes of 100 steps;
MAML takes one gradient step after each but the last, all with random actions; the joint policy is PPO without memory on
single episodes of it, with as many environment steps; RL² has a GRU and more of them. Rewrites
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
PUBLISHED = {
    5: (1.13, 0.18),
    10: (0.77, 0.11),
    20: (0.48, 0.08),
}  # MAML's error after one step, Li et al. (2017), table 1
INNER_STEPS = 10  # scored at most, of weights that were learned for one
WAVES, GOALS = "Sinusoid, K = {shots}, squared error", "PointGoal, return of an episode"
HEADING = """Written by `python benchmarks/maml.py`: one row a seed, with the standard error over 2,000 unseen tasks.

In each task the first value is that of the weights before any gradient step. Of sine waves the next ones are those
after 1 to 10 steps on the same K points, by weights that were learned for one step. Of PointGoal they are those after
one gradient step on the episode before, and so on; each episode is played once, so a gradient step sees one episode.
"ppo" is the joint policy: one for all goals, which it does not see; "rl2" takes no gradient steps, it remembers: a
value is an episode's. Environment steps are those of training, counted over all environments; seconds are CPU time of
one core.

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


def sine_waves(seed: int, shots: int) -> dict[str, Any]:
    """The mean squared error before and after one gradient step on `shots` points, and after more of them."""
    points, iterations = shots + 1, 5000
    make = lambda num_envs, seed: make_batched("palaestra/Sinusoid-v0", num_envs, seed=seed, points=points)  # noqa: E731
    env = make(500, (seed + 1) * 2**24)
    settings: dict[str, Any] = {"support_steps": points, "rollout_steps": 2 * points}
    agent, seconds = trained("maml", env, 2 * points * 25 * iterations, seed, **settings)
    errors = list(-by_episode(agent, make(TASKS, 0), 2, points, greedy=True) / points)
    for count in range(2, INNER_STEPS + 1):
        stepping = agents.make("maml", env, seed=seed, inner_steps=count, **settings)
        stepping.load_state_dict(agent.state_dict())
        errors.append(-by_episode(stepping, make(TASKS, 0), 2, points, greedy=True)[1] / points)
    return row(WAVES.format(shots=shots), agent, seed, torch.stack(errors), seconds)


def goals(seed: int) -> list[dict[str, Any]]:
    """The return of an episode after each of three gradient steps, that of a policy for all goals, and those of RL²."""
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
    settings = {"memory": "gru", "hidden": (64,), "rollout_steps": 25, "minibatches": 4, "learning_rate": 1e-3}
    settings |= {"anneal": True, "gamma": 0.9, "gae_lambda": 0.9}  # those of the scenario point-goal
    recurrent, recurrent_seconds = trained("rl2", make(256, start, episodes), 4_500_000, seed, **settings)
    remembered = by_episode(recurrent, make(TASKS, 0, episodes), episodes, length, greedy=True)
    return [
        row(GOALS, maml, seed, found, seconds),
        row(GOALS, joint, seed, alone, joint_seconds),
        row(GOALS, recurrent, seed, remembered, recurrent_seconds),
    ]


def rises(rows: list[dict[str, Any]]) -> list[bool]:
    """Whether each value lies above the one before by more than two standard errors."""
    return [
        later - earlier > 2 * math.hypot(error, later_error)
        for one in rows
        for (earlier, later), (error, later_error) in zip(
            itertools.pairwise(one["means"]), itertools.pairwise(one["errors"]), strict=True
        )
    ]


def verdicts(rows: list[dict[str, Any]]) -> str:
    """Whether each claim holds for every seed."""
    waves = {shots: [one for one in rows if one["measure"] == WAVES.format(shots=shots)] for shots in PUBLISHED}
    maml, joint, rl2 = (
        [one for one in rows if (one["measure"], one["agent"]) == (GOALS, name)] for name in ("maml", "ppo", "rl2")
    )
    claims = {
        f"Sine waves, K = {shots}: one step leaves an error of at most {error:.2f} ± {spread:.2f}, the published": [
            one["means"][1] <= error + spread for one in waves[shots]
        ]
        for shots, (error, spread) in PUBLISHED.items()
    }
    claims |= {
        "Sine waves: ten steps on the same points leave less error than one": [
            one["means"][10] < one["means"][1] for shots in PUBLISHED for one in waves[shots]
        ],
        "PointGoal: each gradient step raises the return by more than two standard errors": rises(maml),
        "PointGoal: after the last gradient step MAML returns more than the joint policy": [
            one["means"][-1] > other["means"][0] for one, other in zip(maml, joint, strict=True)
        ],
        "PointGoal: in the last episode RL² returns more than the joint policy": [
            one["means"][-1] > other["means"][0] for one, other in zip(rl2, joint, strict=True)
        ],
        "PointGoal: RL²'s second episode returns more than its first by more than two standard errors": [
            rises([one])[0] for one in rl2
        ],
    }
    lines = [f"- {claim}: {'yes' if all(held) else '**no**'}, {len(joint)} seeds" for claim, held in claims.items()]
    return "\n" + "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for seed in range(parser.parse_args().seeds):
        for one in itertools.chain((sine_waves(seed, shots) for shots in PUBLISHED), goals(seed)):
            rows.append(one)
            print(one, flush=True)
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
