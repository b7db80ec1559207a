"""Total reward of the meta-learning tasks' agents beside the values of Duan et al. (2016), RL².

    python benchmarks/fidelity.py [SCENARIO ...] [--agents NAME ...] [--seeds 1]

Each agent has its scenario's preset and is scored over problems that no preset was chosen on; one that learns is
trained first, once for each seed. The published values are means over 1000 problems, so they have a standard error
themselves. RL² is scored twice: as it is, and with its memory wiped between the episodes of a trial; PPO without a
memory stands beside it. Rewrites the rows of what it ran in benchmarks/results/fidelity.json, the table in
benchmarks/results/fidelity.md and RL²'s learning curves in benchmarks/results/fidelity.html.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import plotly.graph_objects as plots  # type: ignore[import-untyped]
import torch
from torch import Tensor

from palaestra.agents import evaluate
from palaestra.agents.core.agent import Agent, Memory
from palaestra.scenarios import catalogue, run
from palaestra.scenarios.environments import make_environment
from palaestra.scenarios.runner import EVALUATION_SEED, load_agent

RESULTS = Path(__file__).parent / "results"
PROBLEMS, PARALLEL, PAPER = 16_384, 1024, 1000  # scored, at once, and behind each published value
POINTS = 60  # of a learning curve that are kept
PUBLISHED: dict[str, dict[str, float | None]] = {  # by scenario and agent; None where none is quoted
    "bernoulli-bandit-5x10": {
        "random": 5.0, "gittins": 6.6, "thompson": 5.7, "ucb1": 6.7, "greedy": 6.6, "epsilon_greedy": None, "ppo": None,
        "rl2": 6.7,
    },
    "bernoulli-bandit-10x10": {
        "random": 5.0, "gittins": 6.6, "thompson": 5.5, "ucb1": 6.7, "greedy": 6.6, "epsilon_greedy": None, "ppo": None,
        "rl2": 6.7,
    },
    "bernoulli-bandit-5x100": {
        "random": 49.9, "gittins": 78.3, "thompson": 74.7, "ucb1": 78.0, "greedy": 74.8, "epsilon_greedy": None,
        "ppo": None, "rl2": 78.7,
    },
    "tabular-mdp-10": {
        "random": 100.1, "posterior_sampling": 138.1, "optimistic_planning": None, "ppo": None, "rl2": 156.2,
    },
    "tabular-mdp-25": {
        "random": 250.2, "posterior_sampling": 408.8, "optimistic_planning": None, "ppo": None, "rl2": 445.7,
    },
}  # fmt: skip
LEARNERS = ("ppo", "rl2")
HEADING = """Written by `python benchmarks/fidelity.py`: total reward of a trial beside Duan et al. (2016), with errors.
The published values are means over 1000 problems; their error is taken from the deviation measured here. "Near" is
within 2 standard errors of the difference and 1 % of the published value; for RL², at most 2 % below the published
value; a dash where none is quoted. "Wiped" is the same RL² with its memory wiped at every episode of a trial, and PPO
has no memory. Minutes are of training and scoring, on one core. RL² here remembers by exact counts and scores every
action by the same perceptron (`network=per_action`, one preset for bandits and one for MDPs); the paper's has a GRU.

Every bandit method starts from a Beta(1, 1) prior; the Gittins index is that of the pulls left, without discount. On
MDPs the priors are Dirichlet(1, ..., 1) for transitions and N(0, 1) for mean rewards. The widths of UCB1 and of
optimistic planning, and ε, were chosen on a grid over other problems.

"""


class Wiped:
    """An agent whose memory is wiped at every episode of a trial, not only at the trial's start."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent

    def __getattr__(self, name: str) -> Any:
        """All but how it acts is the agent's."""
        return getattr(self.agent, name)

    def act(self, observation: Any, memory: Memory, start: Tensor, *, greedy: bool) -> tuple[Tensor, Memory]:
        """What the agent does with its memory wiped where an episode starts."""
        return self.agent.act(observation, memory, start | (observation["episode_start"][:, 0] > 0), greedy=greedy)


def measure(scenario: str, agent: str, seed: int, published: float | None) -> list[dict[str, Any]]:
    """Trains the agent if it learns, scores it, and compares; a second row for RL² with its memory wiped."""
    experiment = catalogue.get(scenario)
    protocol = experiment.evaluation.model_copy(update={"episodes": PROBLEMS, "num_envs": PARALLEL})
    experiment = experiment.model_copy(update={"evaluation": protocol})
    with tempfile.TemporaryDirectory() as root:
        started = time.process_time()
        result = run(experiment, agent, seed, root=root)
        seconds = time.process_time() - started
        row = compared(scenario, agent, seed, result.return_mean, result.return_std, published)
        if agent not in LEARNERS:
            return [row]
        row |= {"steps": result.steps, "minutes": round(seconds / 60, 1)}
        if agent != "rl2":
            return [row]
        row["curve"] = curve(Path(result.folder) / "metrics.jsonl")
        env = make_environment(experiment, PARALLEL, evaluation=True)
        wiped: Any = Wiped(load_agent(result.folder, env))
        returns = evaluate(wiped, env, PROBLEMS, seed=EVALUATION_SEED).returns
    return [row, compared(scenario, "rl2, wiped", seed, float(returns.mean()), float(returns.std()), None)]


def compared(
    scenario: str, agent: str, seed: int, measured: float, deviation: float, published: float | None
) -> dict[str, Any]:
    """A row: what was measured beside what was published, if anything was."""
    error, of_paper = deviation / math.sqrt(PROBLEMS), deviation / math.sqrt(PAPER)
    near = None
    if published is not None and agent in LEARNERS:
        near = measured >= 0.98 * published
    elif published is not None:
        near = abs(measured - published) <= 2 * math.hypot(error, of_paper) + 0.01 * published
    return {
        "scenario": scenario,
        "agent": agent,
        "seed": seed,
        "published": published,
        "published_error": round(of_paper, 3),
        "measured": round(measured, 3),
        "measured_error": round(error, 3),
        "near": near,
    }


def curve(log: Path) -> list[tuple[int, float]]:
    """Steps and mean return of the trials that ended, at most `POINTS` of them."""
    reports = [json.loads(line) for line in log.read_text().splitlines()]
    points = [(int(report["steps"]), round(report["return"], 3)) for report in reports if "return" in report]
    return points[:: max(1, len(points) // POINTS)]


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    lines = ["| scenario | agent | seed | published | measured | near | steps | minutes |", "|---" * 8 + "|"]
    verdict = {True: "yes", False: "**no**", None: "–"}
    for row in rows:
        published = "–" if row["published"] is None else f"{row['published']:.1f} ± {row['published_error']:.2f}"
        measured = f"{row['measured']:.2f} ± {row['measured_error']:.2f}"
        spent = f"{row['steps']:,} | {row['minutes']}" if "steps" in row else "– | –"
        cells = (row["scenario"], row["agent"], str(row["seed"]), published, measured, verdict[row["near"]], spent)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def plot(rows: list[dict[str, Any]]) -> plots.Figure:
    """RL²'s learning curves, each as a share of the published value."""
    figure = plots.Figure()
    for row in rows:
        if "curve" in row:
            steps, returns = zip(*row["curve"], strict=True)
            name = f"{row['scenario']}, seed {row['seed']}"
            figure.add_scatter(x=steps, y=[value / row["published"] for value in returns], name=name)
    figure.add_hline(y=1, line_dash="dash")
    figure.update_layout(
        title="RL², return of a trial while it learns, against Duan et al. (2016)",
        xaxis_title="environment steps",
        yaxis_title="share of the published value",
    )
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", help="which; all of them if left out")
    parser.add_argument("--agents", nargs="*", help="which; all of them if left out")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each agent that learns")
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    RESULTS.mkdir(exist_ok=True)
    kept = RESULTS / "fidelity.json"
    order = {(s, a): place for place, (s, a) in enumerate((s, a) for s in PUBLISHED for a in PUBLISHED[s])}
    for scenario, agent in order:
        if scenario not in (wanted.scenarios or PUBLISHED) or agent not in (wanted.agents or PUBLISHED[scenario]):
            continue
        for seed in range(wanted.seeds if agent in LEARNERS else 1):
            found = measure(scenario, agent, seed, PUBLISHED[scenario][agent])
            print(*table(found).splitlines()[2:], sep="\n", flush=True)
            rows = json.loads(kept.read_text()) if kept.exists() else []
            by_key = {(row["scenario"], row["agent"], row["seed"]): row for row in [*rows, *found]}
            rows = sorted(by_key.values(), key=lambda one: order[one["scenario"], one["agent"].split(",")[0]])
            kept.write_text(json.dumps(rows, indent=1) + "\n")
            (RESULTS / "fidelity.md").write_text(HEADING + table(rows))
            plot(rows).write_html(RESULTS / "fidelity.html", include_plotlyjs="cdn")


if __name__ == "__main__":
    main()
