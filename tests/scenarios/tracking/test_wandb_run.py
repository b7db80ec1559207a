import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios import catalogue, runner
from palaestra.scenarios.tracking import NoTracker, WandbTracker, tracker
from palaestra.scenarios.tracking.reachable import refusal
from palaestra.scenarios.tracking.wandb_run import api_key
from palaestra.tests.scenarios.tracking.conftest import KEY
from palaestra.tests.scenarios.tracking.wandb_server import Server

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # of wandb, at its end
PATIENCE = 4.0


@dataclasses.dataclass
class Run:
    """What a tracker needs to know of a run."""

    run_id: str = "1a2b3c4d"
    scenario: Any = dataclasses.field(default_factory=lambda: catalogue.get("digits"))
    agent: str = "ppo"
    config: dict = dataclasses.field(default_factory=lambda: {"learning_rate": 3e-4})
    seed: int = 7
    steps: int = 128
    device: str = "cpu"
    version: str = "0.1.0"


def start(folder: Path, told: list[str]) -> WandbTracker:
    config = {"learning_rate": 3e-4}
    return WandbTracker("1a2b3c4d", "digits-ppo-7", "digits/ppo", config, folder, PATIENCE, told.append)


def records(log: Path) -> list[dict]:
    """What is in a file of wandb's, read by the program that `wandb leet inspect --json` starts."""
    import wandb

    program = Path(wandb.__file__).parent / "bin" / "wandb-core"
    command = [program, "leet", "inspect", "--json", "--run-file", str(log), str(log.parent)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    return [json.loads(line) for line in printed.splitlines()]


def written(folder, seconds=60):
    """The records of all logs in a folder, once a run's summary is among them: a busy machine writes them late."""
    until = time.monotonic() + seconds
    while True:
        found = [record for log in folder.rglob("*.wandb") for record in records(log)]
        if "0.75" in json.dumps(found) or time.monotonic() > until:
            return found
        time.sleep(0.5)


def of_kind(found: list[dict], kind: str) -> list[str]:
    return [json.dumps(record) for record in found if record.get("type") == kind]


def test_no_name_means_no_tracker(tmp_path):
    nothing = tracker(None, Run(), tmp_path / "run")
    assert isinstance(nothing, NoTracker)
    nothing.log(0, {"return": 1.0})
    nothing.finish({"score": 1.0})
    nothing.stop()
    assert not (tmp_path / "run").exists()


def test_an_unknown_tracker_is_answered_with_the_nearest_one(tmp_path):
    with pytest.raises(
        InvalidInput, match=r"tracker must be one of 'wandb', 'tensorboard'; got 'wanbd' \(did you mean 'wandb'\?\)"
    ):
        tracker("wanbd", Run(), tmp_path)


def test_an_offline_run_can_be_read_back_from_its_folder(tmp_path):
    folder = tmp_path / "run"
    tracked = tracker("wandb", Run(), folder)
    for step in (64, 128):
        tracked.log(step, {"return": step / 256})
    tracked.finish({"score": 0.75})
    assert isinstance(tracked, WandbTracker)
    assert Path(tracked.where).parent == folder / "wandb"
    (log,) = folder.rglob("*.wandb")
    found = records(log)
    first, second = of_kind(found, "history")
    assert "0.25" in first
    assert "0.5" in second
    everything = json.dumps(found)
    for part in ("1a2b3c4d", "digits-ppo-7", "digits/ppo", "0.75"):
        assert part in everything
    for part in (
        "learning_rate",
        "palaestra/DigitBandit-v0",
        "split",
        "num_envs",
        "steps",
        "device",
        "version",
        "seed",
    ):
        assert part in everything


def test_a_killed_and_resumed_run_is_the_same_run_and_gets_the_score(tmp_path, tiny):
    class Killed(Exception):
        pass

    def kill(steps: int, total: int, report: dict) -> None:
        raise Killed

    with pytest.raises(Killed):
        runner.run(tiny, root=tmp_path / "runs", steps=512, track="wandb", on_report=kill, checkpoint_seconds=0)
    (folder,) = (tmp_path / "runs/tiny/ppo").iterdir()
    row = runner.resume(folder)
    logs = sorted(folder.rglob("*.wandb"), key=os.path.getmtime)
    assert [log.stem for log in logs] == [f"run-{row.run_id}"] * 2
    last = json.dumps(records(logs[1]))
    for part in ("accuracy", "palaestra/TabularBandit-v0", "split", "512", "cpu", "score", f"{row.score:.12g}"[:12]):
        assert part in last


def test_a_server_is_told_all_of_a_run(tmp_path, server, capfd):
    found, told = server("well"), []
    tracked = start(tmp_path / "run", told)
    tracked.log(64, {"return": 0.25})
    tracked.finish({"score": 0.75})
    tracked.stop()
    assert told == []
    assert tracked.where == f"{found.url}/me/palaestra/runs/1a2b3c4d"
    first = found.announced()[0]
    assert (first["name"], first["displayName"], first["groupName"]) == ("1a2b3c4d", "digits-ppo-7", "digits/ppo")
    everything = "".join(text for _, text in found.seen)
    assert "learning_rate" in everything
    assert r"\"return\":0.25" in everything
    assert r'score":0.75' in everything.replace("\\", "")
    assert capfd.readouterr() == ("", "")


def test_variables_of_the_environment_decide_where_they_are_set(tmp_path, server, monkeypatch):
    found = server("well")
    for name, value in {"PROJECT": "mine", "NAME": "named", "RUN_GROUP": "grouped", "RUN_ID": "chosen"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    start(tmp_path / "run", []).finish({})
    given = found.announced()[0]
    assert [given[key] for key in ("project", "displayName", "groupName", "name")] == [
        "mine", "named", "grouped", "chosen",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        ("refuse", "the API key is refused (HTTP 401)"),
        ("error", "HTTP 500"),
        ("rubbish", "its answer is not that of a server of Weights & Biases"),
        ("hang", f"no answer within {PATIENCE / 2:g} s"),
        ("closed", "Connection refused"),
    ],
)
def test_where_a_server_does_not_serve_the_run_is_kept_offline(tmp_path, server, manner, reason, capfd):
    found, told = server(manner), []
    if manner == "closed":
        found.close()
    tracked = start(tmp_path / "run", told)
    tracked.log(64, {"return": 0.25})
    tracked.finish({"score": 0.75})
    (line,) = told
    assert reason in line
    assert line.endswith(f"; the run is kept offline, to upload it later: wandb sync {tracked.where}")
    assert "\n" not in line
    (history,) = of_kind(written(Path(tracked.where)), "history")
    assert "0.25" in history
    assert "Traceback" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("manner", ["hang", "rubbish", "error"])
def test_a_server_that_fails_half_way_costs_no_data(tmp_path, server, manner):
    found, told = server("well"), []
    tracked = start(tmp_path / "run", told)
    tracked.log(64, {"return": 0.25})
    found.manner = manner
    tracked.log(128, {"return": 0.375})
    tracked.finish({"score": 0.75})
    (line,) = told
    assert line.startswith("wandb: ")
    assert "\n" not in line
    assert "wandb sync" in line
    if manner == "hang":
        assert told[0].startswith(f"wandb: not all was uploaded within {PATIENCE:g} s; for the rest: wandb sync ")
    kept = written(tmp_path / "run")
    assert [value in "".join(of_kind(kept, "history")) for value in ("0.25", "0.375")] == [True, True]
    assert "0.75" in json.dumps(kept)


def test_a_server_that_says_nothing_is_not_waited_for():
    with socket.create_server(("127.0.0.1", 0)) as listening:  # takes connections, says nothing
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        assert refusal(address, KEY, 0.2) == f"{address[7:]}: no answer within 0.2 s"
    other = Server("well")
    try:
        assert refusal(other.url, KEY, PATIENCE) is None
        assert refusal(other.url, None, PATIENCE) is None
        assert len(other.seen) == 2
    finally:
        other.close()
    assert refusal("http://no-such-host.invalid", KEY, PATIENCE) is not None


def test_a_run_without_an_api_key_is_tracked_offline(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_MODE")
    told = []
    tracked = start(tmp_path / "run", told)
    tracked.finish({})
    assert "offline-run" in tracked.where
    assert told == []


def test_nothing_is_written_where_wandb_is_disabled(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    tracked = start(tmp_path / "run", [])
    tracked.log(1, {"return": 1.0})
    tracked.finish({})
    assert list((tmp_path / "run").iterdir()) == []


def test_an_api_key_is_found_in_the_environment_or_the_netrc(tmp_path, monkeypatch):
    import wandb

    ours = wandb.Settings(base_url="https://wandb.example.org")
    public = wandb.Settings(base_url="https://api.wandb.ai")
    assert (api_key(ours), api_key(public)) == (None, None)
    (tmp_path / "netrc").write_text(f"machine wandb.example.org login user password {KEY}\n")
    (tmp_path / "netrc").chmod(0o600)
    assert (api_key(ours), api_key(public)) == (KEY, None)
    (tmp_path / "netrc").write_text("nonsense")
    assert api_key(ours) is None
    monkeypatch.setenv("WANDB_API_KEY", "1" * 40)
    assert api_key(public) == "1" * 40


def test_a_log_that_raises_twice_is_told_once_and_survived(tmp_path, monkeypatch):
    import wandb

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionResetError("Connection lost\nand a second line")

    told = []
    tracked = start(tmp_path / "run", told)
    monkeypatch.setattr(wandb.Run, "log", refuse)
    tracked.log(1, {"return": 1.0})
    tracked.log(2, {"return": 1.0})
    tracked.finish({"score": 1.0})
    reason = "wandb: ConnectionResetError: Connection lost and a second line"
    assert [line.partition(";")[0] for line in told] == [reason, reason]
    assert told[1].endswith("; the run goes on untracked")


def test_a_finish_that_raises_is_survived(tmp_path, monkeypatch):
    import wandb

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    told = []
    tracked = start(tmp_path / "run", told)
    tracked.log(1, {"return": 1.0})
    monkeypatch.setattr(wandb.Run, "finish", refuse)
    tracked.finish({"score": 1.0})
    assert "No space left on device" in told[0]


@pytest.mark.skipif(sys.platform == "win32", reason="kills with SIGKILL, which Windows does not have")
def test_a_service_that_crashes_is_replaced_by_one_offline(tmp_path):
    told = []
    tracked = start(tmp_path / "run", told)
    table = subprocess.check_output(["ps", "-A", "-o", "pid=,ppid=,comm="], text=True)
    rows = [line.split(maxsplit=2) for line in table.splitlines()]
    for pid, parent, name in rows:
        if int(parent) == os.getpid() and "wandb" in name:
            os.kill(int(pid), signal.SIGKILL)
            os.waitpid(int(pid), 0)
    step = 0
    while not told and step < 10_000:  # what goes into a closed pipe is not refused at once
        step += 1
        tracked.log(step, {"return": 1.0})
    tracked.log(20_000, {"return": 0.125})
    tracked.finish({})
    (line,) = told
    assert "the run is kept offline" in line
    (log,) = Path(tracked.where).glob("*.wandb")
    assert "0.125" in of_kind(records(log), "history")[-1]


def test_a_folder_that_cannot_be_made_is_survived(tmp_path):
    (tmp_path / "file").write_text("")
    told = []
    tracked = start(tmp_path / "file" / "run", told)
    assert told[0].endswith("the run goes on untracked")
    assert tracked.where is None
    tracked.log(1, {"return": 1.0})
    tracked.finish({})
