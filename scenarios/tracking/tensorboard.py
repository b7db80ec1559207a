"""TensorBoard: a run's scalars as an event file in its folder."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..output.terminal import say
from .contract import Shown


class TensorBoardTracker:
    """Writes a run's numbers as scalars; one that is carried on writes a further file, which replaces what it repeats.

    Whatever goes wrong (a full disk) is told once, in one line, and the run goes on untracked.

    Args:
        folder: of the event files, for `tensorboard --logdir`.
        tell: prints one line.
    """

    def __init__(self, folder: str | Path, tell: Callable[[str], None] = lambda line: say(line, error=True)) -> None:
        self.folder, self.tell = Path(folder), tell
        self._writer: Any = None
        self._failed, self._step = False, 0

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Records values by name at an environment step; steps never decrease."""
        self._step = step
        self._write({name: float(value) for name, value in values.items() if name != "steps"})

    def show(self, shown: Shown) -> None:
        """Does nothing: only scalars are written."""

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Records the numbers that came out in the end, as `result/...`, and closes."""
        numbers = {name: value for name, value in summary.items() if isinstance(value, int | float)}
        self._write({f"result/{name}": value for name, value in numbers.items() if math.isfinite(value)})
        self.stop()

    def stop(self) -> None:
        """Closes."""
        writer, self._writer = self._writer, None
        if writer is not None:
            self._kept(writer.close)

    def _write(self, values: Mapping[str, float]) -> None:
        if not self._failed:
            self._kept(lambda: self._add(values))

    def _add(self, values: Mapping[str, float]) -> None:
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self.folder), purge_step=self._step)
        for name, value in values.items():
            self._writer.add_scalar(name, value, self._step)

    def _kept(self, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:
            self._failed, self._writer = True, None
            self.tell(f"tensorboard: {type(error).__name__}: {error}; the run goes on untracked")
