"""Settings of every test: no window, no network, one thread."""

import getpass
import os
import random
import tempfile

os.environ["SDL_VIDEODRIVER"] = "dummy"
os.environ["WANDB_MODE"] = "offline"
if setting := os.environ.get("ATEN_CPU_CAPABILITY"):  # code generated for one processor is no code for another
    cache = os.path.join(tempfile.gettempdir(), f"torchinductor_{getpass.getuser()}_{setting}")
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", cache)

import pytest
import torch

import palaestra  # noqa: F401  registers the environments

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _working_folder(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test works in a folder of its own, so none leaves files in the repository."""
    monkeypatch.chdir(str(tmp_path))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """A test draws the same numbers whatever ran before it."""
    random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _fresh_seeds(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test hangs on a seed that nobody chose: it is 0, but for tests marked `fresh_seeds`."""
    if request.node.get_closest_marker("fresh_seeds") is None:
        monkeypatch.setattr("palaestra.envs.checks.options.randbits", lambda bits: 0)
