"""Exported policies act as their agents do, for any number of environments, with and without a memory."""

import io
import json
import zipfile
from pathlib import Path

import pytest
import torch

from palaestra import agents
from palaestra.envs import make_batched
from palaestra.neural_blocks.errors import InvalidInput

CASES = [
    ("ppo", "DigitBandit", {}),
    ("ppo", "RepeatPrevious", {"memory": "gru"}),
    ("behaviour_cloning", "RepeatPrevious", {"memory": "transformer", "memory_size": 16}),
    ("dqn", "DigitBandit", {"encoder": "cnn"}),
    ("sac", "PointGoal", {}),
]


@pytest.mark.parametrize(("name", "id", "settings"), CASES, ids=lambda part: str(part))
def test_what_is_exported_acts_as_the_agent(name, id, settings):
    env = make_batched(f"palaestra/{id}-v0", 5, seed=0)
    agent = agents.make(name, env, hidden=(8,), **settings)
    agents.export(agent, "policy.pt2")
    extra = {"palaestra.json": ""}
    program = torch.export.load("policy.pt2", extra_files=extra).module()
    details = json.loads(extra["palaestra.json"])
    assert details["agent"] == name
    assert details["memory"] == [list(part.shape[1:]) for part in agent.initial_memory(1)]
    for rows in (5, 1):
        env = make_batched(f"palaestra/{id}-v0", rows, seed=3)
        env.reset()
        memory = other = tuple(agent.initial_memory(rows))
        for _ in range(4):
            start = env.episode_start
            wanted, memory = agent.act(env.observation, memory, start, greedy=True)
            action, other = program(env.observation, tuple(other), start)
            assert torch.equal(action, wanted)
            env.step(action)


def test_what_has_no_network_and_other_kinds_are_refused():
    env = make_batched("palaestra/DigitBandit-v0", 2)
    with pytest.raises(InvalidInput, match="random: only what networks of this suite decide can be exported"):
        agents.export(agents.make("random", env), "policy.pt2")
    with pytest.raises(InvalidInput, match="kind must be one of pt2, onnx; got 'pickle'"):
        agents.export(agents.make("ppo", env), "policy.pt2", "pickle")


def test_a_file_that_cannot_be_written_leaves_the_old_one(monkeypatch):
    env = make_batched("palaestra/DigitBandit-v0", 2)
    agent = agents.make("ppo", env, hidden=(4,))
    agents.export(agent, "policy.pt2")
    before = Path("policy.pt2").read_bytes()
    assert zipfile.is_zipfile(io.BytesIO(before))
    monkeypatch.setattr(torch.export, "export", lambda *_, **__: 1 / 0)
    with pytest.raises(InvalidInput, match=r"ppo: cannot be exported \(division by zero\)"):
        agents.export(agent, "policy.pt2")
    assert Path("policy.pt2").read_bytes() == before
