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


def train(
    scenario: str,
    agent: str | None,
    seeds: Iterable[int],
    steps: int | None = None,
    settings: dict[str, Any] | None = None,
    device: str = "auto",
    root: Path = ROOT,
    track: str | None = None,
) -> list[Row]:
    """Runs one seed after the other, each with its bar and its line of result."""

    def one(seed: int) -> Callable[[OnReport], Row]:
        return lambda on_report: start_run(
            scenario, agent, seed,
            steps=steps, settings=settings, device=device, root=root, track=track, on_report=on_report,
        )  # fmt: skip

    return [_with_bar(f"{scenario} · {agent or 'default agent'} · seed {seed}", one(seed)) for seed in seeds]


def resume(folder: Path) -> Row:
    """Carries on a run that was stopped."""
    return _with_bar(str(folder), lambda on_report: resume_run(folder, on_report=on_report))


def _with_bar(title: str, work: Callable[[OnReport], Row]) -> Row:
    torch.set_num_threads(1)  # small networks: a second thread costs more than it brings
    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[told]}"), TimeRemainingColumn(),
    )  # fmt: skip
    started = time.monotonic()
    with Progress(*columns, console=console, transient=True) as bars:
        bar = bars.add_task(title, total=None, told="")
        first: list[float] = []

        def on_report(steps: int, total: int, report: dict[str, float]) -> None:
            now = time.monotonic()
            first[:] = first or [steps, now]
            rate = (steps - first[0]) / max(now - first[1], 1e-9)
            told = f"{rate:,.0f} steps/s" if steps > first[0] else ""
            if "return" in report:
                told = f"return {report['return']:.3f}  {told}"
            bars.update(bar, completed=min(steps, total), total=total, told=told)

        row = work(on_report)
    score = "" if row.score is None else f", score {row.score:.3f}"
    metrics = "".join(f", {name} {value:.3f}" for name, value in row.metrics.items())
    seconds = time.monotonic() - started
    console.print(
        f"{row.scenario} · {row.agent} · seed {row.seed}: return {row.return_mean:.3f}{score}{metrics} "
        f"after {row.steps:,} steps in {seconds:.0f} s → {row.folder}",
        highlight=False,
        soft_wrap=True,
    )
    return row
