"""Hopfield recall as an agent: what it stores, and that it recalls what the task's expert does."""

import numpy as np
import pytest
import torch

from palaestra import agents, envs
from palaestra.neural_blocks import Hopfield
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


def test_in_turn_it_recalls_as_the_block_does_and_at_once_it_may_not():
    env = envs.make_batched(ID, 24, seed=2, side=4, stored=4, noise=0.3)
    in_turn, at_once = (agents.make("hopfield", env, update=way) for way in ("asynchronous", "synchronous"))
    env.reset(1)
    memories = [in_turn.initial_memory(24), at_once.initial_memory(24)]
    for _ in range(5):
        seen, start = env.observation, env.episode_start
        answers = [agent.act(seen, memory, start) for agent, memory in zip((in_turn, at_once), memories, strict=True)]
        memories = [memory for _, memory in answers]
        patterns, cue = env.state.patterns, env.state.cue
        env.step(answers[0][0])
    for row in range(24):
        net = Hopfield(16)
        net.memorise(patterns[row], "mean_product")
        recalled = net(cue[row : row + 1], 10, torch.arange(16))[0]
        assert torch.equal(answers[0][0][row] > 0, recalled > 0)
    assert not torch.equal(answers[0][0], answers[1][0])


def test_other_environments_are_refused_in_one_line():
    with pytest.raises(InvalidInput, match=r"action space must be MultiBinary; got Discrete\(17\)"):
        agents.make("hopfield", envs.make_batched(ID, 1, side=4, mode="flip"))
