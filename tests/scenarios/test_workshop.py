"""`palaestra new` writes what passes `palaestra check`, ruff and its own test; `check` tells what fails."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios import check
from palaestra.scenarios.workshop import scaffold
from palaestra.tests.scenarios.conftest import TINY

KINDS = scaffold.KINDS


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Runs Python without the current folder on its path, as the console script does."""
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, env=dict(os.environ))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_passes_its_check_its_test_and_ruff(kind: str) -> None:
    written = scaffold.write(kind, "my-maze")
    assert [path.exists() for path in written.files] == [True, True]
    for tool in (["check"], ["format", "--check"]):
        done = run("-m", "ruff", *tool, "--isolated", ".")
        assert done.returncode == 0, done.stdout
    tested = run("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_maze.py")
    assert tested.returncode == 0, tested.stdout
    assert " passed" in tested.stdout


def test_the_command_finds_a_class_in_the_current_folder_and_says_what_fails() -> None:
    scaffold.write("env", "my-maze")
    command = ("-P", "-m", "palaestra.scenarios.main", "check", "my_maze:MyMaze")
    done = run(*command, "length=5")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("my_maze:MyMaze: all 13 checks passed\n")
    text = Path("my_maze.py").read_text()
    Path("my_maze.py").write_text(text.replace("(state.goal > state.place)", "(state.goal < state.place)"))
    done = run(*command, "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert not report["passed"]
    assert [one["check"] for one in report["findings"] if not one["passed"]] == ["expert"]


@pytest.mark.parametrize("name", ["my-maze", "my_maze", "MyMaze"])
def test_a_name_is_in_words(name: str) -> None:
    written = scaffold.write("env", name, "deep/folder")
    assert [str(path) for path in written.files] == ["deep/folder/my_maze.py", "deep/folder/test_my_maze.py"]
    assert "class MyMaze(Task[MyMazeState]):" in Path("deep/folder/my_maze.py").read_text()
    assert written.following[1] == "  cd deep/folder"


@pytest.mark.parametrize("existing", ["my_maze.py", "test_my_maze.py"])
def test_nothing_is_overwritten_and_nothing_left_half_written(existing: str) -> None:
    Path(existing).write_text("mine")
    with pytest.raises(InvalidInput, match=f"{existing} exists; nothing was written"):
        scaffold.write("env", "my-maze")
    assert [path.name for path in Path().iterdir()] == [existing]
    assert Path(existing).read_text() == "mine"


@pytest.mark.parametrize(
    ("kind", "name", "told"),
    [
        ("env", "random", "'random' is that of a module that Python finds already"),
        ("agent", "torch", "'torch' is that of a module"),
        ("block", "class", "name must be"),
        ("env", "../maze", "name must be"),
        ("env", "", "name must be"),
        ("env", "7up", "name must be"),
        ("env", "a" * 41, "at most 40"),
        ("scenario", "digits", "one of the catalogue's own"),
        ("envs", "maze", "did you mean 'env'"),
    ],
)
def test_a_name_that_cannot_be_is_refused(kind: str, name: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        scaffold.write(kind, name)
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("changed", "name", "told"),
    [
        ("environment: palaestra/TabularBandi-v0", "training environment", "did you mean 'palaestra/TabularBandit-v0'"),
        ("options: {dataset: tset}", "training environment", "dataset"),
        ("evaluation: {options: {dataset: wine}}", "same spaces", "observation_space must be the same"),
        ("agents: {sac: {}}", "agent sac", "action space must be Box"),
        ("agents: {ppo: {learning_rat: 1}}", "agent ppo", "did you mean 'learning_rate'"),
        ("agent: pppo", "agent pppo", "did you mean 'ppo'"),
    ],
)
def test_a_scenario_that_cannot_be_is_told_by_its_check(changed: str, name: str, told: str) -> None:
    key = changed.partition(":")[0]
    lines = [line for line in TINY.splitlines() if not line.startswith(f"{key}:")]
    Path("mine.yaml").write_text("\n".join([*lines, changed]) + "\n")
    report = check("mine.yaml")
    (finding,) = (one for one in report if one.check == name)
    assert not finding.passed
    assert told in finding.told


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("digitss", "did you mean 'digits'"),
        ("pppo", "did you mean 'ppo'"),
        ("os.path:join", "must be a class derived from a Task, a Game, an Agent, a Memory or a module that encodes"),
        ("nowhere.at_all:Maze", "nowhere.at_all cannot be imported: ModuleNotFoundError"),
    ],
)
def test_what_cannot_be_checked_is_refused(name: str, told: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        check(name)
    assert told in str(refusal.value)
    assert "\n" not in str(refusal.value)
