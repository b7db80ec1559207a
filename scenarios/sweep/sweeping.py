"""A sweep: tries settings on validation data with seeds of their own, and reports the best on the evaluation's."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...agents.core.whole_file import write_text
from ...envs.checks.options import choice, integer
from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.registry import imports_allowed
from ..catalogue import Scenario
from ..configuration import digest
from .cells import TUNING_SEED, Cell, begun, do, for_tuning, reason
from .engines import Elsewhere, Engine
from .pruning import PRUNERS, require_prunable
from .searching import METHODS, Listed, Optuna, Search
from .space import Range, Settings, Space, grid, random_search
from .workers import Died

FOLDER, TUNING = "sweeps", "tuning"
MOST_CELLS = 100_000
OnCell = Callable[[Cell, int, int], None]


@dataclass
class Outcome:
    """What a sweep came to for one agent on one scenario.

    Attributes:
        scenario, agent: which.
        chosen: the settings that did best on the validation data; None where all have failed.
        cells: its runs, in the order in which they ended.
    """

    scenario: str
    agent: str
    chosen: Settings | None = None
    cells: list[Cell] = field(default_factory=list)


@dataclass
class _Group:
    """One agent on one scenario, while it is worked on."""

    scenario: Scenario
    tuned: Scenario
    agent: str
    search: Search
    outcome: Outcome
    open: dict[int, list[Cell]] = field(default_factory=dict)
    reported: bool = False


def sweep(
    scenarios: Sequence[Scenario],
    agents: Sequence[str],
    space: Space,
    *,
    seeds: int = 3,
    tuning_seeds: int = 1,
    steps: int | None = None,
    method: str = "grid",
    samples: int = 20,
    prune: str | None = None,
    jobs: int = 1,
    root: str | Path = "runs",
    device: str = "auto",
    engine: Engine | None = None,
    on_cell: OnCell = lambda *_: None,
) -> list[Outcome]:
    """Chooses settings for every agent on every scenario, and adds runs with the best to the leaderboard.

    Settings are chosen by the mean return on the scenario's validation options over seeds from 100 on; what is
    reported has seeds from 0 on and is scored by the scenario's own protocol. Where there is nothing to choose, runs
    are only reported. A run that fails is a cell with its error. Called again, a sweep finds what is finished, goes on
    with what was stopped, and does what is missing or has failed.

    Args:
        scenarios: on which.
        agents: which; none for the one that each scenario names.
        space: the settings that are tried, see `parse_space`.
        seeds: runs that are reported.
        tuning_seeds: runs that each of the settings is tried with.
        steps: of training; None for each scenario's.
        method: "grid", "random", or "optuna", which needs the extra `sweep`.
        samples: settings that are tried for each agent on each scenario, but by a grid, which tries all.
        prune: "median" or "halving", by which runs that settings are tried with are ended early where their checks
            are worse than those of others, see `Pruning`; with the search "optuna" alone. None for never.
        jobs: processes, or whatever the engine runs cells in: how many at the same time.
        root: of the runs that are reported; those that are tried lie in `root/sweeps/tuning`.
        device: where to train.
        engine: where the cells run; None for processes of this machine.
        on_cell: told every cell that has ended, how many have, and of how many at most.

    Raises:
        InvalidInput: nothing to sweep over, or an option that is not allowed.
    """
    choice("search", method, METHODS)
    for name, value in (("seeds", seeds), ("tuning_seeds", tuning_seeds), ("samples", samples), ("jobs", jobs)):
        integer(name, value, 1, MOST_CELLS)
    if prune is not None:
        choice("prune", prune, PRUNERS)
        require_prunable(method, tuning_seeds)
    engine, root = engine or Engine(), Path(root)
    if engine.name == "slurm" or engine.address is not None:
        root = root.resolve()  # of which every machine needs to know
    groups = [
        _group(scenario, agent, space, method, samples, steps, root, prune)
        for scenario in scenarios
        for agent in (agents or [scenario.agent])
    ]
    if not groups:
        raise InvalidInput("a sweep needs a scenario; got none")
    tried = len(grid(space)) if method == "grid" else samples
    total = len(groups) * (seeds + (0 if _single(space) else tried * tuning_seeds))
    integer("cells of the sweep", total, 1, MOST_CELLS)
    told = {
        "scenarios": [one.scenario.name for one in groups],
        "agents": list(agents),
        "steps": steps,
        "method": method,
    }
    ledger = root / FOLDER / f"{digest(told | {'space': repr(space)})}.json"
    ended: list[Cell] = []
    given: dict[int, tuple[_Group, int | None, Cell]] = {}

    def take(group: _Group, number: int | None, cell: Cell) -> None:
        """Notes a cell that has ended, and tells the search where it was the last of its settings."""
        group.outcome.cells.append(cell)
        ended.append(cell)
        write_text(ledger, json.dumps([one.to_json() for one in ended], indent=1, default=str) + "\n")
        on_cell(cell, len(ended), total)
        if number is not None:
            group.open[number].append(cell)
            if cell.state == "pruned":
                group.open.pop(number)
                group.search.prune(number)
            elif len(group.open[number]) == tuning_seeds:
                group.search.tell(number, _mean(group.open.pop(number)))

    def start(group: _Group, number: int | None, cell: Cell) -> None:
        """Gives out a cell, unless it is finished already or can never be."""
        try:
            found = begun(cell)
        except Exception as error:  # such as settings that the agent does not have
            take(group, number, cell.failed(reason(error)))
            return
        if found is not None and found[1] is not None:
            take(group, number, cell.finished(found[1]))
        else:
            given[pool.add(cell)] = group, number, cell

    def propose(group: _Group) -> None:
        """Gives out what a group can do now: settings to try, or at the end the best ones' runs."""
        while len(group.open) < max(jobs, 1) and (asked := group.search.ask()) is not None:
            number, settings = asked
            group.open[number] = []
            for seed in range(TUNING_SEED, TUNING_SEED + tuning_seeds):
                cell = Cell(
                    group.tuned, group.agent, settings, seed, steps, root / FOLDER / TUNING, "tuning", device=device,
                    pruning=group.search.pruning(number),
                )  # fmt: skip
                start(group, number, cell)
        if not group.open and not group.reported:
            group.reported, group.outcome.chosen = True, group.search.best
            for seed in range(seeds) if group.outcome.chosen is not None else ():
                settings = group.outcome.chosen or {}
                start(
                    group,
                    None,
                    Cell(group.scenario, group.agent, settings, seed, steps, root, "reporting", device=device),
                )

    with engine.pool(Elsewhere(do, imports_allowed()), jobs, root / FOLDER) as pool:
        for group in groups:
            propose(group)
        while pool.busy:
            place, result = pool.next()
            group, number, cell = given.pop(place)
            take(group, number, cell.failed(str(result)) if isinstance(result, Died) else result)
            propose(group)
    return [group.outcome for group in groups]


def _group(
    scenario: Scenario,
    agent: str,
    space: Space,
    method: str,
    samples: int,
    steps: int | None,
    root: Path,
    prune: str | None,
) -> _Group:
    tuned = for_tuning(scenario)
    if _single(space):
        search: Search = _Settled(grid(space)[0])
    elif method == "optuna":
        name = digest([tuned.model_dump(mode="json"), agent, repr(space), steps])
        search = Optuna(name, space, samples, root / FOLDER / "optuna.journal", prune)
    else:
        search = Listed(grid(space) if method == "grid" else random_search(space, samples))
    return _Group(scenario, tuned, agent, search, Outcome(scenario.name, agent))


class _Settled(Listed):
    """Nothing to choose."""

    def __init__(self, settings: Settings) -> None:
        super().__init__([])
        self.settled = settings

    @property
    def best(self) -> Settings:
        """The only settings."""
        return self.settled


def _single(space: Space) -> bool:
    """Whether a space holds one point only."""
    return all(not isinstance(one, Range) and len(one.values) == 1 for one in space.values())


def _mean(cells: Sequence[Cell]) -> float | None:
    """The mean return of cells that all are finished; None where one is not."""
    values: list[Any] = [cell.return_mean for cell in cells]
    return None if any(value is None for value in values) else sum(values) / len(values)
