"""Starting one command in several processes that learn together, and ending them together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import IO

from ...neural_blocks.errors import InvalidInput, printable
from ..output.terminal import say
from .interruption import SIGNALS

GRACE = 30.0  # seconds that processes have to notice that another one has ended, before they are ended
PAUSE = 0.1  # seconds between two looks at them


def require_gpus(count: int) -> None:
    """Raises `InvalidInput` where there are not so many CUDA devices."""
    import torch

    found = torch.cuda.device_count()
    if count > found:
        raise InvalidInput(
            f"gpus must be at most the {found} CUDA devices that PyTorch finds here; got {count}. Processes on the CPU "
            "are started by: torchrun --nproc-per-node N -m palaestra.scenarios.main train ... --device cpu"
        )


def launch(command: Sequence[str], count: int) -> int:
    """Runs a command in so many processes, numbered as ``torchrun`` does it, until all have ended.

    Process 0 has the terminal, and is told of Ctrl-C and SIGTERM; the others are mute. Where one fails the others end
    too, and one line says which it was, unless process 0 has said what there is to say.

    Args:
        command: program and arguments.
        count: W.

    Returns:
        The exit code: 0 where all went well.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    place = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with ExitStack() as stack:
        outputs: list[IO[bytes] | None] = [
            None,
            *(stack.enter_context(tempfile.TemporaryFile()) for _ in range(1, count)),
        ]
        processes = [
            subprocess.Popen(
                command,
                env={**os.environ, **place, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                stdout=output,
                stderr=output,
                start_new_session=True,  # a terminal's Ctrl-C reaches process 0 through this one, and once
            )
            for rank, output in enumerate(outputs)
        ]
        leader = processes[0]
        before = {number: signal.signal(number, lambda number, _: leader.send_signal(number)) for number in SIGNALS}
        try:
            first = _first_failure(processes)
            ended = _end(processes, GRACE) if first is not None else []
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            _end(processes, 0.0)
        if first is None:
            return 0
        if first and processes[first].returncode > 0 and (words := _last_line(outputs[first])):
            say(f"palaestra: process {first} of {count} has failed: {words}", error=True)
        elif leader.returncode < 0 or 0 in ended:
            code = processes[first].returncode
            how = f"was killed ({signal.Signals(-code).name})" if code < 0 else f"has failed (exit code {code})"
            say(f"palaestra: process {first} of {count} {how}, so the others were ended", error=True)
        return leader.returncode if leader.returncode > 0 else 1


def _first_failure(processes: Sequence[subprocess.Popen[bytes]]) -> int | None:
    """The number of the first process that fails; None where all end well."""
    while True:
        codes = [process.poll() for process in processes]
        for rank, code in enumerate(codes):
            if code:
                return rank
        if None not in codes:
            return None
        time.sleep(PAUSE)


def _end(processes: Sequence[subprocess.Popen[bytes]], grace: float) -> list[int]:
    """Waits for processes to end by themselves, and ends those that do not; returns their numbers."""
    until = time.monotonic() + grace
    while any(process.poll() is None for process in processes) and time.monotonic() < until:
        time.sleep(PAUSE)
    left = [rank for rank, process in enumerate(processes) if process.poll() is None]
    for rank in left:
        processes[rank].kill()
        processes[rank].wait()
    return left


def _last_line(output: IO[bytes] | None) -> str:
    if output is None:
        return ""
    output.seek(max(0, output.seek(0, os.SEEK_END) - 4096))
    lines = [line.strip() for line in output.read().decode(errors="replace").splitlines() if line.strip()]
    return printable(lines[-1]) if lines else ""


def this_command(without: str) -> list[str]:
    """This process's own command line again, without one option and its value."""
    kept, words = [], iter(sys.argv[1:])
    for word in words:
        if word == without:
            next(words, None)
        elif not word.startswith(f"{without}="):
            kept.append(word)
    return [sys.executable, "-m", f"{__package__.partition('.')[0]}.scenarios.main", *kept]
