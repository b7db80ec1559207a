"""A scenario small enough for tests."""

import json
from pathlib import Path

import pytest

from palaestra.scenarios.board import Leaderboard

TINY = """
name: tiny
title: A tiny scenario
description: Iris in a few thousand steps.
environment: palaestra/TabularBandit-v0
options: {split: train}
evaluation: {options: {split: test}, episodes: 32, num_envs: 16}
num_envs: 16
steps: 2048
agents: {ppo: {rollout_steps: 8, minibatches: 2, hidden: [16]}}
"""
TINY_MEMORY = """
name: tiny-memory
title: A tiny scenario with something to remember
description: The symbol before, in a few thousand steps.
environment: palaestra/RepeatPrevious-v0
options: {symbols: 2, delay: 1, length: 7}
evaluation: {episodes: 32, num_envs: 16}
num_envs: 16
steps: 2048
agents: {ppo: {rollout_steps: 8, minibatches: 2, hidden: [16], memory: gru, memory_size: 8}}
"""
TINY_TRIAL = """
name: tiny-trial
title: A tiny scenario with trials
description: Two states and two actions, twice three steps.
environment: palaestra/TabularMDP-v0
options: {states: 2, actions: 2, length: 3, episodes: 2}
evaluation: {episodes: 32, num_envs: 16}
num_envs: 16
steps: 2048
agents: {rl2: {network: per_action, memory: null, rollout_steps: 8, minibatches: 2, hidden: [8]}}
"""


def learned(folder: str | Path) -> list[dict[str, float]]:
    """The metrics of a run, without the time they took, which no two runs share."""
    lines = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """The path of a scenario's file."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture
def tiny_memory(tmp_path: Path) -> Path:
    """The path of a scenario's file whose agent has a memory."""
    path = tmp_path / "tiny-memory.yaml"
    path.write_text(TINY_MEMORY)
    return path


@pytest.fixture
def tiny_trial(tmp_path: Path) -> Path:
    """The path of a scenario's file whose agent counts."""
    path = tmp_path / "tiny-trial.yaml"
    path.write_text(TINY_TRIAL)
    return path


@pytest.fixture
def board(tmp_path: Path) -> Leaderboard:
    """A leaderboard whose file is not there yet."""
    return Leaderboard(tmp_path / "runs" / "leaderboard.sqlite")
