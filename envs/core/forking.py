"""What a forked process needs before it may use PyTorch. Imports no torch by itself.

PyTorch computes with a pool of threads (OpenMP's), of which a forked child inherits the record but not the threads: it
would wait for them for ever at its first operation that is large enough to be shared out. So a child that is forked
from a process that knows this suite, as by Gymnasium's `AsyncVectorEnv` and Stable-Baselines3's `SubprocVecEnv`,
computes with one thread, which is also the right number where there is a worker for each core.
"""

from __future__ import annotations

import multiprocessing
import os
import sys


def _compute_alone() -> None:
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_compute_alone)
    if type(multiprocessing.current_process()).__name__ == "ForkProcess":  # a child that is the first to import this
        _compute_alone()
