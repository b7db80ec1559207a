"""Tracking: where the numbers of a run go besides its own folder, and leaderboards that several machines share."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from ...neural_blocks.errors import InvalidInput, unknown_name
from .contract import ROW, NoTracker, Shown, TrackedRun, Tracker, run_config
from .tensorboard import TensorBoardTracker
from .wandb_run import WandbTracker

__all__ = [
    "ROW", "TRACKERS", "UPLOADS", "NoTracker", "Shown", "TensorBoardTracker", "Tracker", "WandbTracker",
    "check_tracker", "run_config", "tracker",
]  # fmt: skip

TRACKERS = ("wandb", "tensorboard")
UPLOADS = ("film", "checkpoint")


def check_tracker(name: str | None, upload: Sequence[str] = ()) -> None:
    """Nothing, for a tracker that is to be had, and takes what is to be uploaded.

    Raises:
        InvalidInput: an unknown name, one whose library is not installed, or an upload that nothing takes.
    """
    if name is not None and name not in TRACKERS:
        raise unknown_name("tracker", name, TRACKERS)
    if name == "tensorboard" and find_spec("tensorboard") is None:
        raise InvalidInput("tracker 'tensorboard' needs TensorBoard: pip install 'palaestra[tensorboard]'")
    for one in upload:
        if one not in UPLOADS:
            raise unknown_name("upload", one, UPLOADS)
        if name != "wandb":
            raise InvalidInput(f"upload {one!r} needs the tracker 'wandb'; got {name!r}")


def tracker(
    name: str | None, run: TrackedRun, folder: str | Path, group: str | None = None, job_type: str = "train"
) -> Tracker:
    """The tracker of that name; None means none.

    Args:
        name: None, "wandb" or "tensorboard".
        run: what is tracked.
        folder: the run's folder, in which the tracker keeps its files.
        group: what the run is grouped under; None for its scenario and agent.
        job_type: what is done: "train", or "evaluate", which is a run of its own beside the one that trained.

    Raises:
        InvalidInput: an unknown name, or one whose library is not installed.
    """
    check_tracker(name)
    if name is None:
        return NoTracker()
    if name == "tensorboard":
        return TensorBoardTracker(Path(folder) / "tensorboard")
    trains = job_type == "train"
    title = f"{run.scenario.name}-{run.agent}-{run.seed}"
    return WandbTracker(
        run.run_id if trains else None,
        title if trains else f"{title}-{job_type}",
        group or f"{run.scenario.name}/{run.agent}",
        run_config(run) | ({} if trains else {"run": run.run_id}),
        folder,
        job_type=job_type,
    )
