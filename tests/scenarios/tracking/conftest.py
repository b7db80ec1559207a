"""A server of Weights & Biases on the loopback interface, and a place where nothing of the developer's is touched."""

import os

import pytest

from palaestra.tests.scenarios.tracking.wandb_server import Server

KEY = "0" * 40


@pytest.fixture(autouse=True)
def nowhere_else(tmp_path, monkeypatch):
    """Everything that wandb writes, it writes below tmp_path; the developer's own account plays no part."""
    import wandb

    for name in ("CACHE_DIR", "CONFIG_DIR", "DATA_DIR", "ARTIFACT_DIR"):
        monkeypatch.setenv(f"WANDB_{name}", str(tmp_path / "elsewhere"))
    for name in ("API_KEY", "IDENTITY_TOKEN_FILE", "BASE_URL", "PROJECT", "NAME", "RUN_GROUP", "RUN_ID", "RESUME"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    wandb.teardown()  # what a test elsewhere has set up knows other addresses
    yield
    assert os.listdir(tmp_path / "cwd") == []
    wandb.teardown()  # so that the next test's address and key are read anew


@pytest.fixture
def server(monkeypatch):
    """Starts a server with some manner, which tracking then finds as the one to go to."""
    servers: list[Server] = []

    def start(manner: str) -> Server:
        servers.append(Server(manner))
        monkeypatch.delenv("WANDB_MODE")
        monkeypatch.setenv("WANDB_BASE_URL", servers[-1].url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        return servers[-1]

    yield start
    for one in servers:
        one.close()
