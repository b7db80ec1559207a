"""RL²: its memory must last over the episodes of a trial. What it learns is measured in benchmarks/fidelity.py."""

import gymnasium.spaces as spaces
import pytest
import torch

from palaestra import agents
from palaestra.envs import make_batched
from palaestra.neural_blocks.errors import InvalidInput


def test_the_memory_lasts_over_the_episodes_of_a_trial():
    env = make_batched("palaestra/BernoulliBandit-v0", 512, arms=2, episodes=10)
    agent = agents.make("rl2", env, memory_size=24, hidden=(24,), rollout_steps=20)
    observation = env.reset(7)
    first = {name: part.clone() for name, part in observation.items()}
    _, once = agent.act(first, agent.initial_memory(512), env.episode_start)
    inner = first | {"episode_start": torch.ones(512, 1)}
    _, twice = agent.act(inner, once, torch.zeros(512, dtype=torch.bool))
    _, fresh = agent.act(inner, once, torch.ones(512, dtype=torch.bool))
    torch.testing.assert_close(fresh[0], once[0])  # a new trial: what came before is wiped
    assert not torch.allclose(twice[0], once[0])  # a new episode of the same trial: it is kept


def test_a_task_that_is_no_trial_is_refused():
    env = make_batched("palaestra/TabularBandit-v0", 2)
    with pytest.raises(InvalidInput, match="rl2: observation space must be Dict"):
        agents.make("rl2", env)
    shown = spaces.Dict({"observation": spaces.Discrete(2), "previous_action": spaces.Discrete(2)})
    with pytest.raises(InvalidInput, match=r"Trial, with .*; no previous_reward"):
        agents.RL2(shown, spaces.Discrete(2))


def test_it_cannot_go_without_a_memory():
    with pytest.raises(InvalidInput, match="RL2Config: memory"):
        agents.RL2Config(memory=None)
