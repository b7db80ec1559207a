"""Encoders and the actor-critic for every kind of observation."""

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from palaestra.agents.networks.network import ActorCritic, OneHot, make_encoder
from palaestra.envs import make_batched
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.perception.convolution import NatureCNN, SmallCNN, parameter_count
from palaestra.neural_blocks.perception.encoders import Flat

VECTOR = spaces.Box(-1, 1, (3,), np.float32)
SMALL, LARGE = spaces.Box(0, 255, (1, 8, 8), np.uint8), spaces.Box(0, 255, (3, 20, 16), np.uint8)
NESTED = spaces.Dict(
    {
        "inner": spaces.Dict({"image": LARGE, "bits": spaces.MultiBinary(4)}),
        "symbol": spaces.Discrete(6),
        "several": spaces.MultiDiscrete([[2, 3], [4, 5]]),
        "vector": VECTOR,
    }
)


def batch(space, *lead):
    """Random observations (*lead, ...) as environments give them."""
    if isinstance(space, spaces.Dict):
        return {name: batch(part, *lead) for name, part in space.items()}
    space.seed(0)
    flat = np.stack([space.sample() for _ in range(int(np.prod(lead)))])
    return torch.as_tensor(flat).view(*lead, *space.shape)


@pytest.mark.parametrize(
    ("space", "kind", "size"),
    [
        (VECTOR, "auto", 3),
        (spaces.Box(-1, 1, (2, 5), np.float32), "auto", 10),
        (SMALL, "auto", 64),
        (SMALL, "flat", 64),
        (SMALL, "cnn", 128),
        (LARGE, "auto", 128),
        (LARGE, "flat", 960),
        (spaces.Discrete(7), "auto", 7),
        (spaces.Discrete(7, start=3), "auto", 7),
        (spaces.MultiDiscrete([2, 4]), "auto", 6),
        (spaces.MultiBinary([2, 3]), "auto", 6),
        (NESTED, "auto", 128 + 4 + 6 + 14 + 3),
        (NESTED, "flat", 960 + 4 + 6 + 14 + 3),
    ],
)
def test_every_observation_is_encoded_to_the_announced_size(space, kind, size):
    module = make_encoder(space, kind)
    encoded = module(batch(space, 9))
    assert encoded.shape == (9, size)
    assert module.output_size == size
    assert encoded.dtype == torch.float32
    assert encoded.isfinite().all()


def test_the_convolution_is_taken_from_sixteen_pixels_on():
    assert isinstance(make_encoder(LARGE).network, SmallCNN)
    assert isinstance(make_encoder(SMALL), Flat)
    assert isinstance(make_encoder(spaces.Box(0, 1, (3, 20, 16), np.float32)).network, SmallCNN)
    assert isinstance(make_encoder(spaces.Box(0, 1, (3, 20, 15), np.float32)), Flat)


def test_large_images_get_the_network_of_deep_q_learning():
    frames = spaces.Box(0, 255, (4, 84, 84), np.uint8)
    encoder = make_encoder(frames)
    assert isinstance(encoder.network, NatureCNN)
    assert parameter_count(encoder) == 8_224 + 32_832 + 36_928 + 3_136 * 512 + 512  # of Mnih et al. (2015)
    assert encoder(batch(frames, 2)).shape == (2, encoder.output_size) == (2, 512)
    with pytest.raises(InvalidInput, match=r"NatureCNN: shape must be .* at least 36"):
        make_encoder(SMALL, "nature")


@pytest.mark.parametrize("shape", [(84, 84, 4), (84, 84), (2, 64, 64, 3)])
def test_channels_are_found_in_images_that_no_environment_turned(shape):
    space = spaces.Box(0, 255, shape, np.uint8)
    encoder, seen = make_encoder(space, "cnn"), batch(space, 2)
    first = encoder.network.convolutions[0]
    turned = {
        3: lambda x: x.permute(0, 3, 1, 2),
        2: lambda x: x[:, None],
        4: lambda x: torch.cat([*x.permute(1, 0, 4, 2, 3)], 1),
    }
    images = turned[len(shape)](seen)
    assert first.in_channels == images.shape[1]
    torch.testing.assert_close(encoder(seen), torch.relu(encoder.network(images / 255)))


def test_flattening_a_large_image_is_worth_a_word():
    with pytest.warns(UserWarning, match=r"shape \(84, 84, 4\) is flattened to 28224 features"):
        make_encoder(spaces.Box(0, 255, (84, 84, 4), np.uint8), "flat")


def test_parts_may_have_any_name():
    names = ["observation.state", "type", "values", "", "keys", "forward", "training", "a/b", "0", "ä b"]
    space = spaces.Dict({name: spaces.Discrete(k + 1) for k, name in enumerate(names)})
    encoder, seen = make_encoder(space), batch(space, 3)
    assert encoder(seen).shape == (3, encoder.output_size)
    again = make_encoder(space)
    again.load_state_dict(encoder.state_dict())
    assert torch.equal(again(seen), encoder(seen))


def test_encoders_are_of_the_default_dtype_and_follow_their_module():
    default = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        network = ActorCritic(NESTED, 3)
    finally:
        torch.set_default_dtype(default)
    seen, start = batch(NESTED, 2, 3), torch.zeros(2, 3, dtype=torch.bool)
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        parameters, value, _ = network.to(dtype)(seen, (), start)
        assert parameters.dtype == value.dtype == dtype


def test_pixels_are_scaled_to_one():
    full = torch.full((2, 1, 8, 8), 255, dtype=torch.uint8)
    assert torch.equal(make_encoder(SMALL)(full), torch.ones(2, 64))
    values = torch.tensor([[0.5, -3.0, 700.0]])
    assert torch.equal(make_encoder(VECTOR)(values), values)


@pytest.mark.parametrize("start", [0, -2, 5])
def test_one_hot_vectors_are_those_of_torch(start):
    values = torch.arange(6).repeat(2)
    assert torch.equal(OneHot(spaces.Discrete(6, start=start))(values + start), F.one_hot(values, 6).float())


def test_several_one_hot_vectors_stand_side_by_side():
    space = spaces.MultiDiscrete([[2, 3], [4, 5]], start=[[0, 7], [0, 0]])
    values = batch(space, 50)
    columns = (values - torch.as_tensor(space.start)).flatten(1)
    expected = torch.cat([F.one_hot(columns[:, k], n) for k, n in enumerate([2, 3, 4, 5])], 1).float()
    assert torch.equal(OneHot(space)(values), expected)


def test_an_unknown_encoder_is_refused_with_the_nearest_name():
    with pytest.raises(InvalidInput, match=r"encoder must be one of 'auto', 'flat', 'cnn', .*; got 'cn'.*'cnn'"):
        make_encoder(VECTOR, "cn")


@pytest.mark.parametrize("memory", [None, "gru", "lstm"])
@pytest.mark.parametrize("space", [VECTOR, LARGE, spaces.Discrete(4), NESTED])
def test_sequences_and_single_steps_give_the_same_parameters_and_values(space, memory):
    T, B = 4, 3
    network = ActorCritic(space, 5, memory=memory, memory_size=6, hidden=(8,))
    observation, start = batch(space, T, B), torch.rand(T, B) < 0.4
    before = network.initial_memory(B)
    assert [tuple(part.shape) for part in before] == {None: [], "gru": [(B, 6)], "lstm": [(B, 6)] * 2}[memory]
    parameters, value, after = network(observation, before, start)
    assert parameters.shape == (T, B, 5)
    assert value.shape == (T, B)

    def at(tree, t):
        return {name: at(part, t) for name, part in tree.items()} if isinstance(tree, dict) else tree[t]

    state = before
    for t in range(T):
        own, own_value, state = network.act(at(observation, t), state, start[t])
        torch.testing.assert_close(own, parameters[t], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(own_value, value[t], rtol=1e-5, atol=1e-6)
    for mine, theirs in zip(state, after, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)


def test_the_first_policy_is_nearly_uniform():
    network = ActorCritic(VECTOR, 5)
    logits = network.act(batch(VECTOR, 100), (), torch.zeros(100, dtype=torch.bool))[0]
    assert (torch.softmax(logits, -1) - 0.2).abs().max() < 0.02


def test_a_trials_observation_is_served():
    env = make_batched("palaestra/BernoulliBandit-v0", 4)
    network = ActorCritic(env.observation_space, 5, memory="gru")
    observation = env.reset()
    parameters, value, _ = network.act(observation, network.initial_memory(4), env.episode_start)
    assert parameters.shape == (4, 5)
    assert value.shape == (4,)
    assert network.encoder.output_size == 1 + 5 + 1 + 1
