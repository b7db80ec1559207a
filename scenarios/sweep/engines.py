"""Where the cells of a sweep run: processes here, a Ray cluster, or Slurm."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from ...envs.checks.options import choice, number
from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.registry import allowing_imports
from .workers import Died, Workers

ENGINES = ("local", "ray", "slurm")
EXTRAS = {"ray": ("ray", "distributed"), "slurm": ("submitit", "slurm")}


class Pool(Protocol):
    """What does tasks at the same time, of which any may be lost: that is done again elsewhere."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def add(self, task: Any) -> int:
        """Takes a task; returns its number."""

    @property
    def busy(self) -> bool:
        """Whether there is a task whose result is not there yet."""

    def next(self) -> tuple[int, Any]:
        """Waits for a result: the task's number, and what came of it; a `Died` where it was lost too often."""


@dataclass(frozen=True)
class Engine:
    """Where the cells run.

    Args:
        name: "local", processes of this machine; "ray", Ray's cluster (extra `distributed`); "slurm" (extra `slurm`).
            The last two need the runs' folder at the same path on every machine.
        address: of a Ray cluster, such as "auto" or "ray://host:10001"; None for one that is started here.
        gpus: that a run takes of Ray or Slurm; on Ray also a part of one.
        partition: of Slurm; None for its default.
        minutes: that Slurm gives a run.
        dry: nothing is run; what would be is in `planned`.

    Raises:
        InvalidInput: an option that is not allowed or that the engine does not take, or a library that is missing.
    """

    name: str = "local"
    address: str | None = None
    gpus: float = 0.0
    partition: str | None = None
    minutes: int = 240
    dry: bool = False
    planned: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        choice("engine", self.name, ENGINES)
        number("gpus", self.gpus, 0, 1024)
        given = {"address": self.address is not None, "gpus": self.gpus > 0, "partition": self.partition is not None}
        taken = {"local": (), "ray": ("address", "gpus"), "slurm": ("gpus", "partition")}[self.name]
        for name, one in given.items():
            if one and name not in taken:
                raise InvalidInput(f"engine {self.name!r} takes no {name}")
        if (self.name == "slurm" or self.gpus > 1) and self.gpus != int(self.gpus):
            raise InvalidInput(f"gpus must be whole, or on 'ray' less than one; got {self.gpus:g} on {self.name!r}")
        if self.name in EXTRAS and find_spec(EXTRAS[self.name][0]) is None:
            library, extra = EXTRAS[self.name]
            raise InvalidInput(f"engine {self.name!r} needs {library}: pip install 'palaestra[{extra}]'")

    def pool(self, work: Callable[[Any], Any], jobs: int, folder: Path) -> Pool:
        """What does the work on every task.

        Args:
            work: a function that can be imported there.
            jobs: tasks at the same time, at most.
            folder: for what the engine itself writes.
        """
        if self.dry:
            return Planned(self.planned)
        if self.name == "ray":
            from .ray_pool import RayPool

            return RayPool(work, jobs, self.address, self.gpus)
        if self.name == "slurm":
            from .slurm_pool import SlurmPool, executor

            made = executor(folder / "slurm", int(self.gpus), self.partition, self.minutes)
            return SlurmPool(work, made, jobs)
        return Workers(work, jobs)


class Planned:
    """Does nothing, and keeps what it would have done."""

    def __init__(self, planned: list[Any]) -> None:
        self.planned = planned

    def __enter__(self) -> Planned:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def add(self, task: Any) -> int:
        """Takes a task; returns its number."""
        self.planned.append(task)
        return len(self.planned) - 1

    busy = False

    def next(self) -> tuple[int, Died]:
        """There is no result."""
        raise RuntimeError("nothing is done")


class Elsewhere:
    """Work as another process does it: in this one's folder, with its paths, trusting files as far as this one does.

    Args:
        work: what is done to a task.
        trusting: whether files may name code to import.
    """

    def __init__(self, work: Callable[[Any], Any], trusting: bool) -> None:
        self.work, self.trusting, self.folder, self.path = work, trusting, os.getcwd(), list(sys.path)

    def __call__(self, task: Any) -> Any:
        """The work's result."""
        with suppress(OSError):  # which another machine need not have
            os.chdir(self.folder)
        sys.path += [one for one in self.path if one not in sys.path]
        with allowing_imports(self.trusting):
            return self.work(task)
