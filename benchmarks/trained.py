"""Trained agents for the main scenarios as small files: `trained/SCENARIO.pt`, and `trained/index.json` about them.

    python benchmarks/trained.py [SCENARIO ...] [--out trained] [--seed 0] [--root runs]

Each is its scenario's own agent, trained and scored as `palaestra train` does, and saved without what only learning
needs. What is there already is left alone; a run that was stopped goes on. Of one at hand:

    agent = palaestra.agents.load("trained/digits.pt")
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from palaestra.agents.core.whole_file import write_text
from palaestra.scenarios import run
from palaestra.scenarios.board import Row
from palaestra.scenarios.environments import make_environment
from palaestra.scenarios.runner import load_agent, read_plan, resume
from palaestra.scenarios.runner.keeping import kept_runs

MAIN = (
    "digits", "few-shot", "glimpse", "repeat-previous", "recall", "translate", "caption", "cloze", "pattern-completion",
    "point-goal", "bernoulli-bandit-5x10", "tabular-mdp-10", "evade", "denoise", "compose", "descent", "lif-neuron",
)  # fmt: skip


def trained(scenario: str, seed: int, root: Path) -> Row:
    """A finished run of the scenario's own agent with its own settings; one that was stopped is resumed."""
    for kept in kept_runs(root, scenario):
        if (kept.state, kept.seed, kept.label) == ("stopped", seed, kept.agent):
            return resume(kept.folder)
    return run(scenario, seed=seed, root=root)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", default=MAIN, metavar="SCENARIO", help=f"which; if left out: {MAIN}")
    parser.add_argument("--out", type=Path, default=Path("trained"), help="folder of the agents")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--root", type=Path, default=Path("runs"), help="folder of the runs")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    index = given.out / "index.json"
    told = json.loads(index.read_text()) if index.exists() else {}
    for scenario in given.scenarios:
        path = given.out / f"{scenario}.pt"
        if path.exists():
            print(f"{path} is there")
            continue
        row = trained(scenario, given.seed, given.root)
        plan = read_plan(row.folder)
        load_agent(row.folder, make_environment(plan.scenario, 1)).save(path, whole=False)
        told[scenario] = {
            "agent": row.agent,
            "seed": row.seed,
            "steps": row.steps,
            "score": row.score,
            "return": row.return_mean,
            "version": row.version,
            "bytes": path.stat().st_size,
        }
        write_text(index, json.dumps(told, indent=1) + "\n")
        print(f"{path}: {row.agent}, score {row.score}, {path.stat().st_size:,} bytes", flush=True)


if __name__ == "__main__":
    main()
