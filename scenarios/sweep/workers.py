"""Work in several processes, of which any may die: what it was at is given to another."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass
class _Worker(Generic[Task]):
    process: BaseProcess
    line: Connection
    task: Task | None = None
    place: int = -1


class Died(Exception):
    """A process died over the same task as often as it is tried."""


class Workers(Generic[Task, Result]):
    """Processes that do tasks; a context manager that ends them.

    Args:
        work: done to every task, in a process of its own; a function that can be imported there.
        jobs: how many processes.
        tries: how often a task is given out, where the process that has it dies.
    """

    def __init__(self, work: Callable[[Task], Result], jobs: int, tries: int = 3) -> None:
        self.work, self.jobs, self.tries = work, jobs, tries
        self._context = multiprocessing.get_context("spawn")  # a forked process has half of torch's threads
        self._workers: list[_Worker[Task]] = []
        self._waiting: deque[tuple[int, Task]] = deque()
        self._count, self._tried = 0, dict[int, int]()

    def __enter__(self) -> Workers[Task, Result]:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join()
            worker.line.close()
        self._workers.clear()

    def add(self, task: Task) -> int:
        """Takes a task; returns its number."""
        self._waiting.append((self._count, task))
        self._count += 1
        return self._count - 1

    @property
    def busy(self) -> bool:
        """Whether there is a task whose result is not there yet."""
        return bool(self._waiting) or any(worker.task is not None for worker in self._workers)

    def next(self) -> tuple[int, Result | Died]:
        """Waits for a result: the task's number, and what came of it."""
        while True:
            self._give_out()
            by_line: dict[Any, _Worker[Task]] = {
                worker.line: worker for worker in self._workers if worker.task is not None
            }
            for ready in wait(list(by_line)):
                worker = by_line[ready]
                place, task = worker.place, worker.task
                assert task is not None
                try:
                    result: Result = worker.line.recv()
                except (EOFError, OSError):  # its end of the line went with it
                    self._workers.remove(worker)
                    worker.line.close()
                    worker.process.join()
                    self._tried[place] = self._tried.get(place, 0) + 1
                    if self._tried[place] >= self.tries:
                        return place, Died(f"its process died {self.tries} times (exit code {worker.process.exitcode})")
                    self._waiting.appendleft((place, task))
                    break
                worker.task = None
                return place, result

    def all(self, tasks: Iterable[Task]) -> Iterator[tuple[int, Result | Died]]:
        """Does tasks, yielding each result as it comes."""
        for task in tasks:
            self.add(task)
        while self.busy:
            yield self.next()

    def _give_out(self) -> None:
        """Gives every idle process a task, and starts one where there are too few."""
        while self._waiting:
            idle = next((worker for worker in self._workers if worker.task is None), None)
            if idle is None:
                if len(self._workers) >= self.jobs:
                    return
                idle = self._start()
            place, task = self._waiting.popleft()
            idle.place, idle.task = place, task
            with suppress(OSError):  # it died idle, which shows when its line is read
                idle.line.send(task)

    def _start(self) -> _Worker[Task]:
        here, there = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(there, self.work), daemon=True)
        process.start()
        there.close()
        self._workers.append(_Worker(process, here))
        return self._workers[-1]


def _serve(line: Connection, work: Callable[[Any], Any]) -> None:
    """A process: does what comes down the line until the line ends."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that gives out the tasks
    while True:
        try:
            task = line.recv()
        except EOFError:
            return
        line.send(work(task))
