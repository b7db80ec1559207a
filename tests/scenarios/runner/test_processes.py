"""A run in several processes: one folder, one row, one line; a process that is killed ends the others."""

import os
import sys
from pathlib import Path

import pytest
import torch

from palaestra.agents.core.checkpoint import read_checkpoint
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios import runner
from palaestra.scenarios.board import Leaderboard
from palaestra.scenarios.runner import launching
from palaestra.scenarios.runner.launching import launch, require_gpus, this_command
from palaestra.tests.scenarios.conftest import learned

KILLED = """
import os, signal, sys
from palaestra.agents.core.processes import join
from palaestra.scenarios import runner
from palaestra.scenarios.main import say
processes, reports = join("cpu"), 0
def on_report(*_):
    global reports
    reports += 1
    if reports == 5 and processes.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
settings = {"device": "cpu", "checkpoint_seconds": 0, "processes": processes}
row = runner.run(sys.argv[1], "ppo", 1, steps=512, **settings)
print(row.run_id)
training = runner.training.Training
iteration = training.iteration
training.iteration = lambda self, *given: (iteration(self, *given), on_report())
try:
    runner.run(sys.argv[1], "ppo", 3, **settings)
except ValueError as error:
    say(error, error=True)
    sys.exit(2)
"""


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(folder / "checkpoint.pt")["state"]["network"]


def test_one_process_writes_and_scores_and_a_killed_one_ends_both_and_the_run_goes_on_in_one(tiny: Path, capfd) -> None:
    finished = runner.run(tiny, "ppo", 1, steps=512, root="finished")
    expected = runner.run(tiny, "ppo", 3, root="whole")
    whole = Path(expected.folder)
    assert launch([sys.executable, "-c", KILLED, str(tiny)], 2) == 2
    (scored,) = Leaderboard("runs/leaderboard.sqlite").rows()
    assert (scored.seed, scored.steps, scored.return_mean) == (1, 512, finished.return_mean)
    assert scored.configuration == finished.configuration
    assert len((Path(scored.folder) / "metrics.jsonl").read_text().splitlines()) == 4
    assert (Path(scored.folder) / "recording.json").exists()
    (folder,) = Path("runs/tiny/ppo").glob("3-*")
    assert len([*Path("runs/tiny/ppo").iterdir()]) == 2
    out, err = capfd.readouterr()
    assert out.split() == [scored.run_id]  # the other process is mute
    told = err.splitlines()
    assert len(told) == 1
    assert told[0].startswith("process 0 of 2: another process has ended")
    assert told[0].endswith(f"Carry on with: palaestra resume {folder}")
    assert read_checkpoint(folder / "checkpoint.pt")["state"]["steps"] == 512
    row = runner.resume(folder)
    assert (row.return_mean, row.steps) == (expected.return_mean, expected.steps)
    for name, value in weights(whole).items():
        torch.testing.assert_close(value, weights(folder)[name], rtol=0, atol=1e-5)
    for one, other in zip(learned(whole), learned(folder), strict=True):
        assert one == pytest.approx(other, abs=1e-4)


def script(rank_zero: str, rank_one: str) -> list[str]:
    """A command that does something else in each of two processes."""
    text = f"import os, sys, time, signal\nif os.environ['RANK'] == '0':\n    {rank_zero}\nelse:\n    {rank_one}"
    return [sys.executable, "-c", text]


@pytest.mark.parametrize(
    ("zero", "one", "code", "line"),
    [
        ("time.sleep(60)", "os.kill(os.getpid(), signal.SIGKILL)", 1, "process 1 of 2 was killed (SIGKILL), so"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "time.sleep(60)", 1, "process 0 of 2 was killed (SIGKILL), so"),
        ("sys.exit(3)", "time.sleep(60)", 3, None),
        ("time.sleep(60)", "raise RuntimeError('no room')", 1, "process 1 of 2 has failed: RuntimeError: no room"),
        ("print(os.environ['WORLD_SIZE'], file=sys.stderr)", "print('unheard')", 0, "2"),
    ],
)
def test_processes_end_together_and_one_line_says_why(zero, one, code, line, monkeypatch, capfd) -> None:
    monkeypatch.setattr(launching, "GRACE", 0.2)
    assert launch(script(zero, one), 2) == code
    told = capfd.readouterr()
    assert told.out == ""
    assert [text.removeprefix("palaestra: ").startswith(line or "") for text in told.err.splitlines()] == [True] * bool(
        line
    )


def test_a_signal_is_told_to_process_zero_alone(monkeypatch, capfd) -> None:
    wait = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(print('asked', file=sys.stderr)));"
    ask = f"time.sleep(1); os.kill({os.getpid()}, signal.SIGTERM)"
    assert launch(script(f"{wait} time.sleep(60)", ask), 2) == 0
    assert capfd.readouterr().err == "asked\n"


def test_more_gpus_than_there_are_are_refused_with_the_way_for_a_cpu(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    require_gpus(1)
    with pytest.raises(InvalidInput, match=r"^gpus must be at most the 1 CUDA devices .*; got 2\. .* torchrun .*cpu$"):
        require_gpus(2)


def test_the_command_is_repeated_without_the_number_of_processes(monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["palaestra", "train", "digits", "--gpus", "2", "--gpus=3", "--seeds", "2"])
    assert this_command("--gpus")[1:] == ["-m", "palaestra.scenarios.main", "train", "digits", "--seeds", "2"]
