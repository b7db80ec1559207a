"""What a leaderboard's SQLite file looks like: its table, and how one of an earlier version becomes one of this."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ...neural_blocks.errors import InvalidInput, printable
from ..catalogue import Scenario
from ..configuration import configuration
from .rows import COLUMNS

APPLICATION = 0x50414C41  # "PALA": marks a SQLite file as a leaderboard
SCHEMA = 2
FIRST = """
    run_id TEXT PRIMARY KEY, scenario TEXT NOT NULL, agent TEXT NOT NULL, seed INTEGER NOT NULL,
    steps INTEGER NOT NULL, episodes INTEGER NOT NULL, return_mean REAL, return_std REAL, score REAL,
    metrics TEXT NOT NULL, seconds REAL, folder TEXT NOT NULL, finished_at TEXT NOT NULL, version TEXT NOT NULL
"""
TABLES = {
    1: ("runs", f"CREATE TABLE runs ({FIRST})"),
    2: ("results", f"CREATE TABLE results ({FIRST}, configuration TEXT NOT NULL, label TEXT NOT NULL)"),
}


def version_of(connection: sqlite3.Connection, where: str) -> int:
    """The version of a file's schema; 0 for an empty file.

    Raises:
        InvalidInput: a file of another program, of a later version, or with anything in it but the one table.
    """
    # One statement, so that all values are of one moment.
    query = (
        "SELECT application_id, user_version, group_concat(type || ' ' || name, ', '), group_concat(sql, ';')"
        " FROM pragma_application_id, pragma_user_version"
        " LEFT JOIN sqlite_master ON name NOT LIKE 'sqlite_autoindex_%'"
    )
    application, version, names, content = connection.execute(query).fetchone()
    if application != APPLICATION:
        if names:
            raise InvalidInput(f"{where}: is a SQLite database but not a leaderboard")
        return 0
    if version not in TABLES:
        raise InvalidInput(f"{where}: has schema version {version}; this version of Palaestra reads {SCHEMA}")
    name, sql = TABLES[version]
    if content is None or content.split() != sql.split():
        found = "it with other columns" if names == f"table {name}" else printable(names or "nothing")
        raise InvalidInput(f"{where}: must hold the table {name!r} and nothing else; got {found:.120}")
    return version


def create(connection: sqlite3.Connection) -> None:
    """Makes an empty file a leaderboard."""
    connection.execute(TABLES[SCHEMA][1])
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {SCHEMA}")


def migrate(connection: sqlite3.Connection, root: Path) -> None:
    """Brings a file of version 1 to this one; every row stays, with the configuration that its run folder tells."""
    rows = [dict(zip(COLUMNS, values, strict=False)) for values in connection.execute("SELECT * FROM runs")]
    connection.execute(TABLES[2][1])
    for row in rows:
        values = row | {"configuration": configuration_in(root, row), "label": ""}
        connection.execute(
            f"INSERT INTO results ({', '.join(values)}) VALUES ({', '.join(f':{name}' for name in values)})", values
        )
    connection.execute("DROP TABLE runs")
    connection.execute("PRAGMA user_version = 2")


def select(connection: sqlite3.Connection, version: int, root: Path) -> list[dict[str, Any]]:
    """Every row of a file of either version, by column."""
    found = connection.execute(f"SELECT * FROM {TABLES[version][0]}").fetchall()
    rows = [dict(zip(COLUMNS, values, strict=False)) for values in found]
    if version == 1:
        rows = [row | {"configuration": configuration_in(root, row), "label": ""} for row in rows]
    return rows


def configuration_in(root: Path, row: Mapping[str, Any]) -> str:
    """The configuration of a row of version 1, from its run folder; "" where that is gone or cannot be read."""
    agent = str(row["agent"]).replace(":", "-")
    path = root / str(row["scenario"]) / agent / Path(str(row["folder"])).name / "run.yaml"
    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
        scenario = Scenario.model_validate(told["scenario"]).model_dump(mode="json")
        json.dumps(told["config"])
        return configuration(scenario, told["agent"], told["config"], told["steps"], told["version"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, yaml.YAMLError):
        return ""
