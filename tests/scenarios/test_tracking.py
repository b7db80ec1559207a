import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios.tracking import NoTracker, WandbTracker, _mode, tracker


@pytest.fixture(autouse=True)
def nowhere_else(tmp_path, monkeypatch):
    """Everything that wandb writes, it writes below tmp_path; the developer's own account plays no part."""
    for name in ("CACHE_DIR", "CONFIG_DIR", "DATA_DIR", "ARTIFACT_DIR"):
        monkeypatch.setenv(f"WANDB_{name}", str(tmp_path / "elsewhere"))
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    yield
    assert os.listdir(tmp_path / "cwd") == []


def start(folder: Path) -> WandbTracker:
    return WandbTracker("palaestra", "digits-ppo-0", "digits-ppo", {"learning_rate": 3e-4}, folder)


def run_python(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a script in a process that does not share this one's wandb service."""
    inherited = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
    command = [sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=inherited | environment)


def test_no_name_means_no_tracker(tmp_path):
    nothing = tracker(None, project="p", run="r", group="g", config={}, folder=tmp_path / "run")
    assert isinstance(nothing, NoTracker)
    nothing.log(0, {"return": 1.0})
    nothing.finish({"score": 1.0})
    assert not (tmp_path / "run").exists()


def test_an_unknown_tracker_is_answered_with_the_nearest_one(tmp_path):
    with pytest.raises(InvalidInput, match=r"tracker must be one of 'wandb'; got 'wanbd' \(did you mean 'wandb'\?\)"):
        tracker("wanbd", project="p", run="r", group="g", config={}, folder=tmp_path)


def test_an_offline_run_can_be_read_back_from_its_folder(tmp_path):
    folder = tmp_path / "run"
    tracked = tracker("wandb", project="p", run="r", group="g", config={"learning_rate": 3e-4}, folder=folder)
    for step in (64, 128):
        tracked.log(step, {"return": step / 256})
    tracked.finish({"score": 0.75})
    assert isinstance(tracked, WandbTracker)
    assert Path(tracked.where).parent == folder / "wandb"
    (log,) = folder.rglob("*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(log)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    records = [json.loads(line) for line in printed.splitlines()]
    history = [json.dumps(record) for record in records if record.get("type") == "history"]
    assert len(history) == 2
    assert "0.25" in history[0]
    assert "0.5" in history[1]
    assert "0.75" in printed
    assert "learning_rate" in printed


def test_a_run_without_an_api_key_is_tracked_offline(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_MODE")
    tracked = start(tmp_path / "run")
    tracked.finish({})
    assert "offline-run" in tracked.where


def test_nothing_is_written_where_wandb_is_disabled(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    tracked = start(tmp_path / "run")
    tracked.log(1, {"return": 1.0})
    tracked.finish({})
    assert list((tmp_path / "run").iterdir()) == []


def test_an_api_key_in_the_environment_or_the_netrc_means_online(tmp_path, monkeypatch):
    import wandb

    ours = wandb.Settings(base_url="https://wandb.example.org")
    public = wandb.Settings(base_url="https://api.wandb.ai")
    assert _mode(ours) == _mode(public) == "offline"
    (tmp_path / "netrc").write_text("machine wandb.example.org login user password " + "0" * 40 + "\n")
    (tmp_path / "netrc").chmod(0o600)
    assert (_mode(ours), _mode(public)) == ("online", "offline")
    (tmp_path / "netrc").write_text("nonsense")
    assert _mode(ours) == "offline"
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert _mode(public) == "online"


def test_a_server_that_cannot_be_reached_neither_stops_nor_delays_the_run(tmp_path, monkeypatch):
    script = f"""
import time
from palaestra.scenarios.tracking import WandbTracker
start = time.monotonic()
tracked = WandbTracker("p", "r", "g", {{}}, {str(tmp_path / "run")!r}, timeout=2)
for step in range(3):
    tracked.log(step, {{"return": 1.0}})
tracked.finish({{"score": 1.0}})
print(time.monotonic() - start < 15)
"""
    monkeypatch.delenv("WANDB_MODE")
    found = run_python(script, WANDB_BASE_URL="http://127.0.0.1:9", WANDB_API_KEY="0" * 40)
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip() == "True"
    assert found.stderr.count("RuntimeWarning: wandb: ") == 1
    assert "the run goes on untracked" in found.stderr


def test_a_log_that_raises_is_warned_of_once_and_survived(tmp_path, monkeypatch):
    import wandb

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionResetError("Connection lost\nand a second line")

    tracked = start(tmp_path / "run")
    monkeypatch.setattr(wandb.Run, "log", refuse)
    with pytest.warns(RuntimeWarning) as caught:
        tracked.log(1, {"return": 1.0})
    assert [str(warning.message) for warning in caught] == [
        "wandb: ConnectionResetError: Connection lost and a second line; the run goes on untracked"
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tracked.log(2, {"return": 1.0})
        tracked.finish({"score": 1.0})


def test_a_finish_that_raises_is_survived(tmp_path, monkeypatch):
    import wandb

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    tracked = start(tmp_path / "run")
    tracked.log(1, {"return": 1.0})
    monkeypatch.setattr(wandb.Run, "finish", refuse)
    with pytest.warns(RuntimeWarning, match="No space left on device"):
        tracked.finish({"score": 1.0})


@pytest.mark.skipif(sys.platform == "win32", reason="kills with SIGKILL, which Windows does not have")
def test_a_service_that_crashes_is_survived(tmp_path):
    script = f"""
import os, signal, subprocess, time, warnings
from palaestra.scenarios.tracking import WandbTracker
tracked = WandbTracker("p", "r", "g", {{}}, {str(tmp_path / "run")!r})
table = subprocess.check_output(["ps", "-A", "-o", "pid=,ppid=,comm="], text=True)
rows = [line.split(maxsplit=2) for line in table.splitlines()]
(service,) = [int(pid) for pid, parent, name in rows if int(parent) == os.getpid() and "wandb" in name]
os.kill(service, signal.SIGKILL)
time.sleep(0.5)
for step in range(3):
    tracked.log(step, {{"return": 1.0}})
tracked.finish({{}})
print("done")
"""
    found = run_python(script)
    assert found.stdout.strip() == "done", found.stderr
    assert found.stderr.count("the run goes on untracked") == 1


def test_a_folder_that_cannot_be_made_is_survived(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.warns(RuntimeWarning, match="the run goes on untracked"):
        tracked = start(tmp_path / "file" / "run")
    assert tracked.where is None
    tracked.log(1, {"return": 1.0})
    tracked.finish({})
