"""Implicit Q-learning: its losses against the paper's equations, its data, and its ways of running."""

import itertools

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch

from palaestra import agents
from palaestra.agents.core.randomness import Randomness
from palaestra.agents.imitation.demonstrations import Demonstration
from palaestra.agents.learning.learner import Learner
from palaestra.agents.offline.recorded import record, steps_of
from palaestra.envs import GymnasiumBridge
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.tests.agents.core.test_resume import check_resume, differ
from palaestra.tests.agents.learning.test_execution import close

SMALL = {"hidden": (6,), "updates": 2, "batch_size": 8, "demonstration_steps": 6}
ACTIONS = [spaces.Discrete(3, start=4), spaces.Box(-2, 1, (2,), np.float32), spaces.MultiDiscrete([2, 3])]


def learned(env, **settings):
    agent = agents.make("iql", env, seed=2, **SMALL, **settings)
    return agent, list(agent.learn(env, 64))


@pytest.mark.parametrize("space", ACTIONS)
def test_the_losses_are_equations_5_6_and_7(space, acting):
    env = acting(4, space)
    agent, _ = learned(env, expectile=0.8, sharpness=2.0, most_weight=1.5, gamma=0.9)
    batch = agent.draw()
    losses, _ = agent.loss(batch)
    pair = {"observation": batch.observation, "action": batch.action}
    value, after = agent.value(batch.observation)[0].tolist(), agent.value(batch.next_observation)[0].tolist()
    critic, target = agent.critic(pair).tolist(), agent.target(pair).tolist()
    parameters = agent.actor.act(batch.observation, (), torch.zeros(8, dtype=torch.bool))[0]
    log_prob = agent.policy.log_prob(parameters, batch.action).tolist()
    expected = dict.fromkeys(losses, 0.0)
    for i in range(8):
        above = min(target[0][i], target[1][i]) - value[i]
        expected["value"] += (0.8 if above > 0 else 0.2) * above**2 / 8
        aim = float(batch.reward[i]) + float(batch.discount[i]) * after[i]
        expected["critic"] += sum(0.5 * (one[i] - aim) ** 2 for one in critic) / 8
        expected["actor"] -= min(np.exp(2.0 * above), 1.5) * log_prob[i] / 8
    for name, loss in losses.items():
        assert loss.item() == pytest.approx(expected[name], rel=1e-4, abs=1e-6)


def test_each_loss_moves_its_own_network_alone(acting):
    agent, _ = learned(acting(4, spaces.Discrete(3)))
    losses, _ = agent.loss(agent.draw())
    own = {"value": agent.value, "critic": agent.critic, "actor": agent.actor}
    for name, loss in losses.items():
        for part, network in own.items():
            found = torch.autograd.grad(loss, list(network.parameters()), retain_graph=True, allow_unused=True)
            assert all((gradient is not None) == (part == name) for gradient in found)
    stepped = {
        one for optimiser in agent.optimisers.values() for part in optimiser.param_groups for one in part["params"]
    }
    assert stepped.isdisjoint(agent.target.parameters())
    assert stepped >= {one for network in own.values() for one in network.parameters()}


def test_what_is_recorded_is_what_was_played(uneven):
    env = uneven(4)
    told = record(env, 12, 0.0, Randomness(5))
    other = uneven(4)
    other.reset()
    for time in range(12):
        assert torch.equal(told.observation[time], other.observation)
        assert torch.equal(told.start[time], other.episode_start)
        step = other.step(told.label[time])
        assert torch.equal(told.reward[time], step.reward)
        assert torch.equal(told.terminated[time], step.terminated)
        assert torch.equal(told.following[time], step.final_observation)
    policy = agents.make("ppo", env, hidden=(4,)).policy
    steps = steps_of("x", told, policy.from_env, 0.9)
    assert torch.equal(steps.discount, torch.where(told.terminated.flatten(), 0.0, 0.9))
    assert steps.action.shape == (48,)
    with pytest.raises(InvalidInput, match="x: demonstrations must tell their rewards"):
        steps_of("x", Demonstration(told.observation, told.start, told.label), policy.from_env, 0.9)


def test_a_share_of_the_environments_shows_the_expert(acting):
    env = acting(8, spaces.Box(-1, 1, (2,), np.float32))
    told = record(env, 5, 0.75, Randomness(5))
    right = told.reward.eq(1).all(0)
    assert right.tolist() == [True] * 6 + [False] * 2


@pytest.mark.parametrize("space", ACTIONS)
def test_it_is_resumed(space, acting):
    check_resume("iql", lambda: acting(4, space), 64, **SMALL)


def test_it_learns_alike_compiled(acting, monkeypatch):
    monkeypatch.setattr(Learner, "backend", "aot_eager")
    states = []
    for way in ("eager", "compiled"):
        env = acting(4, ACTIONS[1])
        agent = agents.make("iql", env, seed=2, execution=way, **SMALL)
        states.append((list(agent.learn(env, 64)), agent.state_dict()))
    close(states[1], states[0])


def test_foreign_environments_are_recorded_at_random(uneven):
    env = GymnasiumBridge("CartPole-v1", 2, seed=1)
    agent = agents.make("iql", env, expert_share=0, **SMALL)
    assert len(list(itertools.islice(agent.learn(env, 10**6), 2))) == 2
    assert agent.demonstration.reward.eq(1).all()
    agent.save("agent.pt", whole=False)
    again = agents.load("agent.pt")
    assert again.demonstration is None
    assert differ(again.networks.state_dict(), agent.networks.state_dict()) == []


def test_a_memory_is_refused(uneven):
    with pytest.raises(InvalidInput, match="memory must be null; got 'gru'"):
        agents.make("iql", uneven(2), memory="gru")
