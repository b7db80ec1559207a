"""Implicit and conservative Q-learning beside behaviour cloning, on the same recordings of good and bad driving.

    python benchmarks/offline.py [--seeds 3]

In 32 environments of Road 128 steps are recorded: of the task's expert in a share of them, of random steering in the
others. All agents learn from all of it, 200,000 labels or recorded steps each, with the same networks and learning
rate. Rewrites benchmarks/results/offline.md; what is told is the mean return of 1024 episodes, over seeds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from palaestra import agents, envs
from palaestra.scenarios import catalogue

RESULTS = Path(__file__).parent / "results"
SHARES = (1.0, 0.5, 0.0)
NAMES = {"iql": "implicit Q-learning", "cql": "conservative Q-learning", "behaviour_cloning": "behaviour cloning"}


def returns(share: float, seed: int) -> dict[str, float]:
    """The mean return of each agent after learning from one recording."""
    scenario = catalogue.get("road-mixed")
    env = envs.make_batched(scenario.environment, scenario.num_envs, seed=seed)
    first: Any = agents.make("iql", env, seed=seed, **scenario.agents["iql"] | {"expert_share": share})
    second: Any = agents.make("cql", env, seed=seed, **scenario.agents["cql"] | {"expert_share": share})
    third: Any = agents.make("behaviour_cloning", env, seed=seed, learning_rate=1e-3, anneal=True, minibatch_size=256)
    found = {}
    for agent in (first, second, third):
        agent.demonstration = first.demonstration
        agent.train(env, scenario.steps)
        test = envs.make_batched(scenario.environment, 512, seed=2**40 + seed)
        found[agent.name] = float(agents.evaluate(agent, test, 1024, seed=2**40 + seed).returns.mean())
    return found


def main() -> None:
    """Measures, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    torch.set_num_threads(1)
    began, lines = time.process_time(), []
    for share in SHARES:
        found = [returns(share, seed) for seed in range(seeds)]
        cells = [f"{share:.0%}"]
        for name in NAMES:
            values = [one[name] for one in found]
            cells.append(f"{statistics.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})")
        lines.append(f"| {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    head = ["| recordings by the expert |", *(f" {name} |" for name in NAMES.values())]
    text = [
        "# Learning from recordings of good and bad driving",
        "",
        f"Mean return on Road (the expert's is 0, random steering's about -51) over {seeds} seeds, with the least and",
        "the largest of them.",
        "",
        "".join(head),
        "|---" * (len(NAMES) + 1) + "|",
        *lines,
        "",
        f"{time.process_time() - began:.0f} seconds of one core. `python benchmarks/offline.py` measures it again.",
        "",
    ]
    (RESULTS / "offline.md").write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
