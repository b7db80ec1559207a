"""RL²: its memory must last over the episodes of a trial, and learning within the trial must come from it."""

import gymnasium.spaces as spaces
import pytest
import torch

from palaestra import agents
from palaestra.envs import make_batched
from palaestra.neural_blocks.errors import InvalidInput


@pytest.fixture(scope="module")
def trained():
    """An agent for two arms and ten pulls, and environments with other problems."""
    env = make_batched("palaestra/BernoulliBandit-v0", 256, arms=2, episodes=10)
    agent = agents.make("rl2", env, memory_size=24, hidden=(24,), rollout_steps=20, minibatches=4, learning_rate=1e-2)
    for _ in agent.learn(env, 150_000):
        pass
    return agent, make_batched("palaestra/BernoulliBandit-v0", 512, seed=2**41, arms=2, episodes=10)


def mean_return(agent, env, wiped=False):
    observation, total = env.reset(2**41), torch.zeros(env.num_envs)
    memory, start = agent.initial_memory(env.num_envs), env.episode_start
    for _ in range(10):
        action, memory = agent.act(observation, memory, start | wiped, greedy=True)
        step = env.step(action)
        total += step.reward
        observation, start = step.observation, step.done
    return float(total.mean())


def test_it_learns_within_a_trial(trained):
    agent, env = trained
    best = mean_return(agents.make("gittins", env, horizon=10), env)
    assert mean_return(agent, env) - 5 > 0.8 * (best - 5)  # chance brings 5


def test_without_its_memory_it_knows_the_last_pull_alone(trained):
    assert mean_return(*trained, wiped=True) < mean_return(*trained) - 0.1


def test_the_memory_lasts_over_the_episodes_of_a_trial(trained):
    agent, env = trained
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
