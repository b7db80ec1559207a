"""The leaderboard: finished runs in one SQLite file, and the standings computed from them."""

from __future__ import annotations

import json
import math
import random
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..neural_blocks.errors import InvalidInput
from .statistics import interquartile_mean, stratified_bootstrap

ALL = "all"
"""The scenario of a standing over all scenarios."""

APPLICATION = 0x50414C41  # "PALA": marks a SQLite file as a leaderboard
SCHEMA = 1
PATIENCE = 60.0  # seconds to wait for other writers
BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)

COLUMNS = """
    run_id TEXT PRIMARY KEY, scenario TEXT NOT NULL, agent TEXT NOT NULL, seed INTEGER NOT NULL,
    steps INTEGER NOT NULL, episodes INTEGER NOT NULL, return_mean REAL, return_std REAL, score REAL,
    metrics TEXT NOT NULL, seconds REAL, folder TEXT NOT NULL, finished_at TEXT NOT NULL, version TEXT NOT NULL
"""

T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """One finished run.

    Attributes:
        run_id: unique to the run.
        scenario: name of the scenario.
        agent: name of the agent.
        seed: of the training.
        steps: environment steps of training.
        episodes: episodes it was scored over.
        return_mean: mean return of those episodes.
        return_std: their standard deviation.
        score: the normalised return, 0 for random play and 1 for the expert; None where there is no reference.
        metrics: the task's own measures, averaged over those episodes.
        seconds: of training, wall clock.
        folder: the run's folder.
        finished_at: ISO 8601 in UTC, such as 2025-01-31T12:00:00+00:00.
        version: of Palaestra.
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


@dataclass(frozen=True)
class Standing:
    """How an agent does on a scenario, over all its seeds.

    Attributes:
        scenario: name of the scenario, or "all".
        agent: name of the agent.
        scenarios: how many scenarios the score covers.
        seeds: how many seeds were run; over all scenarios, the fewest that any of them has.
        score: interquartile mean of the normalised scores, each scenario weighing the same; NaN where there is none.
        low, high: its 95 % stratified bootstrap interval; NaN where a scenario has a single seed.
        return_mean: mean over seeds; NaN over all scenarios, whose returns have no common unit.
        metrics: mean over seeds; empty over all scenarios.
        steps: mean training steps of a run.
        seconds: mean training time of a run.
    """

    scenario: str
    agent: str
    scenarios: int
    seeds: int
    score: float
    low: float
    high: float
    return_mean: float
    steps: int
    seconds: float
    metrics: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The attributes by name, ready for `json.dumps`; what is not finite is None."""
        values = asdict(self)
        values["metrics"] = {name: _finite(value) for name, value in self.metrics.items()}
        return {name: _finite(value) for name, value in values.items()}


class Leaderboard:
    """Finished runs in a SQLite file, which any number of processes may write at once.

    Every call opens the file, does one thing and closes it, so that an object can be shared with threads and forked
    processes. The file and its folder come into being with the first row.

    Raises:
        InvalidInput: the path is a folder, or a file that is not a leaderboard.
        OSError: the file cannot be opened or written, or others hold it for longer than a minute.
    """

    def __init__(self, path: str | Path = "runs/leaderboard.sqlite") -> None:
        self.path = Path(path)
        if self.path.is_dir():
            raise InvalidInput(f"leaderboard {self.path}: must be a file; it is a folder")

    def add(self, row: Row) -> None:
        """Stores a finished run; a run that is stored already is replaced."""
        _require_utc(row)
        metrics = {name: _finite(float(value)) for name, value in row.metrics.items()}
        values = asdict(row) | {"score": _finite(row.score), "metrics": json.dumps(metrics)}
        names = ", ".join(values)
        marks = ", ".join(f":{name}" for name in values)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._with_connection(lambda c: c.execute(f"REPLACE INTO runs ({names}) VALUES ({marks})", values).close())

    def rows(self, scenario: str | None = None, agent: str | None = None) -> list[Row]:
        """The finished runs, oldest first; only those of a scenario or an agent if one is named."""
        if not self.path.exists():
            return []
        names = ", ".join(column.name for column in fields(Row))
        query = f"SELECT {names} FROM runs WHERE scenario = ifnull(?, scenario) AND agent = ifnull(?, agent)"
        found = self._with_connection(lambda c: c.execute(query, (scenario, agent)).fetchall())
        return sorted(map(_row, found), key=lambda row: (datetime.fromisoformat(row.finished_at), row.run_id))

    def table(self, scenario: str | None = None) -> list[Standing]:
        """The standings on a scenario, best first; over all scenarios together if none is named.

        Of several runs with the same scenario, agent and seed the latest counts.
        """
        latest = {(row.scenario, row.agent, row.seed): row for row in self.rows(scenario)}
        by_agent: dict[str, list[Row]] = defaultdict(list)
        for row in latest.values():
            by_agent[row.agent].append(row)
        standings = [_standing(scenario or ALL, agent, rows) for agent, rows in by_agent.items()]
        return sorted(standings, key=lambda s: (-_or_least(s.score), -_or_least(s.return_mean), s.agent))

    def _with_connection(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Does the work on an open leaderboard, again from the start while other processes are in the way.

        SQLite waits for locks on its own only in part: while the journal mode changes, it fails at once.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with closing(sqlite3.connect(self.path, timeout=PATIENCE / 6, isolation_level=None)) as connection:
                    self._prepare(connection)
                    return work(connection)
            except sqlite3.OperationalError as error:
                busy = getattr(error, "sqlite_errorcode", 0) & 0xFF in BUSY
                if not busy or time.monotonic() > deadline:
                    raise OSError(f"leaderboard {self.path}: {error}") from error
                time.sleep(random.SystemRandom().uniform(0.005, 0.05))
            except sqlite3.DatabaseError as error:
                if type(error) is not sqlite3.DatabaseError:  # its sub-classes are about the statement, not the file
                    raise
                raise InvalidInput(f"leaderboard {self.path}: is not a leaderboard: {error}") from error

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Creates the schema in an empty file; refuses any other file that is not a leaderboard."""
        if self._is_ready(connection):
            return
        connection.execute("PRAGMA journal_mode = WAL").close()
        connection.execute("BEGIN IMMEDIATE")
        if not self._is_ready(connection):  # another process may have been first
            connection.execute(f"CREATE TABLE runs ({COLUMNS})")
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
        connection.execute("COMMIT")

    def _is_ready(self, connection: sqlite3.Connection) -> bool:
        """Whether the file has the schema; False for an empty one."""
        # One statement, so that the three values are of one moment.
        query = (
            "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master)"
            " FROM pragma_application_id, pragma_user_version"
        )
        application, version, tables = connection.execute(query).fetchone()
        if application == APPLICATION and version != SCHEMA:
            raise InvalidInput(
                f"leaderboard {self.path}: has schema version {version}; this version of Palaestra reads {SCHEMA}"
            )
        if application != APPLICATION and tables:
            raise InvalidInput(f"leaderboard {self.path}: is a SQLite database but not a leaderboard")
        return application == APPLICATION


def _row(values: Iterable[Any]) -> Row:
    """A row as it comes from the file, where NaN is NULL."""
    given = dict(zip((column.name for column in fields(Row)), values, strict=True))
    for name in ("return_mean", "return_std", "seconds"):
        given[name] = math.nan if given[name] is None else given[name]
    metrics = json.loads(given.pop("metrics"))
    return Row(**given, metrics={name: math.nan if value is None else value for name, value in metrics.items()})


def _require_utc(row: Row) -> None:
    try:
        offset = datetime.fromisoformat(row.finished_at).utcoffset()
    except ValueError:
        offset = None
    if offset != timedelta(0):
        raise InvalidInput(f"Row: finished_at must be an ISO 8601 time in UTC; got {row.finished_at!r}")


def _standing(scenario: str, agent: str, rows: list[Row]) -> Standing:
    """The standing of one agent from its rows, which are of one or of several scenarios."""
    scores: dict[str, list[float]] = defaultdict(list)
    seeds: dict[str, int] = defaultdict(int)
    for row in rows:
        seeds[row.scenario] += 1
        if row.score is not None:
            scores[row.scenario].append(row.score)
    strata = list(scores.values())
    score, low, high = math.nan, math.nan, math.nan
    if strata:
        weights = np.concatenate([np.full(len(runs), 1 / len(runs)) for runs in strata])
        statistic = partial(interquartile_mean, weights=weights)
        score = float(statistic(np.concatenate(strata)))
        low, high = stratified_bootstrap(strata, statistic)
    measured: dict[str, list[float]] = defaultdict(list)
    for row in rows if scenario != ALL else []:
        for name, value in row.metrics.items():
            measured[name].append(value)
    return Standing(
        scenario=scenario,
        agent=agent,
        scenarios=len(strata),
        seeds=min(seeds.values()),
        score=score,
        low=low,
        high=high,
        return_mean=_mean(row.return_mean for row in rows) if scenario != ALL else math.nan,
        steps=round(_mean(row.steps for row in rows)),
        seconds=_mean(row.seconds for row in rows),
        metrics={name: _mean(values) for name, values in measured.items()},
    )


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _finite(value: Any) -> Any:
    """None in place of a float that JSON and SQL have no word for."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _or_least(value: float) -> float:
    """A sort key that puts NaN below everything."""
    return -math.inf if math.isnan(value) else value
