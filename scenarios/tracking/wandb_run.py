"""A run at Weights & Biases: online where a server serves, else offline, and whatever fails is told in one line."""

from __future__ import annotations

import netrc
import os
import shlex
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..output.terminal import say
from .contract import Shown
from .reachable import refusal

if TYPE_CHECKING:
    import wandb

PROJECT = "palaestra"
UPSTREAM = {"api.forge.coreweave.com": "api.wandb.ai"}
"""The other name under which a .netrc file may hold the key of a server."""


class WandbTracker:
    """Records a run in Weights & Biases; online with an API key, else into the run's folder for a later `wandb sync`.

    `WANDB_MODE` decides where it is set; `WANDB_PROJECT`, `WANDB_NAME`, `WANDB_RUN_GROUP`, `WANDB_RUN_ID` and
    `WANDB_RESUME` are respected. A run that is carried on is the same run there: it has the same id. Where the server
    cannot be reached or refuses, or the service crashes, the run is kept offline, from there on. Whatever else goes
    wrong (a full disk) is told once, in one line, and the run goes on untracked.

    Args:
        id: the run's, unique; None for a new one.
        name: the run's, for people.
        group: what the run is grouped under, such as scenario and agent.
        config: all that decides the run.
        folder: the run's folder; all files of Weights & Biases stay in its sub-folder `wandb`.
        job_type: what is done: "train", "evaluate" or "leaderboard".
        project: "ENTITY/PROJECT" or "PROJECT"; None for what `WANDB_ENTITY` and `WANDB_PROJECT` say, or "palaestra".
        timeout: seconds that connecting may take, and at the end uploading what is left.
        tell: prints one line.

    Attributes:
        where: the address of the run's page, or the folder to `wandb sync`; None where nothing is tracked.
        lost: whether it was given up.
    """

    def __init__(
        self,
        id: str | None,
        name: str,
        group: str,
        config: Mapping[str, Any],
        folder: str | Path,
        timeout: float = 8.0,
        tell: Callable[[str], None] = lambda line: say(line, error=True),
        job_type: str = "train",
        project: str | None = None,
    ) -> None:
        self.where: str | None = None
        self.lost = False
        self.timeout, self.tell, self.folder = timeout, tell, Path(folder)
        self._wanted: dict[str, Any] = {
            "project": PROJECT, "name": name, "group": group, "id": id, "resume": None if id is None else "allow",
            "job_type": job_type,
        }  # fmt: skip
        self._said = {}
        if project is not None:
            entity, _, last = project.rpartition("/")
            self._said = {"entity": entity or None, "project": last}
        self._config = dict(config)
        self._run: wandb.Run | None = None
        self._fallen_back = False
        self._server: tuple[str, str | None] | None = None
        try:
            self._start()
        except Exception as error:
            self._give_up(error)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Records values by name at an environment step; steps never decrease."""
        told = {name: float(value) for name, value in values.items()}
        self._kept(lambda run: run.log(told, step=step))

    def show(self, shown: Shown) -> None:
        """Records a table of episodes; the film, and the checkpoint as an artifact of type "model", where there are."""
        self.call(lambda run: _show(run, shown))

    def call(self, work: Callable[[wandb.Run], object]) -> None:
        """Does what else a run there can; where the service has gone, again on one that is kept offline."""
        self._kept(work)

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
            if self._server is not None and (reason := refusal(*self._server, self.timeout / 2)) is not None:
                self.tell(f"wandb: {reason}; what it may have missed: {_sync(folder)}")
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
        key = api_key(known)
        mode: Any = os.environ.get("WANDB_MODE") or ("online" if key is not None else "offline")
        self._server = (known.base_url, key or None) if mode == "online" else None
        reason = None if self._server is None else refusal(*self._server, self.timeout / 2)
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

        variables = {"group": "RUN_GROUP", "id": "RUN_ID", "job_type": "JOB_TYPE"}
        given = {
            key: None if os.environ.get(f"WANDB_{variables.get(key, key.upper())}") else value
            for key, value in self._wanted.items()
            if key != "resume" or mode == "online"  # offline there is nothing to look up
        }
        given |= self._said
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
        self._server = None
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
        self._run, self.lost = None, True
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


def _show(run: wandb.Run, shown: Shown) -> None:
    """Without a step, so that it belongs to the last one that was logged."""
    import wandb

    told: dict[str, Any] = {}
    if shown.episodes:
        lines = [[number, *episode] for number, episode in enumerate(shown.episodes)]
        told["recorded_episodes"] = wandb.Table(columns=["episode", "steps", "return"], data=lines)
    if shown.film is not None:
        told["film"] = wandb.Video(str(shown.film), format="mp4")
    if told:
        run.log(told)
    if shown.checkpoint:
        artifact = wandb.Artifact(f"run-{run.id}", type="model")
        for path in shown.checkpoint:
            artifact.add_file(str(path), name=path.name)
        run.log_artifact(artifact)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _sync(folder: Path) -> str:
    return f"wandb sync {shlex.quote(str(folder))}"


def api_key(settings: wandb.Settings) -> str | None:
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
