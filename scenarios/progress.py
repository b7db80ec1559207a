"""Training with a progress bar, for the command line."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from .board import Row
from .runner import ROOT, OnReport
from .runner import resume as resume_run
from .runner import run as start_run

console = Console(stderr=True)
SILENCE = 5.0  # seconds between two lines of progress where there is no terminal to draw a bar in


def train(
    scenario: str,
    agent: str | None,
    seeds: Iterable[int],
    steps: int | None = None,
    settings: dict[str, Any] | None = None,
    device: str = "auto",
    root: Path = ROOT,
    track: str | None = None,
    demonstrations: Path | None = None,
) -> list[Row]:
    """Runs one seed after the other, each with its progress and its line of result."""

    def one(seed: int) -> Callable[[OnReport], Row]:
        return lambda on_report: start_run(
            scenario, agent, seed,
            steps=steps, settings=settings, device=device, root=root, track=track, demonstrations=demonstrations,
            on_report=on_report,
        )  # fmt: skip

    return [_shown(f"{scenario} · {agent or 'default agent'} · seed {seed}", one(seed)) for seed in seeds]


def resume(folder: Path) -> Row:
    """Carries on a run that was stopped."""
    return _shown(str(folder), lambda on_report: resume_run(folder, on_report=on_report))


def _shown(title: str, work: Callable[[OnReport], Row]) -> Row:
    """Does the work under a bar, or with a line now and then where there is no terminal; then prints its result."""
    torch.set_num_threads(1)  # small networks: a second thread costs more than it brings
    started = time.monotonic()
    row = _with_bar(title, work) if console.is_terminal else _with_lines(title, work)
    score = "" if row.score is None else f", score {row.score:.3f}"
    metrics = "".join(f", {name} {value:.3f}" for name, value in row.metrics.items())
    console.print(
        f"{row.scenario} · {row.agent} · seed {row.seed}: return {row.return_mean:.3f}{score}{metrics} "
        f"after {row.steps:,} steps in {time.monotonic() - started:.0f} s → {row.folder}",
        highlight=False,
        soft_wrap=True,
    )
    return row


class _Rate:
    """What one line says about a report: the return, and steps per second since the first report."""

    def __init__(self) -> None:
        self.first: tuple[int, float] | None = None

    def __call__(self, steps: int, report: dict[str, float]) -> str:
        now = time.monotonic()
        self.first = self.first or (steps, now)
        told = f"return {report['return']:.3f}" if "return" in report else ""
        if steps > self.first[0]:
            told += f"  {(steps - self.first[0]) / (now - self.first[1]):,.0f} steps/s"
        return told


def _with_bar(title: str, work: Callable[[OnReport], Row]) -> Row:
    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[told]}"), TimeRemainingColumn(),
    )  # fmt: skip
    rate = _Rate()
    with Progress(*columns, console=console, transient=True) as bars:
        bar = bars.add_task(title, total=None, told="")

        def on_report(steps: int, total: int, report: dict[str, float]) -> None:
            bars.update(bar, completed=min(steps, total), total=total, told=rate(steps, report))

        return work(on_report)


def _with_lines(title: str, work: Callable[[OnReport], Row]) -> Row:
    rate, said = _Rate(), time.monotonic()

    def on_report(steps: int, total: int, report: dict[str, float]) -> None:
        nonlocal said
        told = rate(steps, report)
        if time.monotonic() - said >= SILENCE:
            said = time.monotonic()
            console.print(f"{title}: {min(steps, total) / total:4.0%}  {told}", highlight=False, soft_wrap=True)

    return work(on_report)
