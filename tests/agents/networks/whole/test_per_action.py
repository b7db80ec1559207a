"""The per-action policy: actions and states may change places, sequences are steps, and where it is refused."""

from __future__ import annotations

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch

from palaestra import agents, envs
from palaestra.agents.networks.whole.per_action import PerActionActor, PerActionActorCritic
from palaestra.envs.core.trial import Trial
from palaestra.envs.meta.bernoulli_bandit import BernoulliBandit
from palaestra.envs.meta.tabular_mdp import TabularMDP
from palaestra.neural_blocks.errors import InvalidInput

T, B = 12, 3
TASKS = {"bandit": Trial(BernoulliBandit(arms=4), 10), "process": Trial(TabularMDP(states=5, actions=4, length=3), 4)}


def made(name, kind=PerActionActorCritic):
    torch.manual_seed(0)
    network = kind(TASKS[name].observation_space, TASKS[name].action_space, [8, 8])
    torch.nn.init.orthogonal_(network.score.weight)  # at 1 % of that all scores would be alike
    return network


def seen(name):
    """Observations (T, B, ...) such as a trial's, and its starts."""
    generator = torch.Generator().manual_seed(1)
    start = torch.rand(T, B, generator=generator) < 0.1
    fresh = start | (torch.rand(T, B, generator=generator) < 0.3)
    state = torch.randint(5, (T, B), generator=generator) if name == "process" else torch.zeros(T, B, 1)
    shown = {"observation": state, "previous_action": torch.randint(4, (T, B), generator=generator)}
    shown["previous_reward"] = torch.randn(T, B, 1, generator=generator)
    return {**shown, "episode_start": fresh.float().unsqueeze(2)}, start


@pytest.mark.parametrize("name", TASKS)
@torch.no_grad()
def test_steps_and_chunks_are_the_whole_sequence(name):
    network, (observation, start) = made(name), seen(name)
    logits, value, after = network(observation, network.initial_memory(B), start)
    memory = network.initial_memory(B)
    for t in range(T):
        one, own, memory = network.act({key: part[t] for key, part in observation.items()}, memory, start[t])
        torch.testing.assert_close(one, logits[t], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(own, value[t], atol=1e-5, rtol=1e-4)
    halves = [{key: part[piece] for key, part in observation.items()} for piece in (slice(5), slice(5, T))]
    first, _, between = network(halves[0], network.initial_memory(B), start[:5])
    second, _, end = network(halves[1], between, start[5:])
    torch.testing.assert_close(torch.cat([first, second]), logits, atol=1e-5, rtol=1e-4)
    for mine in (memory, end):
        torch.testing.assert_close(mine, after)


@pytest.mark.parametrize("name", TASKS)
@torch.no_grad()
def test_where_actions_change_places_so_do_their_scores(name):
    network, (observation, start) = made(name), seen(name)
    order = torch.tensor([2, 0, 3, 1])
    logits, value, _ = network(observation, network.initial_memory(B), start)
    other = observation | {"previous_action": order[observation["previous_action"]]}
    changed, same, _ = network(other, network.initial_memory(B), start)
    torch.testing.assert_close((changed - network.order)[..., order], logits - network.order, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(same, value, atol=1e-5, rtol=1e-4)
    assert (logits.std(-1) > 1e-3).any()


@torch.no_grad()
def test_where_states_change_places_nothing_changes():
    network, (observation, start) = made("process"), seen("process")
    logits, value, _ = network(observation, network.initial_memory(B), start)
    other = observation | {"observation": torch.tensor([3, 0, 4, 2, 1])[observation["observation"]]}
    changed, same, _ = network(other, network.initial_memory(B), start)
    torch.testing.assert_close(changed, logits, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(same, value, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", TASKS)
@torch.no_grad()
def test_of_equal_actions_the_first_is_taken(name):
    """Nothing is known at a trial's start, so all scores are the same but for rounding."""
    network, (observation, _) = made(name), seen(name)
    first = {key: part[0] for key, part in observation.items()} | {"previous_action": torch.zeros(B).long()}
    logits, _, _ = network.act(first, network.initial_memory(B), torch.ones(B).bool())
    torch.testing.assert_close(logits[:, :1] - logits, 1e-4 * torch.arange(4.0).expand(B, 4), atol=1e-6, rtol=0)


def test_there_are_as_many_weights_for_every_number_of_actions_and_states():
    def weights(states, actions):
        task = Trial(TabularMDP(states=states, actions=actions), 2)
        return PerActionActorCritic(task.observation_space, task.action_space, [8]).state_dict()

    few, many = weights(4, 2), weights(9, 7)
    assert {key: part.shape for key, part in few.items()} == {key: part.shape for key, part in many.items()}


def test_every_weight_is_learned():
    network, (observation, start) = made("process"), seen("process")
    logits, value, _ = network(observation, network.initial_memory(B), start)
    (logits.square().sum() + value.square().sum()).backward()
    idle = [key for key, part in network.named_parameters() if part.grad is None or not part.grad.any()]
    assert idle == []


@torch.no_grad()
def test_it_compiles_to_one_graph():
    network, (observation, start) = made("process", PerActionActor), seen("process")
    observation, start = {key: part[:2] for key, part in observation.items()}, start[:2]
    wanted, _ = network(observation, network.initial_memory(B), start)
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(observation, network.initial_memory(B), start)[0], wanted)


@pytest.mark.parametrize("name", ["ppo", "rl2", "behaviour_cloning"])
def test_an_agent_learns_with_it_saves_and_acts_alike(name, tmp_path):
    env = envs.make_batched("palaestra/TabularMDP-v0", 8, states=3, actions=2, length=2, episodes=3)
    settings = {"network": "per_action", "memory": None, "hidden": [8], "rollout_steps": 4, "learning_rate": 1e-2}
    agent = agents.make(name, env, **settings)
    before = agent.network.score.weight.clone()
    agent.train(env, 96)
    assert not torch.equal(agent.network.score.weight, before)
    agent.save(tmp_path / "agent.pt")
    again = type(agent).load(tmp_path / "agent.pt", env.observation_space, env.action_space)
    assert torch.equal(agent.act(env.observation, greedy=True)[0], again.act(env.observation, greedy=True)[0])


@pytest.mark.parametrize(
    ("id", "settings", "told"),
    [
        (
            "DigitBandit",
            {},
            "network: 'per_action' needs the observation of a Trial and Discrete actions; got Box",
        ),
        ("PointGoal", {}, r"the observation of a Trial and Discrete actions; got Dict and Box"),
        ("BernoulliBandit", {"hidden": []}, "network: 'per_action' needs hidden to name one width or more; got none"),
        ("BernoulliBandit", {"memory": "gru"}, "network 'per_action' reads what it sees by itself, so memory must be"),
        ("BernoulliBandit", {"encoder": "cnn"}, "so encoder must be 'auto'"),
        ("BernoulliBandit", {"ensemble": 2}, "so ensemble must be 1"),
    ],
)
def test_elsewhere_it_is_refused_in_one_line(id, settings, told):
    env = envs.make_batched(f"palaestra/{id}-v0", 2)
    with pytest.raises(InvalidInput, match=told) as caught:
        agents.make("ppo", env, **{"network": "per_action", **settings})
    assert "\n" not in str(caught.value)


def test_masked_actions_are_refused():
    space = spaces.Dict({**TASKS["bandit"].observation_space.spaces, "action_mask": spaces.Box(0, 1, (4,), np.int8)})
    with pytest.raises(InvalidInput, match=r"Discrete actions; got Dict with a mask and Discrete\(4\)"):
        PerActionActor(space, spaces.Discrete(4), [8])
