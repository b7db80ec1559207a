"""The demo's next lines, and the progress of long work."""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from palaestra.scenarios import runner, tour
from palaestra.scenarios.output import progress


def test_the_next_lines_of_the_demo_work_where_they_are_pasted(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = runner.run(tiny, "random", root="a folder/runs")
    monkeypatch.setattr(tour, "SCENARIO", "tiny.yaml")
    play, board, listing = tour.next_lines(Path("a folder/runs"), row.folder)
    path = {name: value for name, value in os.environ.items() if name != "PATH"} | {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(["/bin/sh", "-c", f"{play} --video v.gif"], capture_output=True, text=True, env=path)
    assert done.returncode == 0, done.stderr
    assert Path("v.gif").exists()
    assert shlex.split(board)[-3:] == ["tiny.yaml", "--root", "a folder/runs"]
    assert shlex.split(listing)[-2:] == ["list", "scenarios"]
    program = shlex.split(play)[0]
    assert os.access(program, os.X_OK)


def test_the_command_is_the_script_beside_the_interpreter_or_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("venv/bin").mkdir(parents=True)
    monkeypatch.setattr(sys, "executable", str(Path("venv/bin/python").absolute()))
    assert tour.command("list", "two words") == "venv/bin/python -m palaestra.scenarios.main list 'two words'"
    Path("venv/bin/palaestra").touch()
    assert tour.command("list") == "venv/bin/palaestra list"


def test_work_that_takes_long_tells_so_also_where_there_is_no_terminal(monkeypatch, capsys) -> None:
    monkeypatch.setattr(progress, "FIRST", 0.01)
    with progress.working("scoring \x1b[31mit"):
        time.sleep(0.2)
    told = capsys.readouterr().err
    assert told.startswith(r"scoring \x1b[31mit, 0.0s so far")
    with progress.working("quick"):
        pass
    assert capsys.readouterr().err == ""


def test_training_tells_progress_rate_and_what_is_left_in_lines(monkeypatch, capsys, tiny: Path) -> None:
    from palaestra.scenarios import catalogue

    monkeypatch.setattr(progress, "FIRST", 0.0)
    monkeypatch.setattr(progress, "SILENCE", 0.0)
    progress.train(catalogue.get(tiny), "ppo", [0], root=Path("runs"))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("tiny · ppo · seed 0: 6%, return ")
    assert "steps/s" in lines[8]
    assert lines[8].endswith(" left")
    assert lines[-1].startswith("tiny · ppo · seed 0: return ")
    assert " after 2,048 steps in " in lines[-1]
