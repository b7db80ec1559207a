"""Files that are written whole or not at all: a killed process leaves the old file, never half of the new one."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

PARTIAL = "partial"  # how the name of a file ends while it is being written: NAME.PROCESS.partial


def write_whole(path: str | Path, write: Callable[[BinaryIO], object]) -> None:
    """Has a file written under another name, and gives it its own once it and its folder are on the disk.

    A link in the file's place is replaced, not followed. What killed processes left of the same file is swept.

    Args:
        path: the file; its folder is made.
        write: puts the content into an open binary file, which can be read and sought too.

    Raises:
        OSError: the disk is full, the folder cannot be written, ...
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent, path.name)
    partial = path.with_name(f"{path.name}.{os.getpid()}.{PARTIAL}")
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, flags, 0o666), "w+b") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    _sync_folder(path.parent)


def write_text(path: str | Path, text: str) -> None:
    """Writes UTF-8 text whole or not at all; see `write_whole`."""
    write_whole(path, lambda file: file.write(text.encode()))


def sweep(folder: Path, name: str | None = None) -> None:
    """Deletes what processes that no longer run left half-written in a folder; only of the file `name` if given."""
    for path in folder.glob(f"*.{PARTIAL}"):
        parts = re.fullmatch(rf"(.+)\.(\d+)\.{PARTIAL}", path.name)
        if parts and name in (None, parts[1]) and not _runs(int(parts[2])):
            path.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    """Whether there is such a process here."""
    if os.name != "posix":
        return True  # on Windows `os.kill` would end it
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _sync_folder(folder: Path) -> None:
    """Makes a new name in a folder outlive a power cut."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:  # a file system that cannot
        pass
    finally:
        os.close(descriptor)
