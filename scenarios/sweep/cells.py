"""A cell of a sweep: one run, found where it was begun, or begun."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...neural_blocks.errors import InvalidInput
from ..board import Row
from ..catalogue import Reference, Scenario
from ..environments import reference, with_validation
from ..runner import Plan, read_plan, resume, run
from ..runner.folder import RunFolder
from ..runner.plan import make_plan
from .pruning import Pruned, Pruning

TUNING_SEED = 100
"""Seed of the first run that settings are chosen by; reported runs have seeds from 0 on."""
LONGEST = 400  # characters of an error


@dataclass(frozen=True)
class Cell:
    """One run of a sweep.

    Attributes:
        scenario: as it is trained and scored.
        agent: name of the agent.
        settings: changes to the agent's configuration.
        seed: of the run.
        steps: of training; None for the scenario's.
        root: of its folder and its row.
        stage: "tuning" or "reporting".
        state: "missing", "finished", "failed" or "pruned", which is ended early.
        error: why it failed.
        score, return_mean, folder: of a finished one.
        device: where it is trained.
        label: of its standing; None for one that its settings give.
        pruning: how it is compared with others meanwhile; None for not at all.
    """

    scenario: Scenario
    agent: str
    settings: dict[str, Any]
    seed: int
    steps: int | None
    root: Path
    stage: str
    state: str = "missing"
    error: str = ""
    score: float | None = None
    return_mean: float | None = None
    folder: str = ""
    device: str = field(default="auto", repr=False)
    label: str | None = None
    pruning: Pruning | None = field(default=None, repr=False)

    def finished(self, row: Row) -> Cell:
        """The same cell with its result."""
        told: dict[str, Any] = {"score": row.score, "return_mean": row.return_mean, "folder": row.folder}
        return replace(self, state="finished", error="", **told)

    def failed(self, error: str) -> Cell:
        """The same cell with the reason why there is no result."""
        return replace(self, state="failed", error=error)

    def pruned(self, value: float) -> Cell:
        """The same cell, ended early with a last check that found that return."""
        return replace(self, state="pruned", error="", return_mean=value)

    def to_json(self) -> dict[str, Any]:
        """The cell as plain values."""
        names = ("stage", "agent", "settings", "seed", "steps", "state", "error", "score", "return_mean", "folder")
        return {"scenario": self.scenario.name} | {name: getattr(self, name) for name in names}


def for_tuning(scenario: Scenario) -> Scenario:
    """The scenario scored on its validation options, on the scale of its evaluation."""
    whole, known = with_validation(scenario), reference(scenario)
    options = whole.validation.options if whole.validation else {}
    scale = whole.reference
    if scale is None and known is not None and known.floor == known.floor and known.expert == known.expert:
        scale = Reference(random=known.floor, expert=known.expert, source="the evaluation's")
    evaluation = whole.evaluation.model_copy(update={"options": options})
    return whole.model_copy(update={"evaluation": evaluation, "reference": scale})


def plan_of(cell: Cell) -> Plan:
    """The plan that a cell's run would have. Raises `InvalidInput` for what cannot be run."""
    return make_plan(
        cell.scenario, cell.agent, cell.seed, steps=cell.steps, settings=cell.settings, device=cell.device, track=None,
        label=cell.label, demonstrations=None,
    )  # fmt: skip


def begun(cell: Cell) -> tuple[Path, Row | None] | None:
    """The folder of a cell's run and, if it is finished, its result; None where it was not begun."""
    plan = plan_of(cell)
    stopped = None
    for folder in sorted(plan.folder(cell.root).parent.glob(f"{cell.seed}-*")):
        try:
            own = read_plan(folder, to_use=False)
            row = RunFolder(folder, own).result(own)
        except InvalidInput:
            continue
        if own.configuration == plan.configuration and own.seed == cell.seed:
            if row is not None:
                return folder, row
            stopped = folder
    return None if stopped is None else (stopped, None)


def do(cell: Cell) -> Cell:
    """Runs a cell to its end, from where it was left; whatever goes wrong becomes its error."""
    import torch

    torch.set_num_threads(1)  # one process is one core
    try:
        watch = None if cell.pruning is None else cell.pruning.watch()
        found = begun(cell)
        if found is not None:
            return cell.finished(found[1] or resume(found[0], on_report=watch))
        return cell.finished(
            run(
                cell.scenario,
                cell.agent,
                cell.seed,
                steps=cell.steps,
                settings=cell.settings,
                root=cell.root,
                device=cell.device,
                label=cell.label,
                on_report=watch,
            )
        )
    except Pruned as early:
        return cell.pruned(early.value)
    except Exception as error:  # a cell that fails is a row like the others
        return cell.failed(reason(error))


def reason(error: Exception) -> str:
    """An error in one line, of which the middle is left out where it is long: what was given stands at its end."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"
