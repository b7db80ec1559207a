"""Networks act in evaluation mode and learn in training mode; the frozen stays; what is no number ends learning."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from palaestra import agents
from palaestra.envs import BatchedEnv, make_batched
from palaestra.neural_blocks.errors import Diverged
from palaestra.tests.agents.conftest import Uneven


class Encoder(nn.Module):
    """Flattens, with dropout and batch normalisation behind a linear layer, and one that is never used."""

    output_size = 8

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5))
        self.unused = nn.Linear(3, 3)
        self.modes = []

    def forward(self, x):
        self.modes.append(self.training)
        return self.layers(x.flatten(1).float())


SETTINGS = {
    "ppo": {"rollout_steps": 4},
    "a2c": {"rollout_steps": 4},
    "reinforce": {"rollout_steps": 4},
    "dqn": {"rollout_steps": 4, "warmup_steps": 8, "batch_size": 8},
    "behaviour_cloning": {"rollout_steps": 4, "updates": 2, "minibatch_size": 8},
}


def make(name, uneven, **further):
    env = uneven(4)
    agent = agents.make(name, env, encoder=Encoder(), hidden=(4,), **SETTINGS[name], **further)
    if name == "behaviour_cloning":
        agent.expert = lambda env: torch.zeros(env.num_envs, dtype=torch.int64)
    return agent, env


@pytest.mark.parametrize("name", SETTINGS)
def test_acting_and_evaluating_change_nothing_and_learning_is_in_training_mode(name, uneven):
    agent, env = make(name, uneven)
    agent.train(env, 64)
    encoder = agent.network.encoder
    acted = name != "behaviour_cloning"  # there the expert does, and the network only learns
    assert set(encoder.modes) == {True, *([False] if acted else [])}
    before = copy.deepcopy(agent.network.state_dict())
    encoder.modes.clear()
    results = [agents.evaluate(agent, uneven(4), 12, seed=5).returns for _ in range(3)]
    observation = uneven(1).reset(2)
    actions = {int(agent.act(observation, greedy=True)[0]) for _ in range(10)}  # a batch of one, too
    assert len(actions) == 1
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[1], results[2])
    assert set(encoder.modes) == {False}
    assert all(torch.equal(one, before[key]) for key, one in agent.network.state_dict().items())


def test_target_networks_follow_in_their_buffers_too(uneven):
    agent, env = make("dqn", uneven, target_rate=1.0)
    agent.train(env, 64)
    own, target = agent.network.encoder.layers[1], agent.target.encoder.layers[1]
    assert float(own.running_mean.abs().sum()) > 0
    assert torch.equal(own.running_mean, target.running_mean)
    assert torch.equal(own.num_batches_tracked, target.num_batches_tracked)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_frozen_encoder_stays_as_it_is(name, uneven):
    env = uneven(4)
    encoder = Encoder().requires_grad_(False)
    encoder.layers[1] = nn.Identity()
    agent = agents.make(name, env, encoder=encoder, hidden=(4,), **SETTINGS[name])
    if name == "behaviour_cloning":
        agent.expert = lambda env: torch.zeros(env.num_envs, dtype=torch.int64)
    agent.train(env, 64)
    assert torch.equal(agent.network.encoder.layers[0].weight, encoder.layers[0].weight)


class Spoiled(Uneven):
    """Pays a number that is none, from some step on."""

    def step(self, state, action, noise):
        step = super().step(state, action, noise)
        return replace(step, reward=step.reward + torch.where(state.time > 1, torch.nan, 0.0))


@pytest.mark.parametrize("name", ["ppo", "a2c", "dqn"])
def test_a_loss_that_is_no_number_stops_learning_by_name(name):
    env = BatchedEnv(Spoiled(), 4)
    agent = agents.make(name, env, hidden=(4,), **SETTINGS[name])
    with pytest.raises(Diverged, match=r"learning diverged at iteration \d+: \w+ is nan"):
        agent.train(env, 400)


@pytest.mark.parametrize("name", ["dqn", "ppo", "random"])
def test_row_i_acts_alike_in_a_batch_of_any_size(name):
    """The replay contract covers what an agent draws."""
    env = make_batched("palaestra/RepeatPrevious-v0", 8, seed=4)
    many = agents.make(name, env, seed=2)
    one = agents.make(name, make_batched("palaestra/RepeatPrevious-v0", 1, seed=4), seed=2)
    wide, narrow = env.reset(4), make_batched("palaestra/RepeatPrevious-v0", 1).reset(4)
    for _ in range(12):
        action, _ = many.act(wide)
        alone, _ = one.act(narrow)
        assert torch.equal(action[:1], alone)


def test_an_agent_predicts_for_one_numpy_observation(uneven):
    env = uneven(3)
    agent = agents.make("ppo", env, hidden=(4,), memory="gru", memory_size=4)
    observation = env.reset(1)
    memory, batched = (), agent.initial_memory(3)
    for start in (True, False):
        action, memory = agent.predict(observation[1].numpy(), memory, start)
        wanted, batched = agent.act(observation, batched, torch.full((3,), start), greedy=True)
        assert isinstance(action, np.int64)
        assert action == int(wanted[1])


def test_training_twice_goes_on_and_says_where_it_stands(uneven):
    env = uneven(4)
    agent = agents.make("ppo", env, hidden=(4,), rollout_steps=5)
    assert agent.train(env, 40)["steps"] == 40
    assert agent.train(env, 40)["steps"] == 80
    assert agents.make("random", env).train(env, 40) == {}


def test_a_checkpoint_alone_gives_the_agent_back(uneven):
    env = uneven(4)
    agent = agents.make("dqn", env, hidden=(4,), capacity=64, warmup_steps=8, batch_size=8)
    agent.train(env, 80)
    agent.save("whole.pt")
    agent.save("acting.pt", whole=False)
    observation = env.reset(1)
    for path in ("whole.pt", "acting.pt"):
        again = agents.load(path)
        assert type(again) is agents.DQN
        assert (again.observation_space, again.action_space) == (env.observation_space, env.action_space)
        assert torch.equal(again.act(observation, greedy=True)[0], agent.act(observation, greedy=True)[0])
    assert len(agents.load("whole.pt").replay) == 64
    assert agents.load("acting.pt").replay is None


def test_dqn_with_a_memory_works_as_it_stands(uneven):
    env = uneven(4)
    agent = agents.make("dqn", env, memory="gru", memory_size=4, hidden=(4,), warmup_steps=64, batch_size=32)
    assert agent.config.rollout_steps == agent.chunk == 16
    assert "value_loss" in agent.train(env, 256)
