"""Total reward of the meta-learning tasks' agents beside the values of Duan et al. (2016), RL².

    python benchmarks/fidelity.py [SCENARIO ...]

Each agent has its scenario's preset and is scored over problems that no preset was chosen on; one that learns is
trained first. The published values are means over 1000 problems, so they have a standard error themselves. Rewrites
the rows of the scenarios it ran in benchmarks/results/fidelity.json and the table in benchmarks/results/fidelity.md.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from pathlib import Path
from typing import Any

import torch

from palaestra.scenarios import catalogue, run

RESULTS = Path(__file__).parent / "results"
PROBLEMS, PARALLEL, PAPER = 16_384, 1024, 1000  # scored, at once, and behind each published value
PUBLISHED: dict[str, dict[str, float | None]] = {  # by scenario and agent; None where none is quoted
    "bernoulli-bandit-5x10": {
        "random": 5.0, "gittins": 6.6, "thompson": 5.7, "ucb1": 6.7, "greedy": 6.6, "epsilon_greedy": None,
    },
    "bernoulli-bandit-10x10": {
        "random": 5.0, "gittins": 6.6, "thompson": 5.5, "ucb1": 6.7, "greedy": 6.6, "epsilon_greedy": None,
    },
    "bernoulli-bandit-5x100": {
        "random": 49.9, "gittins": 78.3, "thompson": 74.7, "ucb1": 78.0, "greedy": 74.8, "epsilon_greedy": None,
    },
    "tabular-mdp-10": {"random": 100.1, "posterior_sampling": 138.1, "optimistic_planning": None},
    "tabular-mdp-25": {"random": 250.2, "posterior_sampling": 408.8, "optimistic_planning": None},
}  # fmt: skip
HEADING = """Written by `python benchmarks/fidelity.py`: total reward of a trial beside Duan et al. (2016), with errors.
The published values are means over 1000 problems; their error is taken from the deviation measured here. "Near" is
within 2 standard errors of the difference and 1 % of the published value; a dash where none is quoted.

Every bandit method starts from a Beta(1, 1) prior; the Gittins index is that of the pulls left, without discount. On
MDPs the priors are Dirichlet(1, ..., 1) for transitions and N(0, 1) for mean rewards. The widths of UCB1 and of
optimistic planning, and ε, were chosen on a grid over other problems.

"""


def measure(scenario: str, agent: str, published: float | None) -> dict[str, Any]:
    """Trains the agent if it learns, scores it, and compares."""
    experiment = catalogue.get(scenario)
    protocol = experiment.evaluation.model_copy(update={"episodes": PROBLEMS, "num_envs": PARALLEL})
    experiment = experiment.model_copy(update={"evaluation": protocol})
    with tempfile.TemporaryDirectory() as root:
        row = run(experiment, agent, root=root)
    error, of_paper = row.return_std / math.sqrt(row.episodes), row.return_std / math.sqrt(PAPER)
    near = None
    if published is not None:
        near = abs(row.return_mean - published) <= 2 * math.hypot(error, of_paper) + 0.01 * published
    return {
        "scenario": scenario,
        "agent": agent,
        "published": published,
        "published_error": round(of_paper, 3),
        "measured": round(row.return_mean, 3),
        "measured_error": round(error, 3),
        "problems": row.episodes,
        "steps": row.steps,
        "near": near,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    lines = ["| scenario | agent | published | measured | near |", "|---|---|---|---|---|"]
    verdict = {True: "yes", False: "**no**", None: "–"}
    for row in rows:
        published = "–" if row["published"] is None else f"{row['published']:.1f} ± {row['published_error']:.2f}"
        measured = f"{row['measured']:.2f} ± {row['measured_error']:.2f}"
        lines.append(f"| {row['scenario']} | {row['agent']} | {published} | {measured} | {verdict[row['near']]} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", help="which; all of them if left out")
    wanted = parser.parse_args().scenarios
    torch.set_num_threads(1)
    RESULTS.mkdir(exist_ok=True)
    kept = RESULTS / "fidelity.json"
    rows = {(row["scenario"], row["agent"]): row for row in json.loads(kept.read_text())} if kept.exists() else {}
    for scenario in PUBLISHED:
        if wanted and scenario not in wanted:
            continue
        for agent, published in PUBLISHED[scenario].items():
            rows[scenario, agent] = row = measure(scenario, agent, published)
            print(table([row]).splitlines()[-1], flush=True)
            ordered = [rows[key] for key in ((s, a) for s in PUBLISHED for a in PUBLISHED[s]) if key in rows]
            kept.write_text(json.dumps(ordered, indent=1) + "\n")
            (RESULTS / "fidelity.md").write_text(HEADING + table(ordered))


if __name__ == "__main__":
    main()
