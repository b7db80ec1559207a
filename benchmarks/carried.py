"""RL²'s presets at sizes that they were not chosen for, beside what plans with the prior in hand.

    python benchmarks/carried.py [SCENARIO ...] [--seeds 1]

A row is a bandit of other arms and pulls, or a decision process of other episodes, than those that a preset was chosen
on. The preset of the nearest scenario trains an agent there unchanged; and the agent that learned at the scenario's own
size plays there without learning anew, as its network has no weights for an arm, a state or a time. Beside them stands
the Gittins index of the pulls left, or optimistic planning. Rewrites the rows of what it ran in
benchmarks/results/carried.json, and benchmarks/results/carried.md.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch

from palaestra import agents
from palaestra.agents.core.agent import Agent
from palaestra.scenarios import catalogue, run
from palaestra.scenarios.catalogue import Scenario
from palaestra.scenarios.environments import make_environment
from palaestra.scenarios.runner import EVALUATION_SEED, load_agent

RESULTS = Path(__file__).parent / "results"
PROBLEMS, PARALLEL = 16_384, 1024  # scored, and at once
NEAR = 0.98  # of the reference, which is to be reached


class Size(NamedTuple):
    """Where a preset is carried to, and what it is compared with there."""

    scenario: str
    options: dict[str, Any]
    reference: str
    settings: dict[str, Any]


SIZES = (
    Size("bernoulli-bandit-5x10", {"arms": 7, "episodes": 30}, "gittins", {"horizon": 30}),
    Size("bernoulli-bandit-10x10", {"arms": 20, "episodes": 20}, "gittins", {"horizon": 20}),
    Size("bernoulli-bandit-5x100", {"arms": 3, "episodes": 200}, "gittins", {"horizon": 200}),
    Size("bernoulli-bandit-5x100", {"arms": 10, "episodes": 60}, "gittins", {"horizon": 60}),
    Size("tabular-mdp-10", {"episodes": 5}, "optimistic_planning", {}),
    Size("tabular-mdp-10", {"episodes": 15}, "optimistic_planning", {}),
    Size("tabular-mdp-25", {"episodes": 40}, "optimistic_planning", {}),
)
HEADING = """Written by `python benchmarks/carried.py`: total reward of a trial with its standard error, at sizes
that no preset was chosen on. "Learned there" is an agent that the nearest scenario's preset trained at that size;
"learned elsewhere" is the agent of that scenario's own size, playing here without learning anew. The reference plans
with the prior in hand: the Gittins index of the pulls left, without discount, or optimistic planning, whose width was
chosen at 10 and 25 episodes. Shares are of the reference's reward. Minutes are of learning, on one core.

| preset of | here | seed | reference | learned there | share | learned elsewhere | share | minutes |
|---|---|---|---|---|---|---|---|---|
"""


@cache
def learned(name: str, seed: int, sized: tuple[tuple[str, int], ...], folder: Path) -> tuple[Agent, float]:
    """The scenario's agent, trained with these options of the environment, and the minutes that took."""
    scenario, started = catalogue.get(name).with_options(dict(sized)), time.process_time()
    quick = scenario.model_copy(update={"evaluation": scenario.evaluation.model_copy(update={"episodes": PARALLEL})})
    result = run(quick, None, seed, root=folder / f"{name}-{'-'.join(f'{k}{v}' for k, v in sized)}")
    return load_agent(result.folder, make_environment(quick, PARALLEL)), (time.process_time() - started) / 60


def scored(agent: Agent, scenario: Scenario) -> tuple[float, float]:
    """Mean reward of a trial and its standard error, over problems that no run starts from."""
    env = make_environment(scenario, PARALLEL, evaluation=True)
    returns = agents.evaluate(agent, env, PROBLEMS, seed=EVALUATION_SEED).returns
    return float(returns.mean()), float(returns.std()) / math.sqrt(PROBLEMS)


def measure(size: Size, seed: int, folder: Path) -> dict[str, Any]:
    """One row."""
    scenario = catalogue.get(size.scenario).with_options(size.options)
    env = make_environment(scenario, PARALLEL, evaluation=True)
    reference = agents.make(size.reference, env, **{**scenario.agents.get(size.reference, {}), **size.settings})
    here, minutes = learned(size.scenario, seed, tuple(size.options.items()), folder)
    away, _ = learned(size.scenario, seed, (), folder)
    moved = agents.make(away.name, env, **scenario.agents[away.name])
    moved.load_state_dict(away.state_dict())
    return {
        "scenario": size.scenario,
        "options": size.options,
        "seed": seed,
        "reference": [size.reference, *scored(reference, scenario)],
        "there": scored(here, scenario),
        "elsewhere": scored(moved, scenario),
        "minutes": round(minutes, 1),
    }


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    name, best, error = row["reference"]
    cells = [row["scenario"], ", ".join(f"{value} {key}" for key, value in row["options"].items()), str(row["seed"])]
    cells.append(f"{name}: {best:.2f} ± {error:.2f}")
    for mean, uncertain in (row["there"], row["elsewhere"]):
        cells += [f"{mean:.2f} ± {uncertain:.2f}", f"{mean / best:.3f}"]
    return f"| {' | '.join([*cells, str(row['minutes'])])} |\n"


def verdicts(rows: list[dict[str, Any]]) -> str:
    """In how many rows each kind comes near the reference."""
    told = {"there": "An agent that learned there", "elsewhere": "An agent that learned elsewhere"}
    counts = {kind: sum(row[kind][0] >= NEAR * row["reference"][1] for row in rows) for kind in told}
    return "\n" + "".join(
        f"- {name} reaches {NEAR:.0%} of the reference or more in {counts[kind]} of {len(rows)} rows\n"
        for kind, name in told.items()
    )


def main() -> None:
    names = tuple(dict.fromkeys(size.scenario for size in SIZES))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", choices=[[], *names], metavar="SCENARIO", help="whose presets; or all")
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(1)
    RESULTS.mkdir(exist_ok=True)
    kept = RESULTS / "carried.json"
    order = [(size.scenario, size.options) for size in SIZES]
    with tempfile.TemporaryDirectory() as root:
        for seed in range(given.seeds):
            for size in (size for size in SIZES if size.scenario in (given.scenarios or names)):
                row = measure(size, seed, Path(root))
                print(line(row), end="", flush=True)
                rows = json.loads(kept.read_text()) if kept.exists() else []
                by_key = {(one["scenario"], str(one["options"]), one["seed"]): one for one in [*rows, row]}
                rows = sorted(by_key.values(), key=lambda one: order.index((one["scenario"], one["options"])))
                kept.write_text(json.dumps(rows, indent=1) + "\n")
                (RESULTS / "carried.md").write_text(HEADING + "".join(map(line, rows)) + verdicts(rows))


if __name__ == "__main__":
    main()
