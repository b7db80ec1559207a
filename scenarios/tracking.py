"""Experiment tracking: where the numbers of a run go besides its own folder. It never stops the run."""

from __future__ import annotations

import netrc
import os
import shlex
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from ..neural_blocks.errors import unknown_name
from .output.terminal import say
from .reachable import refusal

if TYPE_CHECKING:
    import wandb

    from .catalogue import Scenario

TRACKERS = ("wandb",)
PROJECT = "palaestra"
UPSTREAM = {"api.forge.coreweave.com": "api.wandb.ai"}
"""The other name under which a .netrc file may hold the key of a server."""


class Tracker(Protocol):
    """What a run tells its numbers to."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Records values by name at an environment step; steps never decrease."""

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Records what came out in the end, and closes. Nothing is logged after it."""

    def stop(self) -> None:
        """Closes without a result: the run was stopped and may be carried on. After `finish` it does nothing."""


class NoTracker:
    """Records nothing."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
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


class WandbTracker:
    """Records a run in Weights & Biases; online with an API key, else into the run's folder for a later `wandb sync`.

    `WANDB_MODE` decides where it is set; `WANDB_PROJECT`, `WANDB_NAME`, `WANDB_RUN_GROUP`, `WANDB_RUN_ID` and
    `WANDB_RESUME` are respected. A run that is carried on is the same run there: it has the same id. Where the server
    cannot be reached or refuses, or the service crashes, the run is kept offline, from there on. Whatever else goes
    wrong (a full disk) is told once, in one line, and the run goes on untracked.

    Args:
        id: the run's, unique.
        name: the run's, for people.
        group: what the run is grouped under, such as scenario and agent.
        config: all that decides the run.
        folder: the run's folder; all files of Weights & Biases stay in its sub-folder `wandb`.
        timeout: seconds that connecting may take, and at the end uploading what is left.
        tell: prints one line.

    Attributes:
        where: the address of the run's page, or the folder to `wandb sync`; None where nothing is tracked.
    """

    def __init__(
        self,
        id: str,
        name: str,
        group: str,
        config: Mapping[str, Any],
        folder: str | Path,
        timeout: float = 8.0,
        tell: Callable[[str], None] = lambda line: say(line, error=True),
    ) -> None:
        self.where: str | None = None
        self.timeout, self.tell, self.folder = timeout, tell, Path(folder)
        self._wanted: dict[str, Any] = {"project": PROJECT, "name": name, "group": group, "id": id, "resume": "allow"}
        self._config = dict(config)
        self._run: wandb.Run | None = None
        self._fallen_back = False
        try:
            self._start()
        except Exception as error:
            self._give_up(error)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Records values by name at an environment step; steps never decrease."""
        told = {name: float(value) for name, value in values.items()}
        self._kept(lambda run: run.log(told, step=step))

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Records what came out in the end, and waits for the upload, up to the timeout."""
        self._kept(lambda run: run.summary.update(dict(summary)))
        self._close(0)

    def stop(self) -> None:
        """Closes without a result: the run was stopped and may be carried on. After `finish` it does nothing."""
        self._close(1)

    def _close(self, code: int) -> None:
        run, self._run = self._run, None
        if run is None:
            return
        folder = Path(run.dir).parent
        try:
            run.finish(exit_code=code)
        except TimeoutError:
            self.tell(f"wandb: not all was uploaded within {self.timeout:g} s; for the rest: {_sync(folder)}")
        except Exception as error:
            self._end_service()
            self.tell(f"wandb: {_reason(error)}; what was recorded is in {folder}")

    def _start(self) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # which complains on the terminal
        import wandb

        self.folder.mkdir(parents=True, exist_ok=True)
        known = wandb.setup(settings=wandb.Settings(silent=True)).settings
        key = _key(known)
        mode: Any = os.environ.get("WANDB_MODE") or ("online" if key is not None else "offline")
        reason = refusal(known.base_url, key or None, self.timeout / 2) if mode == "online" else None
        if reason is None:
            try:
                self._init(mode)
                return
            except Exception as error:
                if mode in ("offline", "disabled"):
                    raise
                reason = _reason(error)
                self._end_service()
        self._go_offline(reason)

    def _init(self, mode: Any) -> None:
        """Starts recording; where one of its variables is set, Weights & Biases reads it itself."""
        import wandb

        variables = {"group": "RUN_GROUP", "id": "RUN_ID"}
        given = {
            key: None if os.environ.get(f"WANDB_{variables.get(key, key.upper())}") else value
            for key, value in self._wanted.items()
            if key != "resume" or mode == "online"  # offline there is nothing to look up
        }
        settings = wandb.Settings(
            init_timeout=self.timeout,
            login_timeout=self.timeout,
            finish_timeout=self.timeout,
            finish_timeout_raises=True,
            silent=True,  # the terminal belongs to the command line
            console="off",
        )
        self._run = wandb.init(
            **given, config=self._config, dir=str(self.folder), mode=mode, reinit="create_new", settings=settings
        )
        self.where = str(Path(self._run.dir).parent) if self._run.offline else self._run.url

    def _go_offline(self, reason: str) -> None:
        self._init("offline")
        self.tell(f"wandb: {reason}; the run is kept offline, to upload it later: {_sync(Path(str(self.where)))}")

    def _kept(self, call: Callable[[wandb.Run], object]) -> None:
        """Makes a call; where it fails, the service has gone: another one goes on offline, and is called again."""
        if self._run is None:
            return
        try:
            call(self._run)
        except Exception as error:
            if self._fallen_back:
                self._give_up(error)
                return
            self._fallen_back, self._run = True, None
            try:
                self._end_service()
                self._go_offline(_reason(error))
                call(self._run)  # type: ignore[arg-type]
            except Exception as again:
                self._give_up(again)

    def _give_up(self, error: Exception) -> None:
        self._run = None
        self.tell(f"wandb: {_reason(error)}; the run goes on untracked")

    def _end_service(self) -> None:
        """Ends what the service has left of a run that failed, unless somebody else's run is in it."""
        import wandb

        if wandb.run is not None:
            return

        def end() -> None:
            with suppress(Exception):
                wandb.teardown(1)

        thread = threading.Thread(target=end, daemon=True)  # it waits for uploads, however long they take
        thread.start()
        thread.join(self.timeout)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _sync(folder: Path) -> str:
    return f"wandb sync {shlex.quote(str(folder))}"


def _key(settings: wandb.Settings) -> str | None:
    """The API key that Weights & Biases finds without asking; "" for other credentials, None for none."""
    if key := settings.api_key or os.environ.get("WANDB_API_KEY"):
        return key
    if os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return ""
    host = urlsplit(settings.base_url).netloc
    candidates = [os.environ["NETRC"]] if os.environ.get("NETRC") else ["~/.netrc", "~/_netrc"]
    path = next((path for path in map(os.path.expanduser, candidates) if os.path.exists(path)), None)
    try:
        known = netrc.netrc(path).hosts if path else {}
    except (netrc.NetrcParseError, ValueError, OSError):
        known = {}
    found = known.get(host) or known.get(UPSTREAM.get(host, host))
    return found[2] if found else None


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


def tracker(name: str | None, run: TrackedRun, folder: str | Path, group: str | None = None) -> Tracker:
    """The tracker of that name; None means none.

    Args:
        name: None or "wandb".
        run: what is tracked.
        folder: the run's folder, in which the tracker keeps its files.
        group: what the run is grouped under; None for its scenario and agent.

    Raises:
        InvalidInput: an unknown name.
    """
    if name is None:
        return NoTracker()
    if name == "wandb":
        title = f"{run.scenario.name}-{run.agent}-{run.seed}"
        return WandbTracker(run.run_id, title, group or f"{run.scenario.name}/{run.agent}", run_config(run), folder)
    raise unknown_name("tracker", name, TRACKERS)
