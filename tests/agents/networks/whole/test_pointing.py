"""The pointing policy: rows of what is observed, equal treatment of all of them, what it learns, what is refused."""

from __future__ import annotations

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch

from palaestra import agents, envs
from palaestra.agents.networks.whole.pointing import PointerActor, PointerActorCritic, Rows
from palaestra.neural_blocks.errors import InvalidInput

THREE = spaces.Discrete(3)
WORDS = spaces.MultiDiscrete([4, 2] * 3)
OBSERVATIONS = {
    "runs of choices": (WORDS, lambda order: lambda x: x.view(-1, 3, 2)[:, order].flatten(1)),
    "a table of choices": (spaces.MultiDiscrete(np.full((3, 2), 4)), lambda order: lambda x: x[:, order]),
    "a table of numbers": (spaces.Box(-1, 1, (3, 5)), lambda order: lambda x: x[:, order]),
    "bits": (spaces.MultiBinary(3), lambda order: lambda x: x[:, order]),
}


def sample(space, count=4):
    space.seed(0)
    return torch.as_tensor(np.stack([space.sample() for _ in range(count)]))


def test_rows_are_what_is_seen_of_each_and_what_all_share():
    space = spaces.Dict(words=WORDS, clock=spaces.Discrete(2), action_mask=spaces.MultiBinary(3))
    seen = {"words": torch.tensor([[3, 0, 1, 1, 0, 1]]), "clock": torch.tensor([1]), "action_mask": torch.ones(1, 3)}
    found = Rows(space, 3)(seen)
    clock = [0, 1]
    wanted = [[0, 0, 0, 1, 1, 0, *clock], [0, 1, 0, 0, 0, 1, *clock], [1, 0, 0, 0, 0, 1, *clock]]
    assert found.tolist() == [wanted]


@pytest.mark.parametrize("name", OBSERVATIONS)
def test_things_that_change_places_change_their_logits_and_nothing_else(name):
    space, exchange = OBSERVATIONS[name]
    torch.manual_seed(0)
    network, seen, order = PointerActorCritic(space, THREE, [8, 8]), sample(space), [2, 0, 1]
    start = torch.zeros(4, dtype=torch.bool)
    logits, value, memory = network.act(seen, (), start)
    moved, same, _ = network.act(exchange(order)(seen), (), start)
    assert memory == ()
    assert logits.shape == (4, 3)
    assert logits.abs().max() < 0.2  # an even policy to begin with
    assert logits.std() > 0
    torch.testing.assert_close(moved, logits[:, order])
    torch.testing.assert_close(same, value)


def test_sequences_and_single_steps_agree():
    network, seen = PointerActorCritic(WORDS, THREE, [8]), sample(WORDS, 6).view(3, 2, 6)
    logits, values, _ = network(seen, (), torch.zeros(3, 2, dtype=torch.bool))
    assert logits.shape == (3, 2, 3)
    assert values.shape == (3, 2)
    one = network.act(seen[1], (), torch.zeros(2, dtype=torch.bool))
    torch.testing.assert_close(one[0], logits[1])
    torch.testing.assert_close(one[1], values[1])


def test_it_never_points_at_what_the_mask_forbids():
    space = spaces.Dict(words=WORDS, action_mask=spaces.MultiBinary(3))
    seen = {"words": sample(WORDS, 2), "action_mask": torch.tensor([[1, 0, 1], [0, 0, 1]], dtype=torch.int8)}
    logits, _ = PointerActor(space, THREE, [4]).act(seen, (), torch.zeros(2))
    assert logits.isneginf().tolist() == [[False, True, False], [True, True, False]]


@pytest.mark.parametrize("name", ["behaviour_cloning", "dagger", "ppo"])
def test_an_agent_learns_with_it_saves_and_acts_alike(name, tmp_path):
    env = envs.make_batched("palaestra/Summarize-v0", 8, sentences=4, choose=2)
    few = {} if name == "ppo" else {"minibatch_size": 64}
    agent = agents.make(name, env, **few, network="pointer", hidden=[16, 16], rollout_steps=4, learning_rate=1e-2)
    before = agent.network.actor.layers[0].weight.clone()
    first = agent.train(env, 32)
    last = agent.train(env, 160)
    assert not torch.equal(agent.network.actor.layers[0].weight, before)
    if name != "ppo":
        assert last["policy_loss"] < first["policy_loss"]
    agent.save(tmp_path / "agent.pt")
    again = type(agent).load(tmp_path / "agent.pt", env.observation_space, env.action_space)
    assert torch.equal(agent.act(env.observation, greedy=True)[0], again.act(env.observation, greedy=True)[0])


@pytest.mark.parametrize(
    ("id", "settings", "told"),
    [
        ("Segment", {}, "network: 'pointer' needs a Discrete action; got MultiDiscrete"),
        ("DigitBandit", {}, "network: 'pointer' needs an observation of 10 rows, one for each value of the action"),
        ("Summarize", {"hidden": [64, 32]}, "needs hidden to be the layers' width, a multiple of 4, once for"),
        ("Summarize", {"hidden": [6]}, r"a multiple of 4, once for each layer; got \(6,\)"),
        ("Summarize", {"hidden": []}, r"once for each layer; got \(\)"),
        ("Summarize", {"memory": "gru"}, "network 'pointer' reads what it sees by itself, so memory must be None"),
    ],
)
def test_elsewhere_it_is_refused_in_one_line(id, settings, told):
    env = envs.make_batched(f"palaestra/{id}-v0", 2)
    with pytest.raises(InvalidInput, match=told) as caught:
        agents.make("ppo", env, **{"network": "pointer", "hidden": [8], **settings})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("network", ["unet", "pointer"])
def test_what_such_a_network_has_no_place_for_is_refused(network):
    env = envs.make_batched("palaestra/Summarize-v0", 2)
    with pytest.raises(InvalidInput, match=f"network '{network}' reads what it sees by itself, so ensemble must be 1"):
        agents.make("behaviour_cloning", env, network=network, hidden=[8], ensemble=3)
