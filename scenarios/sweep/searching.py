"""Searches: which settings are tried next, and which were best."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ...neural_blocks.errors import InvalidInput
from .pruning import Pruning, storage
from .space import Choices, Settings, Space, _short

METHODS = ("grid", "random", "optuna")


class Search(ABC):
    """Proposes settings, and is told what they came to."""

    @abstractmethod
    def ask(self) -> tuple[int, Settings] | None:
        """The next settings under a number; None where nothing is left to try."""

    @abstractmethod
    def tell(self, number: int, value: float | None) -> None:
        """What the settings of a number came to, more being better; None where they failed."""

    def prune(self, number: int) -> None:
        """The run with the settings of a number was ended early."""
        self.tell(number, None)

    def pruning(self, number: int) -> Pruning | None:
        """How the run with the settings of a number is compared with others meanwhile; None for not at all."""
        return None

    @property
    @abstractmethod
    def best(self) -> Settings | None:
        """The settings that came to most; None where all have failed."""


class Listed(Search):
    """Settings that are known beforehand, one after the other; of equals the first is best."""

    def __init__(self, settings: Iterable[Settings]) -> None:
        self.settings, self.asked = list(settings), 0
        self.values: dict[int, float] = {}

    def ask(self) -> tuple[int, Settings] | None:
        """See `Search`."""
        if self.asked == len(self.settings):
            return None
        self.asked += 1
        return self.asked - 1, self.settings[self.asked - 1]

    def tell(self, number: int, value: float | None) -> None:
        """See `Search`."""
        if value is not None:
            self.values[number] = value

    @property
    def best(self) -> Settings | None:
        """See `Search`."""
        if not self.values:
            return None
        return self.settings[max(self.values, key=lambda number: (self.values[number], -number))]


class Optuna(Search):
    """Settings that Optuna's tree-structured Parzen estimator proposes from what is known so far.

    The study is kept in a file, in which any number of processes may work at the same time; what is in it counts.

    Args:
        name: of the study.
        space: what is searched.
        count: trials in all, those of earlier calls among them.
        path: of the file.
        pruner: by which runs are ended early, see `Pruning`; None for never.

    Raises:
        InvalidInput: Optuna is not installed.

    Source: Akiba, Sano, Yanase, Ohta and Koyama (2019), "Optuna: A Next-generation Hyperparameter Optimization
    Framework".
    """

    def __init__(self, name: str, space: Space, count: int, path: Path, pruner: str | None = None) -> None:
        try:
            import optuna
        except ImportError:
            raise InvalidInput("search 'optuna' needs Optuna: pip install 'palaestra[sweep]'") from None

        self.name, self.path, self.pruner = name, path, pruner
        self.space, self.count = space, count
        self._optuna: Any = optuna
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.study = optuna.create_study(
            study_name=name, storage=storage(path), direction="maximize", load_if_exists=True
        )
        self.open: dict[int, Any] = {}

    def ask(self) -> tuple[int, Settings] | None:
        """See `Search`."""
        states = self._optuna.trial.TrialState
        done = self.study.get_trials(deepcopy=False, states=(states.COMPLETE, states.FAIL, states.PRUNED))
        if len(done) + len(self.open) >= self.count:
            return None
        self.study.sampler = self._optuna.samplers.TPESampler(seed=len(self.study.get_trials(deepcopy=False)))
        trial = self.study.ask()
        settings = {key: self._suggested(trial, key) for key in self.space}
        trial.set_user_attr("settings", settings)
        self.open[trial.number] = trial
        return trial.number, settings

    def _suggested(self, trial: Any, key: str) -> Any:
        one = self.space[key]
        if isinstance(one, Choices):
            return json.loads(trial.suggest_categorical(key, [json.dumps(value) for value in one.values]))
        return _short(trial.suggest_float(key, one.low, one.high, log=one.log))

    def tell(self, number: int, value: float | None) -> None:
        """See `Search`."""
        trial = self.open.pop(number)
        if value is None:
            self.study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
        else:
            self.study.tell(trial, value)

    def prune(self, number: int) -> None:
        """See `Search`."""
        self.study.tell(self.open.pop(number), state=self._optuna.trial.TrialState.PRUNED)

    def pruning(self, number: int) -> Pruning | None:
        """See `Search`."""
        return None if self.pruner is None else Pruning(self.pruner, self.name, self.path, number)

    @property
    def best(self) -> Settings | None:
        """See `Search`."""
        states = (self._optuna.trial.TrialState.COMPLETE,)
        if not self.study.get_trials(deepcopy=False, states=states):
            return None
        settings: Settings = self.study.best_trial.user_attrs["settings"]
        return settings
