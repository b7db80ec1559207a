"""The leaderboard's file: SQLite in WAL mode, which any number of processes may write at once."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from ...neural_blocks.errors import InvalidInput
from ..configuration import checked_label
from .rows import COLUMNS, Row, read, stored
from .schema import SCHEMA, create, migrate, select, version_of
from .standings import Standing, standings

PATIENCE = 60.0  # seconds to wait for other writers
BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
UNWRITABLE = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)

T = TypeVar("T")


class Leaderboard:
    """Finished runs in a SQLite file, which any number of processes may write at once.

    Every call opens the file, does one thing and closes it, so that an object can be shared with threads and forked
    processes. The file and its folder come into being with the first row. Reading writes nothing, and works where
    nothing can be written. A file that holds anything but the one table (a trigger, a view) is refused.

    Raises:
        InvalidInput: the path is a folder, or a file that is not a leaderboard.
        OSError: the file cannot be opened or written, or others hold it for longer than a minute.
    """

    def __init__(self, path: str | Path = "runs/leaderboard.sqlite") -> None:
        self.path = Path(path)
        self._where = f"leaderboard {self.path}"
        if self.path.is_dir():
            raise InvalidInput(f"{self._where}: must be a file; it is a folder")

    def add(self, row: Row) -> None:
        """Stores a finished run; a run that is stored already is replaced."""
        values = stored(row)
        marks = ", ".join(f":{name}" for name in COLUMNS)
        statement = f"REPLACE INTO results ({', '.join(COLUMNS)}) VALUES ({marks})"
        self._write(lambda connection: connection.execute(statement, values).close())

    def remove(self, run_id: str) -> bool:
        """Deletes a run's row; whether there was one."""
        return self.path.exists() and self._write(
            lambda connection: connection.execute("DELETE FROM results WHERE run_id = ?", (run_id,)).rowcount > 0
        )

    def relabel(self, run_id: str, label: str) -> bool:
        """Gives a run's row another label; whether there was one."""
        values = (checked_label(label), run_id)
        return self.path.exists() and self._write(
            lambda connection: connection.execute("UPDATE results SET label = ? WHERE run_id = ?", values).rowcount > 0
        )

    def rows(self, scenario: str | None = None, agent: str | None = None) -> list[Row]:
        """The finished runs, oldest first; only those of a scenario or an agent if one is named."""
        rows = [read(values, self._where) for values in self._read()]
        chosen = [row for row in rows if scenario in (None, row.scenario) and agent in (None, row.agent)]
        return sorted(chosen, key=lambda row: row.age)

    def table(self, scenario: str | None = None) -> list[Standing]:
        """The standings on a scenario, best first; over all scenarios together if none is named.

        Runs of unlike configurations make standings of their own; see `standings`.
        """
        return standings(self.rows(), scenario)

    def check(self) -> None:
        """Makes sure, before anything is trained, that a row can be added.

        Raises:
            InvalidInput: the file is no leaderboard, or is a link.
            OSError: the file or its folder cannot be written.
        """
        if self.path.exists() or self.path.is_symlink():
            self._refuse_link()
            self._read()
            if not _allowed(self.path, os.W_OK):
                raise PermissionError(f"{self._where}: cannot be written")
            return
        folder = next(folder for folder in self.path.absolute().parents if folder.exists())
        if not folder.is_dir():
            raise NotADirectoryError(f"{folder}: must be a folder; it is a file")
        if not _allowed(folder, os.W_OK | os.X_OK):
            raise PermissionError(f"{folder}: cannot be written")

    def _refuse_link(self) -> None:
        if self.path.is_symlink():
            raise InvalidInput(f"{self._where}: is a link, and writing never follows one; name the file itself")

    def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Does the work on the file, again from the start while other processes are in the way."""

        def attempt() -> T:
            with closing(sqlite3.connect(self.path, timeout=PATIENCE / 6, isolation_level=None)) as connection:
                self._prepare(connection)
                return work(connection)

        self._refuse_link()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return self._patiently(attempt)

    def _read(self) -> list[dict[str, object]]:
        """Every row's values. Where SQLite cannot open the file because nothing can be written, a copy is read."""

        def attempt(path: Path) -> list[dict[str, object]]:
            address = f"file:{quote(str(path.absolute()))}?mode=ro"
            with closing(sqlite3.connect(address, uri=True, timeout=PATIENCE / 6, isolation_level=None)) as connection:
                _distrust(connection)
                connection.execute("BEGIN")
                version = version_of(connection, self._where)
                return select(connection, version, self.path.parent) if version else []

        def attempt_or_copy() -> list[dict[str, object]]:
            try:
                return attempt(self.path)
            except sqlite3.OperationalError as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF not in UNWRITABLE:
                    raise
                with tempfile.TemporaryDirectory() as folder:
                    for end in ("", "-wal"):
                        if (source := self.path.with_name(self.path.name + end)).exists():
                            shutil.copyfile(source, Path(folder, self.path.name + end))
                    return attempt(Path(folder, self.path.name))

        return self._patiently(attempt_or_copy) if self.path.exists() else []

    def _patiently(self, attempt: Callable[[], T]) -> T:
        """SQLite waits for locks on its own only in part: while the journal mode changes, it fails at once."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return attempt()
            except sqlite3.OperationalError as error:
                busy = getattr(error, "sqlite_errorcode", 0) & 0xFF in BUSY
                if not busy or time.monotonic() > deadline:
                    raise OSError(f"{self._where}: {error}") from error
                time.sleep(random.SystemRandom().uniform(0.005, 0.05))
            except sqlite3.DatabaseError as error:
                if type(error) is not sqlite3.DatabaseError:  # its sub-classes are about the statement, not the file
                    raise
                raise InvalidInput(f"{self._where}: is not a leaderboard: {error}") from error

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Creates the table in an empty file, and brings one of an earlier version up to date."""
        _distrust(connection)
        if version_of(connection, self._where) == SCHEMA:
            return
        connection.execute("PRAGMA journal_mode = WAL").close()
        connection.execute("BEGIN IMMEDIATE")
        version = version_of(connection, self._where)  # another process may have been first
        if version == 0:
            create(connection)
        elif version < SCHEMA:
            migrate(connection, self.path.parent)
        connection.execute("COMMIT")


def _distrust(connection: sqlite3.Connection) -> None:
    """The file may be a stranger's: nothing in its schema may call functions, and damaged pages are looked for."""
    connection.execute("PRAGMA trusted_schema = OFF").close()
    connection.execute("PRAGMA cell_size_check = ON").close()


def _allowed(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)
