"""The per-pixel policy: whose parameters stand where, what it learns, and where it is refused."""

from __future__ import annotations

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch

from palaestra import agents, envs
from palaestra.agents.networks.heads import distribution
from palaestra.agents.networks.whole.per_pixel import PixelActor, PixelActorCritic, PixelwiseActor
from palaestra.neural_blocks.errors import InvalidInput

IMAGE = spaces.Box(0, 255, (3, 8, 12), np.uint8)
ACTIONS = {
    "classes": spaces.MultiDiscrete(np.full((8, 12), 4)),
    "bits": spaces.MultiBinary((8, 12)),
    "several bits": spaces.MultiBinary((2, 8, 12)),
    "numbers": spaces.Box(-1, 1, (8, 12), np.float32),
}


def images(count, seed=0):
    return torch.randint(256, (count, 3, 8, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", ACTIONS)
def test_a_change_of_the_picture_moves_the_parameters_of_the_pixels_near_it_alone(name):
    """Through one level of two 3 x 3 convolutions a pixel is seen from two pixels away, no further."""
    space = ACTIONS[name]
    network, policy = PixelActor(IMAGE, space, [4]), distribution(space)
    network.painter.down[0].first[1] = torch.nn.Identity()  # normalisation looks at the whole picture
    network.painter.down[0].second[1] = torch.nn.Identity()
    seen = images(1)
    other = seen.clone()
    other[0, :, 5, 9] = 255 - other[0, :, 5, 9]
    parameters = [network.act(one, (), torch.ones(1, dtype=torch.bool))[0] for one in (seen, other)]
    assert parameters[0].shape == (1, policy.size)
    # a policy that follows one entry of each pixel's parameters tells which pixel these belong to
    entries = torch.arange(policy.size)
    pixel = entries // 4 if name == "classes" else entries % 96
    changed = (parameters[0] - parameters[1])[0].abs() > 1e-9
    row, column = pixel // 12, pixel % 12
    near = ((row - 5).abs() <= 2) & ((column - 9).abs() <= 2)
    assert torch.equal(changed, near)


def test_sequences_and_single_steps_agree_and_the_value_has_one_number_a_picture():
    network = PixelActorCritic(IMAGE, ACTIONS["classes"], [4, 8])
    seen = images(6).view(3, 2, 3, 8, 12)
    parameters, value, memory = network(seen, (), torch.zeros(3, 2, dtype=torch.bool))
    assert parameters.shape == (3, 2, 96 * 4)
    assert value.shape == (3, 2)
    assert memory == ()
    one = network.act(seen[1], (), torch.zeros(2, dtype=torch.bool))
    torch.testing.assert_close(one[0], parameters[1])
    torch.testing.assert_close(one[1], value[1])


def test_it_begins_with_an_even_policy():
    parameters, _ = PixelActor(IMAGE, ACTIONS["classes"], [8, 16]).act(images(4), (), torch.zeros(4))
    assert parameters.abs().max() < 0.2
    assert parameters.std() > 0


def test_a_pixelwise_network_is_a_perceptron_of_the_patch_around_each_pixel():
    space = ACTIONS["classes"]
    network, policy, seen = PixelwiseActor(IMAGE, space, [7, 6]), distribution(space), images(2)
    parameters, _ = network.act(seen, (), torch.ones(2, dtype=torch.bool))
    assert parameters.shape == (2, policy.size)
    first, second = (part for part in network.painter.layers if isinstance(part, torch.nn.Conv2d))
    patches = torch.nn.functional.unfold(seen / 255, 5, padding=2).movedim(1, -1)  # (2, 96, 75)
    hidden = torch.relu(patches @ first.weight.flatten(1).T + first.bias)
    hidden = torch.relu(hidden @ second.weight.flatten(1).T + second.bias)
    output = network.painter.output
    expected = hidden @ output.weight.flatten(1).T + output.bias  # (2, 96, 4)
    torch.testing.assert_close(parameters, expected.flatten(1))


@pytest.mark.parametrize(
    ("name", "network"),
    [("behaviour_cloning", "unet"), ("dagger", "unet"), ("ppo", "unet"), ("behaviour_cloning", "pixelwise")],
)
def test_an_agent_learns_with_it_saves_and_acts_alike(name, network, tmp_path):
    env = envs.make_batched("palaestra/Segment-v0", 8)
    few = {} if name == "ppo" else {"minibatch_size": 64}
    agent = agents.make(name, env, **few, network=network, hidden=[4, 8], rollout_steps=4, learning_rate=1e-2)
    before = agent.network.painter.output.weight.clone()
    first = agent.train(env, 32)
    last = agent.train(env, 96)
    assert not torch.equal(agent.network.painter.output.weight, before)
    if name != "ppo":
        assert last["policy_loss"] < 0.8 * first["policy_loss"]
    agent.save(tmp_path / "agent.pt")
    again = type(agent).load(tmp_path / "agent.pt", env.observation_space, env.action_space)
    assert torch.equal(agent.act(env.observation, greedy=True)[0], again.act(env.observation, greedy=True)[0])


@pytest.mark.parametrize(
    ("id", "settings", "told"),
    [
        ("DigitBandit", {}, "network: 'unet' needs an action of one entry per pixel, 8 x 8; got Discrete"),
        ("Localize", {}, "network: 'unet' needs one image as the observation; got Dict"),
        ("Segment", {"hidden": [4] * 6}, r"needs hidden to name so few levels that 16 x 16 pixels can be halved"),
        ("Segment", {"memory": "gru"}, "network 'unet' reads what it sees by itself, so memory must be None"),
        ("Segment", {"encoder": "cnn"}, "network 'unet' reads what it sees by itself, so encoder must be 'auto'"),
        ("Segment", {"network": "pixelwise", "memory": "gru"}, "network 'pixelwise' reads what it sees by itself"),
        (
            "Segment",
            {"network": "pixelwise", "hidden": []},
            "network: 'pixelwise' needs hidden to name a layer at least; got",
        ),
        ("Segment", {"normalise_observation": True}, "so normalise_observation must be False"),
        (
            "Segment",
            {"network": "unett"},
            r"network must be one of 'perceptron', 'unet', 'pixelwise', 'pointer', 'per_action'; got 'unett'",
        ),
    ],
)
def test_elsewhere_it_is_refused_in_one_line(id, settings, told):
    env = envs.make_batched(f"palaestra/{id}-v0", 2)
    with pytest.raises(InvalidInput, match=told) as caught:
        agents.make("ppo", env, **{"network": "unet", **settings})
    assert "\n" not in str(caught.value)
