"""Stopping a run: Ctrl-C, or a scheduler's SIGTERM, takes effect between two iterations, so that all can be saved."""

from __future__ import annotations

import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """A run was stopped and can be carried on; the message names it and the command that does so.

    Attributes:
        folder: the run's.
        steps: environment steps it has taken.
        total: steps it is to take.
    """

    def __init__(self, folder: Path, steps: int, total: int) -> None:
        self.folder, self.steps, self.total = folder, steps, total
        done = "trained, not yet scored" if steps >= total else f"{steps:,} of {total:,} steps saved"
        super().__init__(f"stopped; {done}. {carry_on(folder)}")


def carry_on(folder: Path) -> str:
    """The sentence that tells how a run goes on."""
    return f"Carry on with: {shlex.join(['palaestra', 'resume', str(folder)])}"


class Asked:
    """Whether somebody has asked for a stop."""

    def __init__(self) -> None:
        self.stop = False


@contextmanager
def stopping_between_iterations() -> Iterator[Asked]:
    """Inside it, the first Ctrl-C or SIGTERM only says so; a second one raises `KeyboardInterrupt` at once.

    In another thread than the main one, where Python takes no signals, nothing changes.
    """
    asked = Asked()

    def note(number: int, frame: Any) -> None:
        if asked.stop:
            raise KeyboardInterrupt
        asked.stop = True
        print("palaestra: stopping after this iteration (Ctrl-C again: at once, unsaved)", file=sys.stderr, flush=True)

    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
