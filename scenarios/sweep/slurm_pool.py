"""Work on Slurm, by submitit (Facebook Research, 2019): a job for each task."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...neural_blocks.errors import InvalidInput
from .workers import Died

PAUSE = 1.0  # seconds between two looks at the jobs


class SlurmPool:
    """Submits a job for every task; one that is lost without a result is submitted again.

    Args:
        work: done to every task.
        executor: submitit's, which submits.
        most: jobs at the same time, at most.
        tries: how often a task is submitted.
        pause: seconds between two looks at the jobs.
    """

    def __init__(
        self, work: Callable[[Any], Any], executor: Any, most: int, tries: int = 3, pause: float = PAUSE
    ) -> None:
        self.work, self.executor, self.most, self.tries, self.pause = work, executor, most, tries, pause
        self._waiting: deque[int] = deque()
        self._jobs: dict[int, Any] = {}
        self._tasks: dict[int, Any] = {}
        self._tried: dict[int, int] = {}

    def __enter__(self) -> SlurmPool:
        return self

    def __exit__(self, *_: object) -> None:
        for job in self._jobs.values():
            job.cancel()
        self._jobs.clear()

    def add(self, task: Any) -> int:
        """Takes a task; returns its number."""
        place = len(self._tasks)
        self._tasks[place], self._tried[place] = task, 0
        self._waiting.append(place)
        return place

    @property
    def busy(self) -> bool:
        """Whether there is a task whose result is not there yet."""
        return bool(self._waiting or self._jobs)

    def next(self) -> tuple[int, Any]:
        """Waits for a result: the task's number, and what came of it."""
        from submitit.core.utils import FailedJobError, UncompletedJobError

        while True:
            while self._waiting and len(self._jobs) < self.most:
                place = self._waiting.popleft()
                self._tried[place] += 1
                self._jobs[place] = self.executor.submit(self.work, self._tasks[place])
            for place, job in list(self._jobs.items()):
                if not job.done():
                    continue
                del self._jobs[place]
                try:
                    return place, job.result()
                except FailedJobError as error:  # it ran to its end, and raised
                    return place, Died(" ".join(str(error).split())[-400:])
                except UncompletedJobError:
                    if self._tried[place] >= self.tries:
                        return place, Died(f"its job was lost {_times(self.tries)} (last state {job.state})")
                    self._waiting.appendleft(place)
            time.sleep(self.pause)


def executor(folder: Path, gpus: int, partition: str | None, minutes: int, dry: bool = False) -> Any:
    """Submitit's executor for Slurm.

    Args:
        folder: of scripts, logs and results.
        gpus: of each job.
        partition: None for Slurm's default.
        minutes: that a job may take.
        dry: it is never to submit, so there need be no Slurm.

    Raises:
        InvalidInput: there is no Slurm here.
    """
    import submitit

    class Dry(submitit.SlurmExecutor):
        """Of which only the script is wanted."""

        @classmethod
        def affinity(cls) -> int:
            """As if Slurm were here."""
            return 1

    try:
        made = (Dry if dry else submitit.SlurmExecutor)(folder=folder)
    except RuntimeError as error:
        raise InvalidInput(f"engine 'slurm': {error}; --dry-run shows what would be submitted") from None
    made.update_parameters(
        job_name="palaestra", time=minutes, cpus_per_task=1, ntasks_per_node=1,
        **({"gpus_per_node": gpus} if gpus else {}), **({} if partition is None else {"partition": partition}),
    )  # fmt: skip
    return made


def script(folder: Path, gpus: int, partition: str | None, minutes: int) -> str:
    """The script that each job would be submitted with."""
    made = executor(folder, gpus, partition, minutes, dry=True)
    told: str = made._make_submission_file_text(made._submitit_command_str, "dry-run")
    return told


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
