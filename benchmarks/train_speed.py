"""Training speed beside other libraries: same task, algorithm and network, on one core, until the same return.

    python benchmarks/train_speed.py [RACE ...] [--least 3] [--most 30]

The other side collects as its users do, from `gymnasium.make` environments in its DummyVecEnv, at one or more settings,
the fastest of which is compared; a further row gives it this suite's batched adapter. Seconds are the processor's and
of learning alone: the clock stands while greedy episodes are scored. Where learning is compiled, compiling counts on
the way to the return, but not in the rate. MAML's rows are updates on the same points.
Rewrites the rows of the races it ran in benchmarks/results/train_speed.json and benchmarks/results/train_speed.md.
"""

from __future__ import annotations

import argparse
import json
import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from rivals.maml_loop import maml_rates  # type: ignore[import-not-found]
from rivals.peers import Result  # type: ignore[import-not-found]
from rivals.races import RACES, Race  # type: ignore[import-not-found]

RESULTS = Path(__file__).parent / "results"
INSTALL = {  # imitation asks for older versions than it runs with; the extra has what it needs beside them
    "sb3_contrib": "pip install 'palaestra[bench]'",
    "imitation": "pip install 'palaestra[bench]' && pip install --no-deps 'imitation>=1.0.1'",
}
HEADING = """Written by `python benchmarks/train_speed.py` on one core: steps per second of the whole loop (of MAML,
updates), and processor seconds of learning until greedy episodes reach the return, each side's best; ">" where the
other side was given up. Compiling counts in the seconds, not in the rate. "Holds": this suite has the wanted multiple
of the other's rate, and reaches the return first.

"""


def cells(race: Race, side: str, setting: str, result: Result) -> dict[str, Any]:
    """One run."""
    reached = result.target_seconds
    return {
        "race": race.name,
        "task": race.goal.task,
        "target": race.goal.target,
        "factor": race.factor,
        "side": side,
        "setting": setting,
        "rate": round(result.steps / result.seconds),
        "target_steps": result.target_steps,
        "target_seconds": None if reached is None else round(reached, 2),
        "seconds": round(result.seconds, 2),
    }


def run(race: Race, clock: dict[str, float]) -> list[dict[str, Any]]:
    """All runs of a race."""
    rows = []
    sides = {"Palaestra": race.ours, race.peer: race.theirs, f"{race.peer}, our adapter": race.adapted}
    for side, runs in sides.items():
        for setting, learn in runs.items():
            rows.append(cells(race, side, setting, learn(clock)))
            print(detail(rows[-1]), flush=True)
    return rows


def maml(clock: dict[str, float]) -> list[dict[str, Any]]:
    """This suite's updates and a loop's."""
    row: dict[str, Any] = {"race": "MAML, 25 tasks", "task": "palaestra/Sinusoid-v0", "target": None, "factor": 8}
    row |= {"setting": "40-40", "target_steps": None, "target_seconds": None, "seconds": clock["least"]}
    rates = zip(("Palaestra", "a loop over tasks"), maml_rates(clock["least"]), strict=True)
    rows = [row | {"side": side, "rate": round(rate, 1)} for side, rate in rates]
    print(*map(detail, rows), sep="\n", flush=True)
    return rows


def detail(row: dict[str, Any]) -> str:
    """A run as a row of the table of all runs."""
    reached = "–" if row["target_seconds"] is None else f"{row['target_seconds']:.1f}"
    steps = "–" if row["target_steps"] is None else f"{row['target_steps']:,}"
    names = (row["race"], row["task"], row["side"], row["setting"])
    return f"| {' | '.join(names)} | {row['rate']:,} | {steps} | {reached} | {row['seconds']:.1f} |"


def verdict(rows: list[dict[str, Any]]) -> str:
    """A race as a row of the table of ratios."""
    sides = [*dict.fromkeys(row["side"] for row in rows)][:2]
    ours, theirs = ([row for row in rows if row["side"] == side] for side in sides)
    rates = [max(row["rate"] for row in own) for own in (ours, theirs)]
    times = [min(row["target_seconds"] or math.inf for row in own) for own in (ours, theirs)]
    seconds, ratio = [f"{time:.1f}" if time < math.inf else "–" for time in times], times[1] / times[0]
    told = f"{ratio:.1f}" if 0 < ratio < math.inf else "–"
    if times[0] < times[1] == math.inf:
        given_up = max(row["seconds"] for row in theirs)
        seconds[1], told = f"> {given_up:.1f}", f"> {given_up / times[0]:.1f}"
    raced = rows[0]["target"] is not None
    holds = rates[0] >= rows[0]["factor"] * rates[1] and (not raced or times[0] < times[1])
    parts = (
        rows[0]["race"], rows[0]["task"], sides[1], *(f"{rate:,}" for rate in rates), f"{rates[0] / rates[1]:.1f}",
        f"{rows[0]['target']:g}" if raced else "–", *seconds, told, str(rows[0]["factor"]),
        "yes" if holds else "**no**",
    )  # fmt: skip
    return f"| {' | '.join(parts)} |"


def report(rows: list[dict[str, Any]]) -> str:
    """Both tables."""
    races: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        races.setdefault((row["race"], row["task"]), []).append(row)
    heads = "algorithm | task | beside | steps/s | its steps/s | ratio | return | seconds | its seconds | ratio"
    runs = "algorithm | task | library | setting | steps/s | steps to the return | seconds to it | seconds in all"
    lines = [f"| {heads} | wanted | holds |", "|" + "---|" * 12, *(verdict(own) for own in races.values())]
    lines += ["", "Every run; a setting is environments x steps between updates, then what an update is.", ""]
    lines += [f"| {runs} |", "|" + "---|" * 8, *map(detail, rows)]
    return "\n".join(lines) + "\n"


def main() -> None:
    names = [*dict.fromkeys(race.name for race in RACES), "MAML, 25 tasks"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "races", nargs="*", choices=[[], *names], metavar="RACE", help=f"which; all if left out: {names}"
    )
    parser.add_argument("--least", type=float, default=3.0, help="seconds that each run learns for")
    parser.add_argument("--most", type=float, default=30.0, help="seconds after which a run is given up")
    arguments = parser.parse_args()
    clock = {"least": arguments.least, "most": arguments.most}
    torch.set_num_threads(1)
    RESULTS.mkdir(exist_ok=True)
    kept = RESULTS / "train_speed.json"
    rows = json.loads(kept.read_text()) if kept.exists() else []
    by_race: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        by_race.setdefault((row["race"], row["task"]), []).append(row)
    for race in RACES:
        if arguments.races and race.name not in arguments.races:
            continue
        if find_spec(race.module) is None:
            print(f"{race.name}: {race.peer} is not installed: {INSTALL[race.module]}")
            continue
        by_race[race.name, race.goal.task] = run(race, clock)
    if not arguments.races or names[-1] in arguments.races:
        by_race[names[-1], "palaestra/Sinusoid-v0"] = maml(clock)
    rows = [row for own in by_race.values() for row in own]
    kept.write_text(json.dumps(rows, indent=1) + "\n")
    (RESULTS / "train_speed.md").write_text(HEADING + report(rows))


if __name__ == "__main__":
    main()
