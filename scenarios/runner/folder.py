"""A run's folder: one process at a time works in it, nothing is written through a link, and it must not disappear."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

from ...agents.core.whole_file import sweep, write_text
from ...neural_blocks.errors import InvalidInput
from ..board import Leaderboard, Row
from ..board.rows import as_json, finite, read
from .plan import Plan

CHECKPOINT, BEST, METRICS = "checkpoint.pt", "best.pt", "metrics.jsonl"
RESULT, RECORDING, DEMONSTRATIONS = "result.json", "recording.json", "demonstrations.json"
ADAPTATION, FILM, DATASET, INIT = "adaptation.json", "film.mp4", "dataset.pt", "init.pt"


class RunFolder:
    """A run's folder while a process works in it; a context manager that holds its lock.

    Args:
        path: of the folder.
        plan: of the run; where it is given, the folder must stand where such a run's folder does, below its root.

    Raises:
        InvalidInput: the folder is not where its run says, another process works in it, or it is gone.

    Attributes:
        path: of the folder, absolute and without links.
        root: of all runs.
        told: the path as it is shown, from the working folder where it lies in there.
    """

    def __init__(self, path: str | Path, plan: Plan) -> None:
        self.path = resolved(path, plan)
        self.root = self.path.parents[2]
        here = Path.cwd()
        self.told = self.path.relative_to(here) if self.path.is_relative_to(here) else self.path
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        if os.name == "posix":
            self._descriptor = os.open(self.path, os.O_RDONLY)
            try:
                self._lock(self._descriptor)
            except InvalidInput:
                self.__exit__(None, None, None)
                raise
        sweep(self.path)
        return self

    def _lock(self, descriptor: int) -> None:
        import fcntl

        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InvalidInput(f"{self.path}: another process is at work on this run; wait for it or stop it") from None
        except OSError:  # a network file system that locks no folders
            pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def require(self) -> None:
        """Raises `InvalidInput` where the folder was deleted or moved since."""
        try:
            there = os.stat(self.path)
        except OSError:
            there = None
        if there is None or (
            self._descriptor is not None and (there.st_dev, there.st_ino) != _identity(self._descriptor)
        ):
            raise InvalidInput(f"{self.path}: the run's folder was deleted or moved; the run is stopped")

    def log(self) -> BinaryIO:
        """The open metrics, to be read and appended to; one JSON object a line.

        Raises:
            InvalidInput: the file is a link, which writing would follow.
        """
        path = self.path / METRICS
        try:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
            descriptor = os.open(path, flags, 0o666)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise InvalidInput(f"{path}: is a link, and writing never follows one") from None
            raise
        if os.fstat(descriptor).st_nlink > 1:
            os.close(descriptor)
            raise InvalidInput(f"{path}: has another name elsewhere, and what is written would change that file too")
        return os.fdopen(descriptor, "r+b")

    def result(self, plan: Plan) -> Row | None:
        """The result of the finished run; None where it is not finished, or was with a smaller budget only.

        Raises:
            InvalidInput: the file is damaged.
        """
        path = self.path / RESULT
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(values, dict):
                raise ValueError("it must be an object")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            raise InvalidInput(f"{path}: not a readable result: {error}; delete it to score the run again") from None
        row = read(values, str(path))
        return row if row.configuration in ("", plan.configuration) else None

    def finish(self, row: Row) -> None:
        """Keeps the result: first in the folder, then on the leaderboard."""
        self.require()
        write_text(self.path / RESULT, json.dumps(as_json(row), indent=1, allow_nan=False) + "\n")
        self.board.add(row)

    @property
    def board(self) -> Leaderboard:
        """The leaderboard that the run's row is in."""
        return Leaderboard(self.root / "leaderboard.sqlite")

    def is_empty(self) -> bool:
        """Whether nothing was trained yet."""
        metrics = self.path / METRICS
        return not (self.path / CHECKPOINT).exists() and not (metrics.exists() and metrics.stat().st_size)

    def discard(self) -> None:
        """Deletes the folder, and those above it that then stand empty, up to the root."""
        remove_tree(self.path, self.root)


class Beside(RunFolder):
    """A run's folder for a process that does not lead: it reads checkpoints there, and writes nothing."""

    def __enter__(self) -> Self:
        return self

    def require(self) -> None:
        """That the folder is there is for the leader to see."""

    def log(self) -> BinaryIO:
        """A file that nobody reads."""
        return cast(BinaryIO, tempfile.TemporaryFile())

    def finish(self, row: Row) -> None:
        """The leader keeps the result."""


def resolved(path: str | Path, plan: Plan) -> Path:
    """A run folder's own place, whatever links or dots lead there.

    Raises:
        InvalidInput: it does not lie where the run's folder does, ROOT/scenario/agent/seed-id, so that its root and
            leaderboard cannot be told.
    """
    place = Path(path).resolve()
    wanted = plan.folder(Path()).parts
    if place.parts[-len(wanted) :] != wanted:
        told = str(Path("ROOT", *wanted))
        raise InvalidInput(f"{path}: a run's folder must lie where its run.yaml says, at {told}; it is at {place}")
    return place


def remove_tree(path: Path, root: Path) -> None:
    """Deletes a folder without following links, and the empty ones between it and the root."""
    import shutil

    shutil.rmtree(path)
    for parent in path.parents:
        if parent == root or root not in parent.parents:
            return
        try:
            parent.rmdir()
        except OSError:
            return


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return (status.st_dev, status.st_ino) if status.st_nlink else (-1, -1)


def strict(report: dict[str, float]) -> bytes:
    """A report as a line of strict JSON; what is not finite is null."""
    values = {name: finite(float(value)) for name, value in report.items()}
    return json.dumps(values, allow_nan=False).encode() + b"\n"
