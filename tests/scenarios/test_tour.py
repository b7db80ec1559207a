"""The demo's next lines, and the progress of long work."""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from palaestra.scenarios import runner, tour
from palaestra.scenarios.main import main
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


def test_work_of_several_parts_tells_how_many_are_left_and_for_how_long(monkeypatch, capsys) -> None:
    monkeypatch.setattr(progress, "FIRST", 0.02)
    monkeypatch.setattr(progress, "SILENCE", 0.02)
    with progress.working("filming") as on_part:
        on_part(1, 4)
        time.sleep(0.3)
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("filming, 1 of 4, ")
    assert " left, " in told


def test_a_long_iteration_and_scoring_are_not_silent(monkeypatch, capsys) -> None:
    monkeypatch.setattr(progress, "QUIET", 0.02)
    monkeypatch.setattr(progress, "FIRST", 0.0)
    monkeypatch.setattr(progress, "SILENCE", 0.02)

    def work(on_report) -> list:
        time.sleep(0.3)
        on_report(64, 64, {"return": 1.0})
        time.sleep(0.3)
        return []

    assert progress._with_lines("it", work) == []
    told = capsys.readouterr().err
    assert "it: starting, 0." in told
    assert "it: scoring, 0." in told


def test_ctrl_c_tells_how_to_go_on(monkeypatch, capsys) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("palaestra.scenarios.report.write_report", stopped)
    monkeypatch.setattr(sys, "argv", ["palaestra", "report", "--out", "my site"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert "palaestra: stopped; again with: palaestra report --out 'my site'\n" in capsys.readouterr().err


def test_a_demo_that_is_stopped_names_the_run_that_goes_on(monkeypatch, capsys) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise progress.Left("stopped; carry on with: palaestra resume RUN", range(1, 3))

    monkeypatch.setattr(progress, "train", stopped)
    monkeypatch.setattr(sys, "argv", ["palaestra", "demo", "--root", "runs"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert "palaestra: stopped; carry on with: palaestra resume RUN\n" in capsys.readouterr().err
