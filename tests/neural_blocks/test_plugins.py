"""Installed packages that add to the suite through the entry-point group `palaestra`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def started(tmp_path: Path):
    """Starts Python with a package installed whose entry points are given; returns what it printed and complained."""

    def start(source: str, points: str, code: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "acme_plugin.py").write_text(source)
        info = tmp_path / "acme_plugin-1.0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-plugin\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[palaestra]\n{points}\n")
        path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
        return subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": path},
        )

    return start


REGISTER = """
import palaestra.agents, palaestra.envs, palaestra.neural_blocks as blocks

def register():
    palaestra.envs.register("acme/Maze-v0", "acme_plugin:Maze")
    palaestra.agents.register("acme/learner", "acme_plugin:Learner")
    blocks.register_encoder("acme/eyes", "acme_plugin:Eyes")
    blocks.register_memory("acme/ring", "acme_plugin:Ring")

def broken():
    raise ValueError("two\\nlines")
"""
SHOWN = (
    "import sys, gymnasium, palaestra, palaestra.envs, palaestra.agents\n"
    "from palaestra.neural_blocks.named_blocks import ENCODERS, MEMORIES\n"
    "print(palaestra.envs.ids()[-1], palaestra.agents.names()[-1], ENCODERS.names()[-1], MEMORIES.names()[-1],"
    " 'acme/Maze-v0' in gymnasium.registry, 'torch' in sys.modules)"
)


@pytest.mark.parametrize("point", ["acme_plugin:register", "acme_plugin"])
def test_a_function_or_a_module_registers(started, point: str) -> None:
    done = started(REGISTER, f"acme = {point}", SHOWN)
    assert done.stdout == "acme/Maze-v0 acme/learner acme/eyes acme/ring True False\n"
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("point", "told"),
    [
        ("acme_plugin:broken", "ValueError: two lines"),
        ("acme_plugin:absent", "AttributeError: module 'acme_plugin' has no attribute 'absent'"),
        ("acme_nowhere:register", "ModuleNotFoundError: No module named 'acme_nowhere'"),
        ("sys:exit", "SystemExit:"),
        ("sys", "TypeError: 'module' object is not callable"),
    ],
)
def test_one_that_fails_is_one_line_and_leaves_the_others(started, point: str, told: str) -> None:
    done = started(REGISTER, f"a = {point}\nb = acme_plugin:register", SHOWN)
    assert done.stdout == "acme/Maze-v0 acme/learner acme/eyes acme/ring True False\n"
    assert done.stderr.count("\n") == 1
    assert f"plugin 'a' ({point}) is left out: {told}" in done.stderr
