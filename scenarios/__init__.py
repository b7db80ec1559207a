"""Floor 4: scenarios. Named experiments: catalogue, runner, playback, leaderboard, command line."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .board import Standing
    from .catalogue import names
    from .files.folders import register
    from .playback import player
    from .runner import resume, run
    from .workshop.checking import check

_HOME = {
    "check": "workshop.checking",
    "names": "catalogue",
    "player": "playback",
    "register": "files.folders",
    "resume": "runner",
    "run": "runner",
}

__all__ = ["check", "leaderboard", "names", "player", "register", "resume", "run"]


def leaderboard(scenario: str | None = None, *, root: str | Path = "runs") -> "list[Standing]":
    """The standings of a scenario, or of every scenario and of all together, best first."""
    from .board import Leaderboard

    return Leaderboard(Path(root) / "leaderboard.sqlite").table(scenario)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
