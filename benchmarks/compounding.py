"""Where errors compound: behaviour cloning beside DAgger with the same number of expert labels, by horizon.

    python benchmarks/compounding.py [--seeds 10]

Behaviour cloning sees only the states of an expert that never errs, so its own small errors add up and its cost grows
faster than the horizon; DAgger is told how to come back (Ross, Gordon and Bagnell, 2011). Writes the table
benchmarks/results/compounding.md and the plot benchmarks/results/compounding.html.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from statistics import mean, stdev

import plotly.graph_objects as plots  # type: ignore[import-untyped]
import torch
from scipy import stats

from palaestra import agents
from palaestra.envs import make_batched

RESULTS = Path(__file__).parent / "results"
HORIZONS = (8, 16, 32, 64, 128)
AGENTS = {"behaviour_cloning": "behaviour cloning", "dagger": "DAgger"}
ROAD = "palaestra/Road-v0"
LABELS, NUM_ENVS, EPISODES = 4096, 32, 256


def cost(name: str, horizon: int, seed: int) -> float:
    """The mean offset summed over an episode, of an agent that learned from `LABELS` labels."""
    env = make_batched(ROAD, NUM_ENVS, seed=(seed + 1) * 2**24, length=horizon)
    agent = agents.make(name, env, seed=seed, rollout_steps=16, updates=50, minibatch_size=256, learning_rate=3e-3)
    list(agent.learn(env, LABELS))
    tested = make_batched(ROAD, EPISODES, length=horizon)
    return -float(agents.evaluate(agent, tested, EPISODES, seed=2**41).returns.mean())


def interval(values: list[float]) -> tuple[float, float]:
    """Mean and half the width of its 95 % interval, by Student's t."""
    spread = stdev(values) / math.sqrt(len(values))
    return mean(values), float(stats.t.ppf(0.975, len(values) - 1)) * spread


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    seeds = range(parser.parse_args().seeds)
    torch.set_num_threads(1)
    lines = [
        f"Written by `python benchmarks/compounding.py`; cost of an episode after {LABELS:,} expert labels, mean and "
        f"95 % interval over {len(seeds)} seeds.",
        "",
        "| horizon | behaviour cloning | DAgger | difference | apart |",
        "|---|---|---|---|---|",
    ]
    gaps = []
    for horizon in HORIZONS:
        cloned, aggregated = ([cost(name, horizon, seed) for seed in seeds] for name in AGENTS)
        (a, wide), (b, narrow) = interval(cloned), interval(aggregated)
        gap, half = interval([x - y for x, y in zip(cloned, aggregated, strict=True)])
        gaps.append((horizon, gap, half))
        cells = (f"{a:.2f} ± {wide:.2f}", f"{b:.2f} ± {narrow:.2f}", f"{gap:.2f} ± {half:.2f}")
        lines.append(f"| {horizon} | {' | '.join(cells)} | {'yes' if a - wide > b + narrow else '**no**'} |")
        print(lines[-1], flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "compounding.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    across, up, error = zip(*gaps, strict=True)
    figure = plots.Figure(plots.Scatter(x=across, y=up, error_y={"array": error}, mode="lines+markers"))
    figure.update_layout(
        title=f"What DAgger saves over behaviour cloning, {LABELS:,} labels each",
        xaxis_title="horizon, steps",
        yaxis_title="difference of an episode's cost",
    )
    figure.write_html(RESULTS / "compounding.html", include_plotlyjs="cdn")


if __name__ == "__main__":
    main()
