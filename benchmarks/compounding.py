"""Where errors compound: behaviour cloning beside DAgger with the same number of expert labels, by horizon.

    python benchmarks/compounding.py [--seeds 10]

Behaviour cloning sees only the states of an expert that never errs, so its own small errors add up and its cost grows
faster than the horizon; DAgger is told how to come back (Ross, Gordon and Bagnell, 2011). Writes the table
benchmarks/results/compounding.md and the plot benchmarks/results/compounding.html.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import plotly.graph_objects as plots  # type: ignore[import-untyped]
import torch
from scipy import stats
from torch import Tensor

from palaestra import agents
from palaestra.envs import BatchedEnv, Step, Task

RESULTS = Path(__file__).parent / "results"
HORIZONS = (8, 16, 32, 64, 128)
AGENTS = {"behaviour_cloning": "behaviour cloning", "dagger": "DAgger"}
LABELS, NUM_ENVS, EPISODES = 4096, 32, 256


@dataclass(frozen=True)
class RoadState:
    """A car on a winding road.

    Attributes:
        offset: (B,) its distance to the right of the road's middle.
        angle: (B,) where in its bends the road is, in radians.
    """

    offset: Tensor
    angle: Tensor


class Road(Task[RoadState]):
    """Steer along a winding road: each step bends away from under the car, and steering adds up.

    Observation: Box (3,) float32: offset, sine and cosine of the road's angle.
    Action: Box (1,) float32 in [-2, 2], how far to steer to the left.
    Reward: minus the offset after the step, at most 1 in size.
    Episode: truncated after `horizon` steps.
    Expert: steers against bend and offset, so it is in the middle after every step.
    """

    reset_noise, step_noise = 1, 1
    observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = spaces.Box(-2, 2, (1,), np.float32)

    def __init__(self, horizon: int) -> None:
        super().__init__()
        self.horizon = horizon

    def reset(self, noise: Tensor) -> RoadState:
        """In the middle, anywhere in the bends."""
        return RoadState(torch.zeros_like(noise[:, 0]), 2 * math.pi * noise[:, 0])

    def _bend(self, angle: Tensor) -> Tensor:
        return 0.4 * torch.sin(angle) + 0.3 * torch.sin(3 * angle)

    def step(self, state: RoadState, action: Tensor, noise: Tensor) -> Step[RoadState]:
        """The road bends, the car steers, and the next stretch of road comes."""
        offset = (state.offset + self._bend(state.angle) - action[:, 0]).clamp(-4, 4)
        following = RoadState(offset, state.angle + noise[:, 0])
        return Step(following, -offset.abs().clamp(max=1), torch.zeros_like(offset, dtype=torch.bool))

    def observe(self, state: RoadState) -> Tensor:
        """Offset and the road's angle."""
        return torch.stack([state.offset, state.angle.sin(), state.angle.cos()], 1)

    def expert(self, state: RoadState) -> Tensor:
        """Against bend and offset."""
        return (state.offset + self._bend(state.angle)).clamp(-2, 2)[:, None]

    def draw(self, state: RoadState, canvas: Any) -> None:
        """The car's place across the road."""
        canvas.text(f"offset {float(state.offset):.2f}", (canvas.width // 2, canvas.height // 2), anchor="center")


def cost(name: str, horizon: int, seed: int) -> float:
    """The mean offset summed over an episode, of an agent that learned from `LABELS` labels."""
    env = BatchedEnv(Road(horizon), NUM_ENVS, seed=(seed + 1) * 2**24)
    agent = agents.make(name, env, seed=seed, rollout_steps=16, updates=50, minibatch_size=256, learning_rate=3e-3)
    list(agent.learn(env, LABELS))
    return -float(agents.evaluate(agent, BatchedEnv(Road(horizon), EPISODES), EPISODES, seed=2**41).returns.mean())


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
