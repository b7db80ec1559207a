"""The five-minute tour: `palaestra demo`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from . import catalogue, listing, progress
from .board import Leaderboard
from .playback import watch

SCENARIO, AGENT, SEEDS = "digits", "ppo", 3


def demo(root: Path | None = None) -> None:
    """Trains PPO on digits over three seeds, ranks it between random and expert, and films the trained agent."""
    root = root or Path("runs") / f"demo-{datetime.now():%Y%m%d-%H%M%S}"
    scenario = catalogue.get(SCENARIO)
    say = progress.console.print
    say(f"[bold]{scenario.title}[/bold]: {scenario.description}\n")
    for name in ("random", "expert"):
        progress.train(SCENARIO, name, range(SEEDS), root=root)
    rows = progress.train(SCENARIO, AGENT, range(SEEDS), root=root)
    listing.show_standings(Leaderboard(root / "leaderboard.sqlite"), SCENARIO, as_json=False)
    video = root / "digits-ppo.mp4"
    watch(scenario, rows[0].folder, video=video, episodes=12)
    say(f"\nThe trained agent on images it never saw: {video}")
    say(f"Next: palaestra play {SCENARIO} --agent {rows[0].folder}   or   palaestra list scenarios")
