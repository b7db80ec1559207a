"""A row of the leaderboard: one finished run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from functools import cache
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from ...neural_blocks.errors import InvalidInput, invalid_config, printable
from ..configuration import digest


@dataclass(frozen=True)
class Row:
    """One finished run.

    Attributes:
        run_id: unique to the run.
        scenario: name of the scenario.
        agent: name of the agent.
        seed: of the training.
        steps: environment steps of training that were taken or, of an agent that imitates a recording, seen.
        episodes: episodes it was scored over.
        return_mean: mean return of those episodes.
        return_std: their standard deviation.
        score: the normalised return, 0 for `envs.Scores.floor`, 1 for the expert; None where there is no reference.
        metrics: the task's own measures, averaged over those episodes.
        seconds: of training, wall clock.
        folder: the run's folder.
        finished_at: ISO 8601 in UTC, such as 2025-01-31T12:00:00+00:00.
        version: of Palaestra.
        configuration: digest of all that decides the result beside the seed; runs of unlike ones are never compared as
            equals. Left out, it stands for the steps, the episodes and the major version.
        label: what its standing is called; left out, the agent's name.
    """

    run_id: str
    scenario: str
    agent: str
    seed: int
    steps: int
    episodes: int
    return_mean: float
    return_std: float
    score: float | None
    metrics: dict[str, float]
    seconds: float
    folder: str
    finished_at: str
    version: str
    configuration: str = ""
    label: str = ""

    @property
    def standing(self) -> tuple[str, str, str, str]:
        """What the standing it counts for is known by: scenario, agent, label and configuration."""
        known = self.configuration or digest(
            {"steps": self.steps, "episodes": self.episodes, "version": self.version.split(".")[0]}
        )
        return self.scenario, self.agent, self.label or self.agent, known

    @property
    def age(self) -> tuple[datetime, str]:
        """Sorts runs from the oldest to the newest; those of the same moment by their ids."""
        return datetime.fromisoformat(self.finished_at), self.run_id


COLUMNS = tuple(column.name for column in fields(Row))


def stored(row: Row) -> dict[str, Any]:
    """A row as the file keeps it: NaN is NULL, metrics are strict JSON.

    Raises:
        InvalidInput: a time that is not in UTC.
    """
    _require_utc(row)
    values = as_json(row)
    return values | {"metrics": json.dumps(values["metrics"], allow_nan=False)}


def as_json(row: Row) -> dict[str, Any]:
    """A row as plain values by name, ready for `json.dumps`; what is not finite is None."""
    metrics = {name: finite(float(value)) for name, value in row.metrics.items()}
    numbers = {name: finite(float(getattr(row, name))) for name in ("return_mean", "return_std", "seconds")}
    score = None if row.score is None else finite(float(row.score))
    return asdict(row) | numbers | {"score": score, "metrics": metrics}


def read(values: Mapping[str, Any], where: str) -> Row:
    """A row as it comes from the leaderboard's file or from a run's result.json.

    Raises:
        InvalidInput: a value that no row can have; one line naming the run and the value.
    """
    given = dict(values)
    told = f"{where}: run {printable(str(given.get('run_id')))!r}"
    for name in ("return_mean", "return_std", "seconds"):
        given[name] = math.nan if given.get(name, 0) is None else given.get(name)
    given = {"configuration": "", "label": ""} | given
    try:
        metrics = json.loads(given["metrics"]) if isinstance(given["metrics"], str) else given["metrics"]
        given["metrics"] = {name: math.nan if value is None else value for name, value in metrics.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        got = repr(given.get("metrics"))
        raise InvalidInput(f"{told}: metrics must be a JSON object of numbers; got {got:.80}") from None
    try:
        row = Row(**_schema()(**given).model_dump())
    except ValidationError as error:
        complaint = invalid_config(told, error, COLUMNS)
        raise InvalidInput(f"{complaint}; remove the run to read the rest") from None
    _require_utc(row)
    return row


def finite(value: Any) -> Any:
    """None in place of a float that JSON and SQL have no word for."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


@cache
def _schema() -> type[BaseModel]:
    """What the values of a row must be, told strictly: no text for a number."""
    kinds: dict[str, Any] = {name: (kind, ...) for name, kind in get_type_hints(Row).items()}
    return create_model("StoredRow", __config__=ConfigDict(strict=True, extra="forbid"), **kinds)


def _require_utc(row: Row) -> None:
    try:
        offset = datetime.fromisoformat(row.finished_at).utcoffset()
    except (ValueError, TypeError):
        offset = None
    if offset != timedelta(0):
        raise InvalidInput(f"Row: finished_at must be an ISO 8601 time in UTC; got {row.finished_at!r}")
