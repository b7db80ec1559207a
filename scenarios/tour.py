"""The five-minute tour: `palaestra demo`."""

from __future__ import annotations

import shlex
import sys
from datetime import datetime
from pathlib import Path

from . import catalogue, listing
from .board import Leaderboard
from .output import progress
from .output.terminal import paragraph, say
from .playback import watch

SCENARIO, AGENT, SEEDS, FILMED = "digits", "ppo", 3, 12


def demo(root: Path | None = None) -> None:
    """Trains PPO on digits over three seeds, ranks it between random and expert, and films the trained agent."""
    root = root or Path("runs") / f"demo-{datetime.now():%Y%m%d-%H%M%S}"
    scenario = catalogue.get(SCENARIO)
    paragraph(f"{scenario.title}: {scenario.description}")
    say()
    for name in ("random", "expert"):
        progress.train(scenario, name, range(SEEDS), root=root)
    rows = progress.train(scenario, AGENT, range(SEEDS), root=root)
    board = Leaderboard(root / "leaderboard.sqlite")
    listing.show_standings(board, SCENARIO, as_json=False)
    video = root / "digits-ppo.mp4"
    with progress.working(f"filming {FILMED} episodes"):
        watch(scenario, rows[0].folder, video=video, episodes=FILMED)
    say(f"The trained agent on images it never saw: {video}")
    say("Next:")
    for line in next_lines(root, rows[0].folder):
        print(f"    {line}")


def next_lines(root: Path, run: str | Path) -> list[str]:
    """Commands that work when they are pasted into the shell that the demo ran in, one a line."""
    play = ["play", SCENARIO, "--agent", str(run)]
    return [command(*words) for words in (play, ["leaderboard", SCENARIO, "--root", str(root)], ["list", "scenarios"])]


def command(*words: str) -> str:
    """A line for the shell that runs `palaestra` with these words, by the path of the one that is running.

    The console script beside the interpreter where there is one, else the module; relative to the current folder
    where it lies below.
    """
    beside = Path(sys.executable).parent / ("palaestra.exe" if sys.platform == "win32" else "palaestra")
    program, module = (beside, []) if beside.exists() else (Path(sys.executable), ["-m", "palaestra.scenarios.main"])
    if program.is_relative_to(Path.cwd()):
        program = program.relative_to(Path.cwd())
    return shlex.join([str(program), *module, *words])
