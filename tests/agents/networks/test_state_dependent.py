"""Exploration that depends on the state, against Stable-Baselines3's, and how long it lasts."""

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch
from stable_baselines3.common.distributions import StateDependentNoiseDistribution

from palaestra import agents
from palaestra.agents.learning.learner import Learner
from palaestra.agents.networks.state_dependent import StateDependentGaussian
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.tests.agents.core.test_resume import check_resume
from palaestra.tests.agents.learning.test_execution import captured, close
from palaestra.tests.envs.core.tape import Tape

BOX = spaces.Box(-1, 1, (2,), np.float32)
SMALL = {"head": "state_dependent", "noise_features": 3, "noise_steps": 3, "hidden": (4,), "rollout_steps": 8}


def test_density_entropy_and_samples_are_those_of_stable_baselines():
    policy = StateDependentGaussian(BOX, 5)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        policy.log_std.copy_(torch.randn(5, 2, generator=generator))
    mean, features = torch.randn(7, 2, generator=generator), torch.rand(7, 5, generator=generator) * 2 - 1
    action, noise = torch.randn(7, 2, generator=generator), torch.rand(7, 10, generator=generator)
    parameters = torch.cat([mean, features], 1)
    theirs = StateDependentNoiseDistribution(2, learn_features=True)
    theirs.latent_sde_dim = 5
    scaled = features / 5**0.5
    theirs.proba_distribution(mean, policy.log_std, scaled)
    torch.testing.assert_close(policy.log_prob(parameters, action), theirs.log_prob(action))
    torch.testing.assert_close(policy.entropy(parameters), theirs.entropy())
    drawn = torch.special.ndtri(noise.double()).float().view(7, 5, 2)
    theirs.exploration_matrices = drawn * policy.log_std.exp()
    torch.testing.assert_close(policy.sample(parameters, noise), theirs.sample(), rtol=1e-4, atol=1e-5)
    assert torch.equal(policy.mode(parameters), mean)


def test_a_function_of_the_state_stays_for_its_steps(acting, monkeypatch):
    env = acting(4, BOX)
    agent = agents.make("ppo", env, seed=1, **SMALL)
    next(agent.learn(env, 10**6))
    seen = []
    collect = agent.collector.collect
    monkeypatch.setattr(
        agent.collector, "collect", lambda memory, noise, chunk: seen.append(noise) or collect(memory, noise, chunk)
    )
    next(agent.learn(env, 10**6))
    (noise,) = seen
    assert noise.shape == (8, 4, 6)
    same = [torch.equal(noise[t], noise[t - 1]) for t in range(1, 8)]
    assert same == [True, True, False, True, True, False, True]
    features = agent.network(torch.tensor([[[1.0]]]), (), torch.tensor([[True]]))[0][0, 0, 2:]
    assert features.abs().max() <= 1
    assert features.abs().min() > 0


@pytest.mark.parametrize("name", ["ppo", "a2c"])
def test_it_is_resumed_and_captured(name, acting, monkeypatch):
    check_resume(name, lambda: acting(4, BOX), 160, **SMALL)
    monkeypatch.setattr(Learner, "recorder", Tape)
    states = []
    for way in ("eager", "captured"):
        env = acting(4, BOX)
        agent = agents.make(name, env, seed=3, **SMALL)
        if way == "captured":
            captured(agent)
        states.append((list(agent.learn(env, 96)), agent.state_dict()))
    close(states[1], states[0])


def test_it_is_for_boxes(acting):
    with pytest.raises(
        InvalidInput, match="head must be 'gaussian' where actions are no plain Box; got 'state_dependent'"
    ):
        agents.make("ppo", acting(2, spaces.Discrete(3)), head="state_dependent")
