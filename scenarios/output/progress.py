"""Work that takes long, with its progress and the time that is left: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ...agents.core.processes import ALONE, Processes
from ...envs.drawing.wording import duration, fixed, number
from ...neural_blocks.errors import printable
from ..board import Row
from ..catalogue import Scenario
from ..runner import ROOT, OnReport, Stopped, run_together
from ..runner import resume as resume_run
from ..runner import run as start_run
from .terminal import say

Work = Callable[[OnReport], list[Row]]
FIRST, SILENCE = 2.0, 10.0  # seconds to the first line of progress, and between two, where there is no terminal
QUIET = 10.0  # seconds without a report after which a line says what goes on


def train(
    scenario: Scenario,
    agent: str | None,
    seeds: range,
    steps: int | None = None,
    settings: dict[str, Any] | None = None,
    device: str = "auto",
    root: Path = ROOT,
    track: str | None = None,
    demonstrations: Path | None = None,
    label: str | None = None,
    execution: str = "auto",
    processes: Processes = ALONE,
    together: bool = False,
    upload: Sequence[str] = (),
    early_stopping: dict[str, Any] | None = None,
    init: Path | None = None,
) -> list[Row]:
    """Runs one seed after the other, each with its progress and its line of result; or as one batch, where it can be.

    Raises:
        Left: one was stopped; what was not begun yet is left too.
    """

    given: dict[str, Any] = {
        "steps": steps, "settings": settings, "device": device, "root": root, "track": track, "upload": upload,
        "label": label, "execution": execution,
    }  # fmt: skip

    def one(seed: int) -> Work:
        alone: dict[str, Any] = {
            "demonstrations": demonstrations, "processes": processes, "early_stopping": early_stopping, "init": init,
        }  # fmt: skip
        return lambda on_report: [start_run(scenario, agent, seed, on_report=on_report, **given, **alone)]

    title, rows = f"{scenario.name} · {agent or scenario.agent}", list[Row]()
    if together:
        try:
            rows = _shown(
                f"{title} · seeds {seeds[0]} to {seeds[-1]}",
                lambda on_report: run_together(scenario, agent, seeds, on_report=on_report, **given) or [],
            )
        except Stopped as error:
            raise Left(f"{error}; the other seeds are saved too, and each goes on by itself", range(0)) from None
        if rows:
            return rows
        say(f"{title}: such runs cannot be one batch, and are trained one after the other", error=True)
    for place, seed in enumerate(seeds):
        try:
            rows += _shown(f"{title} · seed {seed}", one(seed), processes.leads)
        except Stopped as error:
            raise Left(str(error), seeds[place + 1 :]) from None
    return rows


class Left(KeyboardInterrupt):
    """One of several runs was stopped, and others were not begun.

    Attributes:
        seeds: of those.
    """

    def __init__(self, told: str, seeds: range) -> None:
        super().__init__(told)
        self.seeds = seeds


def resume(folder: Path, steps: int | None = None, device: str | None = None, processes: Processes = ALONE) -> Row:
    """Carries on a run that was stopped, with a larger budget if one is given."""

    def work(on_report: OnReport) -> list[Row]:
        return [resume_run(folder, steps=steps, device=device, on_report=on_report, processes=processes)]

    return _shown(str(folder), work, processes.leads)[0]


OnPart = Callable[[int, int], None]


@contextmanager
def working(title: str) -> Iterator[OnPart]:
    """Says that something goes on, and for how long it has, while the block runs.

    It yields a function that may be told how many parts are done, of how many: then it says what is left.
    """
    console, started, ended = Console(stderr=True), time.monotonic(), threading.Event()
    title, parts, left = printable(title), [0, 0], Remaining()

    def on_part(done: int, total: int) -> None:
        parts[:] = done, total

    def told() -> str:
        done, total = parts
        count = f", {done:,} of {total:,}{left(done, total)}" if total else ""
        return f"{title}{count}, {duration(time.monotonic() - started)} so far"

    if console.is_terminal:
        with Progress(
            TextColumn("{task.description}", markup=False), BarColumn(bar_width=12), console=console, transient=True
        ) as bar:
            task = bar.add_task(title, total=None)

            def tick() -> None:
                while not ended.wait(1):
                    bar.update(task, description=told(), completed=parts[0], total=parts[1] or None)

            with _beside(tick, ended):
                yield on_part
        return

    def tell() -> None:
        pause = FIRST
        while not ended.wait(pause):
            say(told(), error=True)
            pause = SILENCE

    with _beside(tell, ended):
        yield on_part


@contextmanager
def _beside(work: Callable[[], None], ended: threading.Event) -> Iterator[None]:
    """Does work in a thread until the block has ended."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _shown(title: str, work: Work, leads: bool = True) -> list[Row]:
    """Does the work with its progress, and then prints its results; of several processes, the one that leads does."""
    torch.set_num_threads(1)  # small networks: a second thread costs more than it brings
    if not leads:
        return work(lambda *_: None)
    started, notes = time.monotonic(), list[str]()
    noted = _noting(work, notes)
    rows = _with_bar(printable(title), noted) if sys.stderr.isatty() else _with_lines(title, noted)
    for note in notes:
        say(f"{title}: {note}", error=True)
    for row in rows:
        say(f"{result(row)} in {duration(time.monotonic() - started)} → {row.folder}", error=True)
    return rows


def _noting(work: Work, notes: list[str]) -> Work:
    """The same work; that training ended early is noted, for when it is over."""
    why = {
        "stopped_by_patience": "no check on the validation options was better for as long as its patience",
        "stopped_by_target": "a check on the validation options reached the target",
    }

    def noted(on_report: OnReport) -> list[Row]:
        def told(steps: int, total: int, report: dict[str, float]) -> None:
            early = f"stopped early, after {steps:,} of {total:,} steps"
            notes.extend(f"{early}: {reason}" for rule, reason in why.items() if rule in report)
            on_report(steps, total, report)

        return work(told)

    return noted


def result(row: Row) -> str:
    """A finished run in one line."""
    told = [f"return {number(row.return_mean)}", *([] if row.score is None else [f"score {fixed(row.score, 3)}"])]
    told += [f"{name} {number(value)}" for name, value in row.metrics.items()]
    return f"{row.scenario} · {row.agent} · seed {row.seed}: {', '.join(told)} after {row.steps:,} steps"


class _Rate:
    """What a line says of a report: the return, the steps per second, and how long it will take to the end."""

    def __init__(self) -> None:
        self.first: tuple[int, float] | None = None

    def __call__(self, steps: int, total: int, report: dict[str, float]) -> list[str]:
        now = time.monotonic()
        self.first = self.first or (steps, now)
        told = [f"return {number(report['return'])}"] if "return" in report else []
        if steps > self.first[0]:
            rate = (steps - self.first[0]) / max(now - self.first[1], 1e-9)
            told += [f"{rate:,.0f} steps/s", f"{duration(max(total - steps, 0) / rate)} left"]
        return told


def _with_bar(title: str, work: Work) -> list[Row]:
    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(bar_width=12),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[told]}", markup=False), TimeRemainingColumn(),
    )  # fmt: skip
    rate = _Rate()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task(title, total=None, told="")

        def on_report(steps: int, total: int, report: dict[str, float]) -> None:
            told = "scoring" if steps >= total else "  ".join(rate(steps, total, report)[:2])
            bars.update(bar, completed=min(steps, total), total=total, told=told)

        return work(on_report)


def _with_lines(title: str, work: Work) -> list[Row]:
    rate, due, started = _Rate(), time.monotonic() + FIRST, time.monotonic()
    doing, ended = "starting", threading.Event()

    def tell(told: str) -> None:
        nonlocal due
        due = time.monotonic() + SILENCE
        say(f"{title}: {told}", error=True)

    def on_report(steps: int, total: int, report: dict[str, float]) -> None:
        nonlocal doing
        told = rate(steps, total, report)
        doing = "scoring" if steps >= total else "training"
        if time.monotonic() >= due:
            tell(", ".join([f"{min(steps, total) / total:.0%}", *told]))

    def tick() -> None:
        """Speaks where there is no report for long: before the first one, in a long iteration, while it is scored."""
        while not ended.wait(QUIET):
            if time.monotonic() >= due + QUIET - SILENCE:
                tell(f"{doing}, {duration(time.monotonic() - started)} so far")

    with _beside(tick, ended):
        return work(on_report)


class Remaining:
    """What is told of the time that is left, where parts of some work end one after the other."""

    def __init__(self) -> None:
        self.started = time.monotonic()

    def __call__(self, done: int, total: int) -> str:
        """The time left after `done` of `total` parts, as the end of a line; "" at the end."""
        spent = time.monotonic() - self.started
        return f", {duration(spent / done * (total - done))} left" if 0 < done < total else ""
