"""Posterior sampling and optimistic planning against hand-computed beliefs and a plain value iteration in NumPy."""

import numpy as np
import pytest
import torch

from palaestra import agents
from palaestra.agents.classical.tabular_planning import Belief, finite_horizon_policy
from palaestra.envs import make_batched
from palaestra.neural_blocks.errors import InvalidInput

NAMES = ("posterior_sampling", "optimistic_planning")


@pytest.fixture
def small():
    """Makes batches of small trials: three episodes of four steps, three states, two actions."""
    options = {"states": 3, "actions": 2, "length": 4, "episodes": 3}
    return lambda num_envs, seed=0: make_batched("palaestra/TabularMDP-v0", num_envs, seed=seed, **options)


def plain_policy(transition, reward, length):
    """Backward induction of one process, one state and action at a time, (H, S)."""
    states, actions = reward.shape
    value, policy = np.zeros(states), np.zeros((length, states), dtype=int)
    for step in reversed(range(length)):
        following = np.zeros(states)
        for state in range(states):
            worth = [
                reward[state, a] + sum(transition[state, a, to] * value[to] for to in range(states))
                for a in range(actions)
            ]
            policy[step, state], following[state] = int(np.argmax(worth)), max(worth)
        value = following
    return policy


def play(agent, env, steps):
    """Observations, actions and rewards of so many steps from a fresh start, and the memory after each action."""
    observation, memory, start = env.reset(), (), env.episode_start
    seen, actions, rewards, memories = [], [], [], []
    for _ in range(steps):
        action, memory = agent.act(observation, memory, start)
        seen.append(observation)
        memories.append(Belief(*memory))
        step = env.step(action)
        observation, start = step.observation, step.done
        actions.append(action)
        rewards.append(step.reward)
    return seen, actions, rewards, memories


def test_policies_are_those_of_a_plain_value_iteration():
    generator = torch.Generator().manual_seed(1)
    transition = torch.rand(5, 4, 3, 4, generator=generator)
    transition /= transition.sum(-1, keepdim=True)
    reward = torch.randn(5, 4, 3, generator=generator)
    policy = finite_horizon_policy(transition, reward, 6)
    for row in range(5):
        expected = plain_policy(transition[row].double().numpy(), reward[row].double().numpy(), 6)
        assert policy[row].tolist() == expected.tolist()


@pytest.mark.parametrize("name", NAMES)
def test_the_memory_counts_each_step_as_a_plain_loop_does(name, small):
    seen, actions, rewards, memories = play(agents.make(name, small(4), length=4), small(4), 11)
    for row in range(4):
        transitions, visits, total = np.zeros((3, 2, 3)), np.zeros((3, 2)), np.zeros((3, 2))
        for t in range(10):
            state, action = int(seen[t]["observation"][row]), int(actions[t][row])
            visits[state, action] += 1
            total[state, action] += float(rewards[t][row])
            if t % 4 != 3:  # what the last step of an episode led to is not seen
                transitions[state, action, int(seen[t + 1]["observation"][row])] += 1
        belief = memories[10]
        assert belief.transitions[row].tolist() == transitions.tolist()
        assert belief.visits[row].tolist() == visits.tolist()
        np.testing.assert_allclose(belief.rewards[row].numpy(), total, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_is_kept_for_an_episode_and_followed(name, small):
    seen, actions, _, memories = play(agents.make(name, small(30), length=4), small(30), 12)
    rows = torch.arange(30)
    for t in range(12):
        assert torch.equal(memories[t].policy, memories[t - t % 4].policy)
        assert torch.equal(actions[t], memories[t].policy[rows, t % 4, seen[t]["observation"]])
    assert not torch.equal(memories[0].policy, memories[4].policy)


@pytest.mark.parametrize("name", NAMES)
def test_the_memory_is_wiped_where_a_trial_starts(name, small):
    _, _, _, memories = play(agents.make(name, small(5), length=4), small(5), 14)
    visits = [int(belief.visits.sum()) // 5 for belief in memories]
    assert visits == [*range(12), 0, 1]
    assert int(memories[12].transitions.sum()) == 0


def belief_of(agent, visits, total, transitions):
    """A belief over one process in which only state 1, action 0 was tried."""
    belief = Belief(*agent.initial_memory(20_000))
    for name, value in (("visits", visits), ("rewards", total)):
        counts = torch.zeros(20_000, 3, 2)
        counts[:, 1, 0] = value
        belief = belief._replace(**{name: counts})
    counts = torch.zeros(20_000, 3, 2, 3)
    counts[:, 1, 0] = torch.tensor(transitions)
    return belief._replace(transitions=counts)


@pytest.mark.parametrize("prior_mean", [0.0, 1.0])
def test_posterior_samples_have_the_moments_of_the_posterior(prior_mean, small):
    agent = agents.make("posterior_sampling", small(1), prior_mean=prior_mean)
    transition, reward = agent.model(belief_of(agent, 3.0, 6.0, [2.0, 0.0, 1.0]))
    assert reward[:, 1, 0].mean().item() == pytest.approx((prior_mean + 6) / 4, abs=0.015)  # 4 standard errors
    assert reward[:, 1, 0].var().item() == pytest.approx(1 / 4, rel=0.05)
    assert reward[:, 0, 0].mean().item() == pytest.approx(prior_mean, abs=0.03)
    assert transition[:, 1, 0].mean(0).tolist() == pytest.approx([3 / 6, 1 / 6, 2 / 6], abs=0.01)
    assert transition[:, 2, 1].mean(0).tolist() == pytest.approx([1 / 3] * 3, abs=0.01)


def test_optimistic_planning_adds_a_bonus_that_falls_with_the_root_of_the_visits(small):
    agent = agents.make("optimistic_planning", small(1), bonus=1.5)
    transition, reward = agent.model(belief_of(agent, 3.0, 6.0, [2.0, 0.0, 1.0]))
    assert reward[0, 1, 0].item() == pytest.approx(6 / 4 + 1.5 / 2)
    assert reward[0, 0, 0].item() == pytest.approx(1.5)
    assert transition[0, 1, 0].tolist() == pytest.approx([3 / 6, 1 / 6, 2 / 6])


def test_a_batch_plays_as_its_rows_do_one_by_one():
    env = make_batched("palaestra/TabularMDP-v0", 12, seed=20)
    agent = agents.make("optimistic_planning", env)
    _, actions, _, _ = play(agent, env, 110)
    for row in range(12):
        _, alone, _, _ = play(agent, make_batched("palaestra/TabularMDP-v0", 1, seed=20 + row), 110)
        assert torch.equal(torch.stack(alone)[:, 0], torch.stack(actions)[:, row])


@pytest.mark.parametrize("name", NAMES)
def test_an_episode_longer_than_the_plan_goes_on_with_its_last_step(name, small):
    seen, actions, _, memories = play(agents.make(name, small(9), length=2), small(9), 4)
    assert torch.equal(actions[3], memories[3].policy[torch.arange(9), 1, seen[3]["observation"]])


@pytest.mark.parametrize("name", NAMES)
def test_planning_beats_chance(name):
    env = make_batched("palaestra/TabularMDP-v0", 100)
    result = agents.evaluate(agents.make(name, env), env, 100, seed=1)
    assert result.returns.mean().item() > 120  # chance gives 100


def test_an_environment_whose_observation_is_no_state_is_refused():
    with pytest.raises(InvalidInput, match="posterior_sampling: the trial's observation must be Discrete; got Box"):
        agents.make("posterior_sampling", make_batched("palaestra/BernoulliBandit-v0", 1))
