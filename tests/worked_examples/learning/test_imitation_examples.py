"""Cloning and likelihood; whose steps a value of states needs, and whose one of actions."""

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch

from palaestra.agents.registry import agent_class
from palaestra.agents.value.q_table import move

STATES, ACTIONS = 3, 2


@pytest.fixture
def decisions():
    """Transition probabilities (S, A, S) and rewards (S, A) of a small problem, float64."""
    draws = np.random.default_rng(0)
    chances = draws.dirichlet(np.ones(STATES), size=(STATES, ACTIONS))
    return torch.from_numpy(chances), torch.from_numpy(draws.normal(size=(STATES, ACTIONS)))


def test_cloning_maximises_the_likelihood_of_the_experts_trajectories(decisions):
    """log p(s0) + sum log pi(a | s) + sum log P(s' | s, a): only the middle depends on the learner."""
    chances, _ = decisions
    steps, count = 5, 8
    state, seen, done = torch.zeros(count, dtype=torch.int64), [], []
    for _ in range(steps):
        action = torch.randint(ACTIONS, (count,))
        seen.append(state)
        done.append(action)
        state = torch.multinomial(chances[state, action], 1).squeeze(1)
    states, actions = torch.stack([*seen, state]), torch.stack(done)  # (T + 1, N) and (T, N)
    space = spaces.Discrete(STATES)
    agent = agent_class("behaviour_cloning")(space, spaces.Discrete(ACTIONS))
    start = torch.zeros(1, steps * count, dtype=torch.bool)

    def likelihood():
        parameters, _ = agent.network(states[:-1].reshape(1, -1), (), start)
        policy = parameters.log_softmax(-1)[0].gather(1, actions.reshape(-1, 1)).sum()
        return policy + chances[states[:-1], actions].gather(-1, states[1:, :, None]).log().sum()

    own = torch.autograd.grad(likelihood(), agent.parameters)
    loss, _ = agent.loss(states[:-1].reshape(1, -1), start, actions.reshape(1, -1), ())
    for one, other in zip(own, torch.autograd.grad(loss, agent.parameters), strict=True):
        torch.testing.assert_close(one, -steps * count * other, atol=1e-4, rtol=1e-4)


def test_a_value_of_states_is_of_who_took_the_steps_and_one_of_actions_is_of_whom_one_likes(decisions):
    """From the same steps of a policy at random: TD(0) finds its value, expected targets another policy's."""
    chances, rewards = decisions
    gamma, even = 0.5, torch.full((STATES, ACTIONS), 0.5, dtype=torch.float64)
    liked = torch.tensor([[0.9, 0.1], [0.1, 0.9], [0.9, 0.1]], dtype=torch.float64)

    def solved(policy):
        paid, onward = (policy * rewards).sum(1), torch.einsum("sa,sat->st", policy, chances)
        return torch.linalg.solve(torch.eye(STATES, dtype=torch.float64) - gamma * onward, paid)

    state = torch.randint(STATES, (200, 64))
    action = torch.randint(ACTIONS, state.shape)
    after = torch.multinomial(chances[state, action].flatten(0, 1), 1).view_as(state)
    v, seen = torch.zeros(2, STATES, dtype=torch.float64)
    q, tried = torch.zeros(2, STATES, ACTIONS, dtype=torch.float64)
    for s, a, t in zip(state, action, after, strict=True):
        move(v, seen, s, rewards[s, a] + gamma * v[t] - v[s], 1.0, 0.8)
        wanted = rewards[s, a] + gamma * (liked[t] * q[t]).sum(1)
        move(q, tried, s * ACTIONS + a, wanted - q[s, a], 1.0, 0.8)
    torch.testing.assert_close(v, solved(even), atol=0.05, rtol=0)
    torch.testing.assert_close((liked * q).sum(1), solved(liked), atol=0.05, rtol=0)
    assert (solved(even) - solved(liked)).abs().max() > 0.2
