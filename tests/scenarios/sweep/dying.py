"""Work for other processes, which does not always outlive it."""

import os
import signal
from pathlib import Path


def squared(task: tuple[str, int]) -> tuple[int, int]:
    """The square of a number, and the process; a negative number kills the process, once each time a file is gone."""
    folder, value = task
    mark = Path(folder, str(value))
    if value == -99 or (value < 0 and not mark.exists()):
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return value * value, os.getpid()
