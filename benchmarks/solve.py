"""Does each scenario's agent solve it? Three seeds each, on one core, with the time each run takes.

    python benchmarks/solve.py [SCENARIO ...] [--seeds 3]

Rewrites the rows of the scenarios it ran in benchmarks/results/solve.json and the table in benchmarks/results/solve.md.
"""

from __future__ import annotations

import argparse
import json
import operator
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from palaestra.scenarios import run

RESULTS = Path(__file__).parent / "results"
COMPARE = {">=": operator.ge, "<=": operator.le}


@dataclass(frozen=True)
class Claim:
    """What a scenario's agent should reach on the scenario's own evaluation, for every seed."""

    scenario: str
    measure: str  # score, return or a metric
    relation: str
    bound: float
    settings: str = ""  # changes to the scenario's preset, as --set takes them


CLAIMS = (
    Claim("digits", "accuracy", ">=", 0.93),
    Claim("tabular", "accuracy", ">=", 0.9),
    Claim("repeat-previous", "score", ">=", 0.9),
    Claim("repeat-previous", "score", "<=", 0.5, "memory=null"),
    Claim("next-symbol", "score", ">=", 0.95),
    Claim("next-symbol", "score", "<=", 0.9, "memory=null"),
    Claim("bandit-trial", "return", ">=", 6.4),
    Claim("cartpole", "return", ">=", 475.0),
)


def measure(claim: Claim, seeds: int) -> dict[str, Any]:
    """Runs the claim's seeds and says what came out."""
    from palaestra.scenarios.main import parse_settings

    values, seconds = [], []
    with tempfile.TemporaryDirectory() as root:
        for seed in range(seeds):
            row = run(claim.scenario, None, seed, settings=parse_settings(claim.settings.split()), root=root)
            known = {"score": row.score, "return": row.return_mean, **row.metrics}
            values.append(round(float(known[claim.measure] or 0.0), 4))
            seconds.append(round(row.seconds, 1))
    holds = all(COMPARE[claim.relation](value, claim.bound) for value in values)
    return {
        "scenario": claim.scenario,
        "agent": f"{row.agent} {claim.settings}".strip(),
        "steps": row.steps,
        "claim": f"{claim.measure} {claim.relation} {claim.bound:g}",
        "measured": values,
        "seconds": seconds,
        "holds": holds,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| scenario | agent | steps | claim | measured, one value a seed | seconds | holds |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        measured, seconds = (", ".join(f"{value:g}" for value in row[name]) for name in ("measured", "seconds"))
        holds = "yes" if row["holds"] else "**no**"
        cells = (row["scenario"], row["agent"], f"{row['steps']:,}", row["claim"], measured, seconds, holds)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", help="which; all of them if left out")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    RESULTS.mkdir(exist_ok=True)
    kept = RESULTS / "solve.json"
    rows = {(row["scenario"], row["agent"]): row for row in json.loads(kept.read_text())} if kept.exists() else {}
    for claim in CLAIMS:
        if arguments.scenarios and claim.scenario not in arguments.scenarios:
            continue
        row = measure(claim, arguments.seeds)
        rows[row["scenario"], row["agent"]] = row
        print(table([row]).splitlines()[-1], flush=True)
        kept.write_text(json.dumps(list(rows.values()), indent=1) + "\n")
        text = "Written by `python benchmarks/solve.py`; one core, training time without evaluation.\n\n"
        (RESULTS / "solve.md").write_text(text + table(list(rows.values())))


if __name__ == "__main__":
    main()
