"""Somebody else's package adds to every list of the suite, installed or by "module:Class", and nothing here changes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).with_name("acme_palaestra")
DRIVER = """
import contextlib, io, json, sys
from pathlib import Path

import torch

torch.set_num_threads(1)
from palaestra import scenarios
from palaestra.scenarios.main import main

def command(*words):
    told, complained = io.StringIO(), io.StringIO()
    sys.argv = ["palaestra", *words]
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(complained):
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = ended.code or 0
    return code, told.getvalue() + complained.getvalue()


def expect(code, *words):
    found, told = command(*words)
    assert found == code, (words, found, told)
    return told


class Stop(Exception):
    "A run is stopped here."


def stop(*told):
    raise Stop


def stopped(scenario, **settings):
    "The folder of a run that was stopped after its first report."
    try:
        scenarios.run(scenario, on_report=stop, checkpoint_seconds=0.0, **settings)
    except Stop:
        pass
    (folder,) = {path.parent for path in Path("runs").rglob("run.yaml")} - {
        path.parent for path in Path("runs").rglob("result.json")
    }
    return str(folder)
"""
INSTALLED = (
    DRIVER
    + """
assert "acme/Lamp-v0" in expect(0, "list", "envs")
assert "Somebody else's learner." in expect(0, "list", "agents")
blocks = expect(0, "list", "blocks")
assert "acme/halves" in blocks and "acme/trace" in blocks
assert "acme/lamp" in expect(0, "list", "scenarios")
for name in ("acme/Lamp-v0", "acme/learner", "acme/halves", "acme/trace", "acme/lamp"):
    assert "checks passed" in expect(0, "check", name)
expect(0, "train", "acme/lamp")
assert "acme/learner" in expect(0, "leaderboard", "acme/lamp")
(run,) = [path.parent for path in Path("runs").rglob("result.json")]
assert run.parts[:3] == ("runs", "acme-lamp", "acme-learner")
expect(0, "play", "acme/lamp", "--agent", str(run), "--video", "lamp.png", "--episodes", "1")
assert Path("lamp.png").stat().st_size > 0
folder = stopped("acme/lamp", seed=1)
expect(0, "resume", folder)
assert json.loads((Path(folder) / "result.json").read_text())["scenario"] == "acme/lamp"
assert (Path(folder) / "metrics.jsonl").stat().st_size > 0
print("all is well")
"""
)
BY_PATH = (
    DRIVER
    + """
LAMP, LEARNER = "acme_palaestra.lamp:Lamp", "acme_palaestra.learner:Learner"
HALVES, TRACE = "acme_palaestra.blocks:Halves", "acme_palaestra.blocks:Trace"
assert "acme/Lamp-v0" not in expect(0, "list", "envs")
assert "checks passed" in expect(0, "check", LAMP, "length=3")
assert "checks passed" in expect(0, "check", LEARNER, "--env", LAMP)
for name in (HALVES, TRACE):
    assert "checks passed" in expect(0, "check", name)
Path("mine.yaml").write_text(
    "name: mine\\ntitle: t\\ndescription: d\\nenvironment: " + LAMP + "\\nsteps: 512\\nnum_envs: 8\\n"
    "evaluation: {episodes: 32, num_envs: 16}\\n"
)
words = ("--agent", LEARNER, "--set", "encoder=" + HALVES, "--set", "memory=" + TRACE, "--set", "memory_size=4")
assert "names code to import" in expect(2, "train", "mine.yaml", *words)
assert not Path("runs").exists()
expect(0, "train", "mine.yaml", *words, "--allow-import")
(run,) = [path.parent for path in Path("runs").rglob("result.json")]
assert LEARNER in expect(0, "leaderboard", "mine")
play = ("play", "mine.yaml", "--agent", str(run), "--video", "lamp.png", "--episodes", "1")
assert "names code to import" in expect(2, *play)
expect(0, *play, "--allow-import")
assert Path("lamp.png").stat().st_size > 0
from palaestra.neural_blocks.registry import allowing_imports
with allowing_imports():
    folder = stopped("mine.yaml", agent=LEARNER, seed=1, settings={"encoder": HALVES, "memory": TRACE})
assert "names code to import" in expect(2, "resume", folder)
expect(0, "resume", folder, "--allow-import")
assert json.loads((Path(folder) / "result.json").read_text())["agent"] == LEARNER
print("all is well")
"""
)


def run(program: str, *path: Path) -> None:
    """Runs a program in a fresh interpreter that finds modules in these folders too."""
    Path("program.py").write_text(program)
    before = os.environ.get("PYTHONPATH", "")
    done = subprocess.run(
        [sys.executable, "program.py"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*map(str, path), before])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.endswith("all is well\n")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which pip has installed the package, without asking any index."""
    source, target = tmp_path_factory.mktemp("source") / "acme", tmp_path_factory.mktemp("installed")
    shutil.copytree(PACKAGE, source)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", target, source],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return target


def test_an_installed_package_is_listed_checked_trained_ranked_played_and_resumed(installed: Path) -> None:
    run(INSTALLED, installed)


def test_the_same_goes_by_module_and_class_without_installing() -> None:
    run(BY_PATH, PACKAGE)
