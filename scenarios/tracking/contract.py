"""What a tracker is: where the numbers of a run go besides its own folder. It never stops the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ..catalogue import Scenario

ROW = "palaestra_row"
"""The name in a finished run's summary under which its row of the leaderboard stands, as JSON."""


@dataclass(frozen=True)
class Shown:
    """What a finished run has to show beside its numbers.

    Attributes:
        episodes: of its recording, the steps and the return of each.
        film: a video of them; None for none.
        checkpoint: the files that make the agent again; none where nobody asked for them.
    """

    episodes: Sequence[tuple[int, float]] = ()
    film: Path | None = None
    checkpoint: Sequence[Path] = ()


class Tracker(Protocol):
    """What a run tells its numbers to."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Records values by name at an environment step; steps never decrease."""

    def show(self, shown: Shown) -> None:
        """Records what a finished run has to show."""

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Records what came out in the end, and closes. Nothing is logged after it."""

    def stop(self) -> None:
        """Closes without a result: the run was stopped and may be carried on. After `finish` it does nothing."""


class NoTracker:
    """Records nothing."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Does nothing."""

    def show(self, shown: Shown) -> None:
        """Does nothing."""

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Does nothing."""

    def stop(self) -> None:
        """Does nothing."""


class TrackedRun(Protocol):
    """What a tracker needs to know of a run."""

    @property
    def run_id(self) -> str:
        """Unique to it."""

    @property
    def scenario(self) -> Scenario:
        """What it is of."""

    @property
    def agent(self) -> str:
        """The agent's name."""

    @property
    def config(self) -> dict[str, Any]:
        """The agent's whole configuration."""

    @property
    def seed(self) -> int:
        """Of weights, actions and environments."""

    @property
    def steps(self) -> int:
        """The budget."""

    @property
    def device(self) -> str:
        """Where it trains."""

    @property
    def version(self) -> str:
        """Of Palaestra."""


def run_config(run: TrackedRun) -> dict[str, Any]:
    """All that decides a run, under the names that its settings have."""
    scenario = run.scenario
    return {
        **run.config,
        "scenario": scenario.name,
        "environment": scenario.environment,
        "options": scenario.options,
        "evaluation": {**scenario.evaluation.model_dump(mode="json"), "options": scenario.evaluation_options},
        "num_envs": scenario.num_envs,
        "agent": run.agent,
        "seed": run.seed,
        "steps": run.steps,
        "device": run.device,
        "version": run.version,
    }
