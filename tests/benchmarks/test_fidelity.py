"""The benchmark of published values: an agent whose memory is wiped plays as one that was never shown the past."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from palaestra import agents, envs

PLACE = Path(__file__).parents[2] / "benchmarks" / "fidelity.py"


@pytest.fixture(scope="module")
def fidelity():
    """The module benchmarks/fidelity.py, which no package holds."""
    place = importlib.util.spec_from_file_location("fidelity_of_benchmarks", PLACE)
    module = importlib.util.module_from_spec(place)
    sys.modules[place.name] = module
    place.loader.exec_module(module)
    return module


def test_a_wiped_memory_is_evaluated_and_holds_nothing_of_episodes_before(fidelity):
    env = envs.make_batched("palaestra/BernoulliBandit-v0", 4, episodes=3)
    agent = agents.make("rl2", env, memory_size=4, hidden=[4], rollout_steps=3)
    wiped = fidelity.Wiped(agent)
    result = agents.evaluate(wiped, env, 8, seed=5)
    assert result.returns.shape == (8,)
    seen, first = env.reset(5), torch.ones(4, dtype=torch.bool)
    fresh = {**seen, "episode_start": torch.ones_like(seen["episode_start"])}
    full = tuple(part + 1 for part in agent.initial_memory(4))
    _, kept = wiped.act(fresh, full, ~first, greedy=True)
    _, wanted = agent.act(fresh, agent.initial_memory(4), first, greedy=True)
    for one, other in zip(kept, wanted, strict=True):
        assert torch.equal(one, other)
    goes_on = {**seen, "episode_start": torch.zeros_like(seen["episode_start"])}
    _, remembered = wiped.act(goes_on, full, ~first, greedy=True)
    assert not torch.equal(remembered[0], agent.act(goes_on, agent.initial_memory(4), first, greedy=True)[1][0])
