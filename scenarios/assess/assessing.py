"""Carrying an assessment out: what was not run yet is run, in several processes, and what was stopped goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from ...agents import names
from ...neural_blocks.registry import allowing_imports
from ..runner.carrying_out import prepare
from ..sweep.cells import Cell, begun, do, plan_of, reason
from ..sweep.workers import Died, Workers
from .battery import Contender, Item

LOOK = 0.5  # CPU seconds of learning that a run's time is estimated from
SCORED = 1.25  # what scoring and looking at a run meanwhile take beside its learning

OnCell = Callable[[Cell, int, int], None]


@dataclass(frozen=True)
class Estimate:
    """What is to do.

    Attributes:
        missing: runs.
        seconds: of one core that they take.
    """

    missing: int
    seconds: float


def cells(contenders: Sequence[Contender], items: Sequence[Item], seeds: int, root: Path, device: str) -> list[Cell]:
    """The runs of an assessment; one that does not learn has one on each scenario."""
    return [
        Cell(
            item.scenario, one.agent, dict(one.settings), seed, item.steps, root, "reporting",
            device=device, label=one.label,
        )
        for seed in range(seeds)
        for one in contenders
        for item in items
        if seed == 0 or one.learns
    ]  # fmt: skip


def assess(found: Sequence[Cell], jobs: int, on_cell: OnCell = lambda *_: None) -> list[Cell]:
    """Runs cells; those that are finished already are only read, and those that were stopped go on.

    Args:
        found: the runs of an assessment.
        jobs: processes.
        on_cell: told every cell that has ended, how many have, and of how many.

    Returns:
        The cells in their order, each finished or failed.
    """
    ended: dict[int, Cell] = {}

    def take(place: int, cell: Cell) -> None:
        ended[place] = cell
        on_cell(cell, len(ended), len(found))

    given: dict[int, int] = {}
    with Workers(carry_on, jobs) as workers:
        for place, cell in enumerate(found):
            try:
                known = begun(cell)
            except Exception as error:  # such as an agent that is not for such actions
                take(place, cell.failed(reason(error)))
                continue
            if known is not None and known[1] is not None:
                take(place, cell.finished(known[1]))
            else:
                given[workers.add(cell)] = place
        while workers.busy:
            number, result = workers.next()
            place = given.pop(number)
            take(place, found[place].failed(str(result)) if isinstance(result, Died) else result)
    return [ended[place] for place in range(len(found))]


def carry_on(cell: Cell) -> Cell:
    """Runs a cell to its end; code that a person has named as the agent may be imported again.

    A process that is stopped has saved its run, and ends without a word.
    """
    try:
        with nullcontext() if cell.agent in names() else allowing_imports():
            return do(cell)
    except KeyboardInterrupt:
        raise SystemExit(0) from None


def estimate(found: Sequence[Cell]) -> Estimate:
    """How long the missing ones of some cells take, from a moment of learning of each kind.

    Cells that differ in nothing but the seed are of one kind. What fails takes no time.
    """
    seconds: dict[tuple[str, str], float] = {}
    missing, total = 0, 0.0
    for cell in found:
        try:
            known = begun(cell)
        except Exception:  # told where it is run
            continue
        if known is not None and known[1] is not None:
            continue
        kind = cell.scenario.name, str(cell.label)
        if kind not in seconds:
            try:
                seconds[kind] = _seconds(cell)
            except Exception:  # told where it is run
                seconds[kind] = 0.0
        missing, total = missing + 1, total + seconds[kind]
    return Estimate(missing, total)


def _seconds(cell: Cell) -> float:
    """CPU seconds that a run would take: its first iteration is left out where there is a second."""
    plan = plan_of(cell)
    prepared = prepare(plan, None)
    if prepared.env is None:
        return 1.0
    began, first = time.process_time(), 0.0
    start: tuple[float, float] | None = None
    for report in prepared.agent.learn(prepared.env, steps=plan.steps):
        now = time.process_time() - began, float(report["steps"])
        if start is not None and now[0] - start[0] >= LOOK:
            rate = (now[0] - start[0]) / max(now[1] - start[1], 1.0)
            return first + SCORED * plan.steps * rate
        if start is None:
            start, first = now, now[0]
    return SCORED * (time.process_time() - began)
