"""Hopfield recall as an agent: what it stores, and that it recalls what the task's expert does."""

import numpy as np
import pytest
import torch

from palaestra import agents, envs
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/PatternCompletion-v0"


def test_it_answers_as_the_expert_does_without_seeing_the_state():
    env = envs.make_batched(ID, 64, seed=3, side=4, stored=3, noise=0.2, blanked=1)
    agent = agents.make("hopfield", env)
    env.reset(1)
    memory = agent.initial_memory(64)
    for _ in range(3 * 4):  # three episodes: what the one before has stored is forgotten
        action, memory = agent.act(env.observation, memory, env.episode_start)
        assert torch.equal(action, env.expert_action())
        env.step(action)


def test_biases_are_the_mean_of_what_was_shown():
    env = envs.make_batched(ID, 1, side=4, stored=2)
    agent = agents.make("hopfield", env, biases=True, sweeps=1)
    patterns = torch.tensor([[1.0] * 12 + [-1.0] * 4, [1.0] * 8 + [-1.0] * 8])
    memory = agent.initial_memory(1)
    for k, pattern in enumerate(patterns):
        _, memory = agent.act(torch.cat([pattern, torch.zeros(1)])[None], memory, torch.tensor([k == 0]))
    cue = torch.zeros(16)
    cue[12] = 1.0
    action, _ = agent.act(torch.cat([cue, torch.ones(1)])[None], memory, torch.tensor([False]))
    weights = patterns.T.numpy() @ patterns.numpy() / 2
    np.fill_diagonal(weights, 0)
    field = weights @ cue.numpy() + patterns.mean(0).numpy()
    assert np.array_equal(action[0].numpy(), np.where(field == 0, cue.numpy(), np.sign(field)) > 0)


def test_other_environments_are_refused_in_one_line():
    with pytest.raises(InvalidInput, match=r"action space must be MultiBinary; got Discrete\(17\)"):
        agents.make("hopfield", envs.make_batched(ID, 1, side=4, mode="flip"))
