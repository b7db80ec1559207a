"""Neural blocks chosen by name: every encoder and every memory learns, acts, and comes back from a checkpoint."""

import math

import pytest
import torch

import palaestra.agents as agents
import palaestra.envs as envs
from palaestra.agents.network import ENCODERS
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.recurrent import MEMORIES


def learned(id: str, options: dict, **config: object) -> tuple[agents.Agent, envs.BatchedEnv]:
    env = envs.make_batched(id, 8, **options)
    agent = agents.make("ppo", env, rollout_steps=8, minibatch_size=32, hidden=(16,), **config)
    before = [parameter.clone() for parameter in agent.parameters]
    reports = list(agent.learn(env, 128))
    assert all(math.isfinite(value) for report in reports for value in report.values())
    assert all(not torch.equal(old, new) for old, new in zip(before, agent.parameters, strict=True))
    return agent, env


def comes_back(agent: agents.Agent, env: envs.BatchedEnv) -> None:
    agent.save("agent.pt")
    again = agents.PPO.load("agent.pt", env.observation_space, env.action_space)
    memory, start = agent.initial_memory(8), torch.ones(8, dtype=torch.bool)
    for _ in range(3):
        (ours, memory), (theirs, _) = (a.act(env.observation, memory, start, greedy=True) for a in (agent, again))
        assert torch.equal(ours, theirs)
        start = env.step(ours).done


@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_encoder_serves_an_image(encoder: str) -> None:
    comes_back(*learned("palaestra/DigitBandit-v0", {}, encoder=encoder))


@pytest.mark.parametrize("memory", MEMORIES)
def test_every_memory_serves_a_sequence(memory: str) -> None:
    options = {"symbols": 2, "delay": 1, "length": 6}
    comes_back(*learned("palaestra/RepeatPrevious-v0", options, memory=memory, memory_size=8))


@pytest.mark.parametrize("memory", MEMORIES)
def test_every_memory_replays_what_it_collected(memory: str) -> None:
    env = envs.make_batched("palaestra/RepeatPrevious-v0", 4, symbols=2, delay=1, length=5)
    agent = agents.make("ppo", env, rollout_steps=16, sequence_length=8, memory=memory, memory_size=8, hidden=(8,))
    env.reset()
    from palaestra.agents.rollout import collect, sequences

    rollout, _ = collect(env, agent.network, agent.policy, 16, agent.initial_memory(4), agent.generator, 8)
    observation, start, action, old = sequences(
        (rollout.observation, rollout.start, rollout.action, rollout.log_prob), 8
    )
    parameters, _, _ = agent.network(observation, tuple(part.flatten(0, 1) for part in rollout.memory), start)
    torch.testing.assert_close(agent.policy.log_prob(parameters, action), old, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("setting", [{"memory": "gruu"}, {"encoder": "cn"}, {"activation": "tan"}])
def test_an_unknown_block_is_refused(setting: dict[str, str]) -> None:
    (value,) = setting.values()
    with pytest.raises(InvalidInput, match=f"got '{value}'"):
        agents.PPOConfig(**setting)


def test_the_config_lists_the_blocks_that_there_are() -> None:
    fields = agents.PPOConfig.model_json_schema()["properties"]
    assert set(fields["encoder"]["enum"]) == set(ENCODERS)
    assert set(fields["memory"]["anyOf"][0]["enum"]) == set(MEMORIES)
