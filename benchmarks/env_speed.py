"""Environment steps per second on one core, eager and compiled, for every id, beside Gymnasium's CartPole.

    python benchmarks/env_speed.py [ID ...] [--seconds 0.5] [--sizes 1 64 4096 65536] [--ways eager compiled] [--survey]

One environment is `gymnasium.make`'s, reset whenever its episode ends; batches are the native ones (same-step
autoreset, final observations kept) beside Gymnasium's own vector CartPole. Actions are drawn and programs compiled
before the clock starts. Seconds are the processor's, and a number is the best of three tries; CartPole's turn comes
before and after each id's. A batched row tells whether a network is inside, and hence which line the faster way must
hold. `--survey` measures sizes 64 and 4,096 only, 0.15 s a cell, so that a row of every id is affordable; compiling is
most of what it takes, which `--ways eager` leaves out.
Rewrites the rows of the ids and sizes it ran in benchmarks/results/env_speed.json, and benchmarks/results/env_speed.md.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch

import palaestra.envs as envs
from palaestra.envs.core.actions import random_action

RESULTS = Path(__file__).parent / "results"
SIZES = (1, 64, 4096, 65536)
ACTIONS, TRIES = 16, 3  # different (batches of) actions, used in turn; of which the best counts
LINE, LINE_WITH_NETWORK = 500_000, 50_000  # steps a second that a batch holds at some size
WAYS = ("eager", "compiled")
SURVEY = {"sizes": (64, 4096), "seconds": 0.15}
HEADING = """Written by `python benchmarks/env_speed.py`: environment steps per second of the processor, on one core, in
thousands: eager, compiled, and how many times Gymnasium's CartPole-v1 of that size, measured beside it, the faster is.
A task must reach its line, which is lower where a network is inside (marked), in a batch of some size; "below" says
that no measured batch has. What is not measured has a dash.

"""


def rate(step: Callable[[int], object], size: int, seconds: float) -> float:
    """Environment steps per second of `step`, which takes a running number and steps `size` environments."""
    best, count = 0.0, 0
    for _ in range(TRIES + 1):  # the first one warms up
        started, before = time.process_time(), count
        while time.process_time() - started < seconds / TRIES:
            for _ in range(10):
                step(count)
                count += 1
        best = max(best, (count - before) * size / (time.process_time() - started))
    return best


def single(id: str, seconds: float, **options: Any) -> float:
    """Steps per second of one environment."""
    env = gymnasium.make(id, **options)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(ACTIONS)]

    def step(k: int) -> None:
        _, _, terminated, truncated, _ = env.step(actions[k % ACTIONS])
        if terminated or truncated:
            env.reset()

    env.reset(seed=0)
    env.reset()  # which compiles
    return rate(step, 1, seconds)


def batched(id: str, size: int, execution: str, seconds: float) -> float:
    """Steps per second of a batch."""
    env = envs.make_batched(id, size, seed=0, execution=execution)
    env.reset()
    generator = torch.Generator().manual_seed(0)
    actions = [random_action(env.action_space, size, generator) for _ in range(ACTIONS)]
    return rate(lambda k: env.step(actions[k % ACTIONS]), size, seconds)


def cartpole(size: int, seconds: float) -> float:
    """Steps per second of Gymnasium's, one or its own vector environment."""
    if size == 1:
        return single("CartPole-v1", seconds)
    env = gymnasium.make_vec("CartPole-v1", size, vectorization_mode="vector_entry_point")
    env.reset(seed=0)
    actions = np.random.default_rng(0).integers(0, 2, (ACTIONS, size))
    return rate(lambda k: env.step(actions[k % ACTIONS]), size, seconds)


def network_inside(id: str) -> bool:
    """Whether the task, with its default options, holds a module with parameters."""
    return next(envs.make_task(id).parameters(), None) is not None


def measure(id: str, size: int, seconds: float, ways: Sequence[str] = WAYS) -> dict[str, Any]:
    """One id at one size, as a row; a way that is not measured is None."""
    beside, row = cartpole(size, seconds), {"id": id, "size": size, **dict.fromkeys(WAYS)}
    for how in ways:
        row[how] = round(single(id, seconds, execution=how) if size == 1 else batched(id, size, how, seconds))
    if size > 1:
        row["network"] = network_inside(id)
    return row | {"cartpole": round(max(beside, cartpole(size, seconds))), "load": round(os.getloadavg()[0], 1)}


def fastest(row: dict[str, Any]) -> int:
    """Steps per second the faster way."""
    return max(row[how] for how in WAYS if row[how] is not None)


def told(row: dict[str, Any] | None) -> str:
    """The three cells of a size."""
    if row is None:
        return "– | – | –"
    rates = ["–" if row[how] is None else f"{row[how] / 1000:,.1f}" for how in WAYS]
    return f"{' | '.join(rates)} | {fastest(row) / row['cartpole']:.2g} ×"


def standing(rows: list[dict[str, Any]]) -> str:
    """The two cells of an id: its line, marked where a network is inside, and whether a batch holds it."""
    rows = [row for row in rows if "network" in row]
    if not rows:
        return "– | –"
    network = rows[-1]["network"]
    line = LINE_WITH_NETWORK if network else LINE
    held = any(fastest(row) >= line for row in rows)
    return f"{line / 1000:,.0f}{' (network)' if network else ''} | {'held' if held else '**below**'}"


def report(rows: dict[tuple[str, int], dict[str, Any]]) -> str:
    """A table with a line an id."""
    heads = [f"{'one' if size == 1 else f'{size:,}'}: eager | compiled | × CartPole" for size in SIZES]
    lines = [f"| environment | line | stands | {' | '.join(heads)} |", "|---|---:|---|" + "---:|" * (3 * len(SIZES))]
    for id in dict.fromkeys(id for id, _ in rows):
        name = id.removeprefix("palaestra/").removesuffix("-v0")
        stands = standing([row for (other, _), row in rows.items() if other == id])
        lines.append(f"| {name} | {stands} | {' | '.join(told(rows.get((id, size))) for size in SIZES)} |")
    loads = [row["load"] for row in rows.values()]
    return "\n".join(lines) + f"\n\nLoad of the machine while it was measured: {min(loads)} to {max(loads)}.\n"


def keep(row: dict[str, Any]) -> None:
    """Writes a row among those of other ids and sizes."""
    kept = RESULTS / "env_speed.json"
    rows = {(one["id"], one["size"]): one for one in json.loads(kept.read_text())} if kept.exists() else {}
    rows[row["id"], row["size"]] = row
    kept.write_text(json.dumps(list(rows.values()), indent=1) + "\n")
    (RESULTS / "env_speed.md").write_text(HEADING + report(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "ids", nargs="*", choices=[[], *envs.ids()], metavar="ID", help="which; all of them if left out"
    )
    parser.add_argument("--seconds", type=float, default=0.5, help="of measuring, a cell")
    parser.add_argument("--sizes", type=int, nargs="*", choices=SIZES, default=SIZES, help="how many environments")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, help="which to measure")
    parser.add_argument("--survey", action="store_true", help="what a row of every id takes at least, see above")
    arguments = parser.parse_args()
    if arguments.survey:
        parser.set_defaults(**SURVEY)
        arguments = parser.parse_args()
    torch.set_num_threads(1)
    for id in arguments.ids or envs.ids():
        for size in arguments.sizes:
            row = measure(id, size, arguments.seconds, arguments.ways)
            print(f"{id:34}{size:>7,}  {told(row)}", flush=True)
            keep(row)


if __name__ == "__main__":
    main()
