"""SAC's noise that is a function of the state: its density by torch.distributions, and how long it lasts."""

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch
from torch import distributions

from palaestra import agents
from palaestra.agents import SAC, SACConfig
from palaestra.agents.learning.learner import Learner
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.tests.agents.core.test_resume import check_resume
from palaestra.tests.agents.learning.test_execution import captured, close
from palaestra.tests.envs.core.tape import Tape

LASTING = {"hidden": (4,), "head": "state_dependent", "noise_features": 3, "noise_steps": 3}
SMALL = {**LASTING, "warmup_steps": 8, "batch_size": 8, "rollout_steps": 2}
BOX = spaces.Box(-1, 1, (2,), np.float32)


def uniforms(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def an_agent():
    agent = SAC(BOX, BOX, SACConfig(**LASTING))
    with torch.no_grad():
        agent.lasting.log_std.copy_(uniforms(3, 2) - 1)
    return agent


def test_the_density_of_an_action_is_that_of_the_normal_over_all_matrices_squashed():
    agent = an_agent()
    seen = 4 * uniforms(50, 2) - 2
    action, log_prob = agent.sample(seen, uniforms(50, 2))
    with torch.no_grad():
        mean, features = agent.parameters_of(seen).double().split([2, 3], 1)
        covariance = torch.einsum("nf,fd->nd", (features / 3**0.5) ** 2, agent.lasting.log_std.double().exp() ** 2)
        normal = distributions.Independent(distributions.Normal(mean, (covariance + 1e-6).sqrt()), 1)
        squashed = distributions.TransformedDistribution(normal, distributions.TanhTransform())
        torch.testing.assert_close(log_prob.double(), squashed.log_prob(action.double()), rtol=1e-3, atol=1e-3)
    (gradient,) = torch.autograd.grad(log_prob.sum(), agent.lasting.log_std)
    assert (gradient != 0).all()


def test_while_a_matrix_lasts_noise_is_a_linear_function_of_the_features():
    agent, start = an_agent(), torch.tensor([True, True])
    with torch.no_grad():
        memory, drawn, actions = agent.initial_memory(2), uniforms(6, 2, agent.noise), []
        for time in range(6):
            if time == 5:
                start = torch.tensor([False, True])
            seen = torch.full((2, 2), 0.3 * time)
            action, memory = agent.choose(seen, memory, start, drawn[time])
            actions.append(action)
            start = torch.zeros(2, dtype=torch.bool)
        for time, renewed in enumerate([(0, 0), (0, 0), (0, 0), (3, 3), (3, 3), (3, 5)]):
            for row, when in enumerate(renewed):
                mean, features = agent.parameters_of(torch.full((1, 2), 0.3 * time))[0].split([2, 3])
                matrix = torch.special.ndtri(drawn[when, row].double()).view(3, 2) * agent.lasting.log_std.exp()
                wanted = torch.tanh(mean + (features.double() / 3**0.5) @ matrix)
                torch.testing.assert_close(actions[time][row].double(), wanted, rtol=1e-4, atol=1e-5)
        greedy, kept = agent.choose(seen, memory, start, None)
        torch.testing.assert_close(greedy, torch.tanh(agent.parameters_of(seen)[:, :2]))
        assert kept is memory


def test_it_is_resumed_and_captured(acting, monkeypatch):
    make = lambda: acting(4, BOX)  # noqa: E731
    check_resume("sac", make, 48, **SMALL)
    monkeypatch.setattr(Learner, "recorder", Tape)
    states = []
    for way in ("eager", "captured"):
        env = make()
        agent = agents.make("sac", env, seed=3, **SMALL)
        if way == "captured":
            captured(agent)
        states.append((list(agent.learn(env, 48)), agent.state_dict()))
    close(states[1], states[0])


def test_one_noise_is_enough(acting):
    with pytest.raises(InvalidInput, match="action_noise must be null with the head 'state_dependent'; got 'gaussian'"):
        agents.make("sac", acting(2, BOX), head="state_dependent", action_noise="gaussian")
