"""Experiment tracking: where the numbers of a run go besides its own folder. It never stops the run."""

from __future__ import annotations

import netrc
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from ..neural_blocks.errors import unknown_name

if TYPE_CHECKING:
    import wandb

TRACKERS = ("wandb",)
UPSTREAM = {"api.forge.coreweave.com": "api.wandb.ai"}
"""The other name under which a .netrc file may hold the key of a server."""


class Tracker(Protocol):
    """What a run tells its numbers to."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Records values by name at an environment step; steps never decrease."""

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Records what came out in the end, and closes. Nothing is logged after it."""


class NoTracker:
    """Records nothing."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Does nothing."""

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Does nothing."""


class WandbTracker:
    """Records a run in Weights & Biases; online with an API key, else into the run's folder for a later `wandb sync`.

    `WANDB_MODE` decides where it is set. Whatever goes wrong in Weights & Biases (no network, a refused key, a crashed
    service, a full disk) is warned of once, in one line, and the run goes on untracked.

    Args:
        project: the project's name.
        name: the run's name.
        group: what the run is grouped under, such as scenario and agent.
        config: the run's resolved config.
        folder: the run's folder; all files of Weights & Biases stay in its sub-folder `wandb`.
        timeout: seconds that connecting may take, and at the end uploading what is left.

    Attributes:
        where: the address of the run's page, or the folder to `wandb sync`; None where nothing is tracked.
    """

    def __init__(
        self, project: str, name: str, group: str, config: Mapping[str, Any], folder: str | Path, timeout: float = 30.0
    ) -> None:
        self.where: str | None = None
        self._run: wandb.Run | None = None
        self._guarded(lambda: self._start(project, name, group, config, Path(folder), timeout))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Records values by name at an environment step; steps never decrease."""
        if run := self._run:
            self._guarded(lambda: run.log({name: float(value) for name, value in values.items()}, step=step))

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Records what came out in the end, and waits for the upload, up to the timeout."""
        if run := self._run:
            self._guarded(lambda: (run.summary.update(dict(summary)), run.finish()))
        self._run = None

    def _start(
        self, project: str, name: str, group: str, config: Mapping[str, Any], folder: Path, timeout: float
    ) -> None:
        import wandb

        folder.mkdir(parents=True, exist_ok=True)
        settings = wandb.Settings(
            init_timeout=timeout,
            login_timeout=timeout,
            finish_timeout=timeout,
            silent=True,  # the terminal belongs to the command line
            console="off",
        )
        mode: Any = os.environ.get("WANDB_MODE") or _mode(wandb.setup().settings)
        self._run = wandb.init(
            project=project,
            name=name,
            group=group,
            config=dict(config),
            dir=str(folder),
            mode=mode,
            reinit="create_new",
            settings=settings,
        )
        self.where = str(Path(self._run.dir).parent) if self._run.offline else self._run.url

    def _guarded(self, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:
            self._run = None
            reason = " ".join(str(error).split())
            warnings.warn(
                f"wandb: {type(error).__name__}: {reason:.200}; the run goes on untracked", RuntimeWarning, stacklevel=3
            )


def _mode(settings: wandb.Settings) -> str:
    """Online where Weights & Biases finds credentials without asking, offline otherwise."""
    if settings.api_key or os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return "online"
    host = urlsplit(settings.base_url).netloc
    candidates = [os.environ["NETRC"]] if os.environ.get("NETRC") else ["~/.netrc", "~/_netrc"]
    path = next((path for path in map(os.path.expanduser, candidates) if os.path.exists(path)), None)
    try:
        known = netrc.netrc(path).hosts if path else {}
    except (netrc.NetrcParseError, ValueError, OSError):
        known = {}
    return "online" if {host, UPSTREAM.get(host, host)} & known.keys() else "offline"


def tracker(
    name: str | None, *, project: str, run: str, group: str, config: Mapping[str, Any], folder: str | Path
) -> Tracker:
    """The tracker of that name; None means none.

    Args:
        name: None or "wandb".
        project: the project's name.
        run: the run's name.
        group: what the run is grouped under.
        config: the run's resolved config.
        folder: the run's folder, in which the tracker keeps its files.

    Raises:
        InvalidInput: an unknown name.
    """
    if name is None:
        return NoTracker()
    if name == "wandb":
        return WandbTracker(project, run, group, config, folder)
    raise unknown_name("tracker", name, TRACKERS)
