"""A run that was saved, and continued by a fresh process, equals the run that was not."""

import itertools

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch

from palaestra import agents
from palaestra.agents.core.checkpoint import read_checkpoint
from palaestra.envs import GymnasiumBridge, make_batched


def differ(one, other, path="state"):
    """The places where two states are not the same, bit for bit."""
    if isinstance(one, torch.Tensor):
        return [] if np.array_equal(one, other, equal_nan=True) else [path]
    if isinstance(one, dict):
        assert set(one) == set(other)
        return [place for key in one for place in differ(one[key], other[key], f"{path}.{key}")]
    if isinstance(one, list | tuple):
        assert len(one) == len(other)
        return [place for k, (a, b) in enumerate(zip(one, other, strict=True)) for place in differ(a, b, f"{path}.{k}")]
    return [] if one == other else [path]


def check_resume(name, make_env, steps, **config):
    """Learns to the end in one go; then again with a stop after two reports; compares everything, gives the agent."""
    cls = agents.agent_class(name)
    if "anneal" in cls.Config.model_fields:
        config = {"anneal": True} | config
    env = make_env()
    agent = agents.make(name, env, seed=3, **config)
    whole = list(agent.learn(env, steps))

    first_env = make_env()
    first = agents.make(name, first_env, seed=3, **config)
    before = list(itertools.islice(first.learn(first_env, steps), 2))
    first.save("agent.pt", env=first_env.state_dict())

    second_env = make_env()
    second = cls.load("agent.pt", env.observation_space, env.action_space)
    second_env.load_state_dict(read_checkpoint("agent.pt")["extra"]["env"])
    after = list(second.learn(second_env, steps))

    assert len(after) >= 2
    assert before + after == whole
    assert second.steps == agent.steps >= steps
    assert differ(second.state_dict(), agent.state_dict()) == []
    assert differ(second_env.state_dict(), env.state_dict()) == []
    return agent


@pytest.mark.parametrize("memory", [None, "gru", "lstm"])
@pytest.mark.parametrize("name", ["ppo", "a2c"])
def test_a_resumed_run_equals_the_run_that_was_not_stopped(name, memory, uneven):
    extra = {"minibatches": 3, "epochs": 2} if name == "ppo" else {}
    check_resume(
        name, lambda: uneven(5), 5 * 12 * 4, memory=memory, rollout_steps=12, sequence_length=4, hidden=(8,), **extra
    )


@pytest.mark.parametrize("memory", [None, "gru"])
def test_a_resumed_run_on_a_gymnasium_environment_equals_the_one_that_was_not_stopped(memory):
    check_resume(
        "ppo",
        lambda: GymnasiumBridge("CartPole-v1", 3, seed=5),
        3 * 32 * 4,
        memory=memory,
        rollout_steps=32,
        minibatches=2,
        epochs=2,
        hidden=(8,),
    )


@pytest.mark.parametrize("sequence", [1, 10])
def test_counts_of_a_trial_resume(sequence):
    check_resume(
        "rl2",
        lambda: make_batched("palaestra/TabularMDP-v0", 6, states=3, actions=2, length=4, episodes=3),
        6 * 10 * 4,
        network="per_action",
        memory=None,
        rollout_steps=10,
        sequence_length=sequence,
        minibatches=2,
        hidden=(8,),
    )


def test_a_continuous_policy_resumes_with_its_deviation(acting):
    check_resume("ppo", lambda: acting(8, spaces.Box(-1, 1, (2,))), 8 * 4 * 4, rollout_steps=4, minibatches=2)


def test_a_run_stopped_before_its_first_step_and_one_stopped_at_its_end_resume(uneven):
    env = uneven(4)
    agent = agents.make("ppo", env, hidden=(8,), rollout_steps=5)
    agent.save("fresh.pt")
    fresh = agents.PPO.load("fresh.pt", env.observation_space, env.action_space)
    assert list(fresh.learn(uneven(4), 40)) == list(agent.learn(env, 40))
    agent.save("done.pt")
    done = agents.PPO.load("done.pt", env.observation_space, env.action_space)
    assert done.steps == 40
    assert list(done.learn(uneven(4), 40)) == []


def test_learning_goes_on_in_other_environments_without_mixing_their_episodes(clock):
    agent = agents.make("ppo", clock(2, 4, 9), hidden=(4,), rollout_steps=6, memory="gru", sequence_length=3)
    list(agent.learn(clock(2, 4, 9), 12))  # stops in the middle of an episode
    reports = list(agent.learn(clock(2, 4, 9), 24))
    assert [report["return"] for report in reports] == [4.0]
    reports = list(agent.learn(clock(3, 4, 9), 24 + 18))
    assert [(report["return"], report["length"], report["episodes"]) for report in reports] == [(4.0, 4.0, 3.0)]


def test_a_restored_agent_makes_the_random_choices_of_the_saved_one_whatever_its_own_seed(uneven):
    env = uneven(4)
    agent = agents.make("a2c", env, seed=1)
    observation = env.reset()
    agent.act(observation)
    other = agents.make("a2c", env, seed=2)
    other.load_state_dict(agent.state_dict())
    for _ in range(5):
        assert torch.equal(other.act(observation)[0], agent.act(observation)[0])


def test_restoring_also_works_into_an_agent_that_has_learned(uneven):
    env = uneven(4)
    agent = agents.make("ppo", env, hidden=(8,), rollout_steps=5)
    agent.save("fresh.pt")
    first = list(agent.learn(env, 40))
    agent.restore(read_checkpoint("fresh.pt"), "fresh.pt")
    assert list(agent.learn(uneven(4), 40)) == first


class Dropping(torch.nn.Module):
    """A user's encoder with PyTorch's own dropout."""

    output_size = 4

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2, 4), torch.nn.Dropout(0.5))

    def forward(self, x):
        return self.layers(x)


def test_what_an_encoder_drops_is_resumed_too_whatever_the_process_drew_meanwhile(uneven):
    env = uneven(4)
    settings = {"encoder": Dropping(), "hidden": (4,), "rollout_steps": 4}
    agent = agents.make("ppo", env, seed=3, **settings)
    whole = list(agent.learn(env, 96))
    first_env = uneven(4)
    first = agents.make("ppo", first_env, seed=3, **settings)
    before = list(itertools.islice(first.learn(first_env, 96), 3))
    first.save("dropping.pt", env=first_env.state_dict())
    torch.rand(7)
    second_env = uneven(4)
    second = agents.PPO.load("dropping.pt", env.observation_space, env.action_space, encoder=Dropping())
    second_env.load_state_dict(read_checkpoint("dropping.pt")["extra"]["env"])
    torch.rand(3)
    assert before + list(second.learn(second_env, 96)) == whole
    assert differ(second.state_dict(), agent.state_dict()) == []
