"""Settings of every test: no window, no network, one thread."""

import os

os.environ["SDL_VIDEODRIVER"] = "dummy"
os.environ["WANDB_MODE"] = "offline"

import pytest
import torch

import palaestra  # noqa: F401  registers the environments

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _working_folder(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test works in a folder of its own, so none leaves files in the repository."""
    monkeypatch.chdir(str(tmp_path))
