"""Ending a run of a sweep early that does worse, meanwhile, than others did at the same place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...neural_blocks.errors import InvalidInput

if TYPE_CHECKING:
    import optuna

PRUNERS = ("median", "halving")
PLACES = 10  # of a training at which it is compared, evenly apart: as many as it has checks, at most


class Pruned(Exception):
    """A run was ended early; its last check is `value`."""

    def __init__(self, value: float) -> None:
        super().__init__(f"ended early at a return of {value:.4g}")
        self.value = value


@dataclass(frozen=True)
class Pruning:
    """How a run is compared with others of its study.

    Attributes:
        kind: "median", it ends where its best check so far is below the median of what finished runs had then, once
            there are five of those (Golovin et al., 2017); or "halving", only the better half of all runs goes on past
            a tenth, a fifth, two and four fifths of the training (Li et al., 2020, asynchronous successive halving).
        study: its name.
        path: of the file that it is kept in.
        trial: the run's number.
    """

    kind: str
    study: str
    path: Path
    trial: int

    def watch(self) -> Watch:
        """What is told of the run while it learns."""
        return Watch(self)


class Watch:
    """Tells a study what the checks of a run find; to be given to `run` as `on_report`.

    Args:
        pruning: of the run.
    """

    def __init__(self, pruning: Pruning) -> None:
        import optuna

        study = optuna.load_study(study_name=pruning.study, storage=storage(pruning.path), pruner=pruner(pruning.kind))
        known = next(one for one in study.get_trials(deepcopy=False) if one.number == pruning.trial)
        self.trial: Any = optuna.trial.Trial(study, known._trial_id)

    def __call__(self, steps: int, total: int, report: dict[str, float]) -> None:
        """Takes note of a check. Raises `Pruned` where the run is not worth its end."""
        value = report.get("evaluation_return")
        if value is None or steps >= total:
            return
        self.trial.report(value, max(1, steps * PLACES // total))
        if self.trial.should_prune():
            raise Pruned(value)


def pruner(kind: str) -> optuna.pruners.BasePruner:
    """Optuna's pruner of that kind, for steps that are tenths of a training."""
    import optuna

    if kind == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=5)
    return optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2)


def storage(path: Path) -> Any:
    """Studies in a file, in which any number of processes may work at the same time."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    return optuna.storages.JournalStorage(JournalFileBackend(str(path)))


def require_prunable(method: str, tuning_seeds: int) -> None:
    """Raises `InvalidInput` where runs are not compared by a study, or several runs are one trial of it."""
    if method != "optuna":
        raise InvalidInput(f"prune needs the search 'optuna', whose study compares runs; got {method!r}")
    if tuning_seeds > 1:
        raise InvalidInput(f"prune needs tuning_seeds 1, so that a run is a trial; got {tuning_seeds}")
