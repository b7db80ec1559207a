"""Every kind of space that strangers' environments may have."""

from __future__ import annotations

from itertools import product

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch
from scipy import stats

from palaestra import agents
from palaestra.envs.adapters.foreign_spaces import boxed
from palaestra.envs.core.actions import random_action
from palaestra.tests.envs.adapters.strangers import NUMBERS, PIXELS, bridged, complaint

EVERYTHING = {
    "image": PIXELS,
    "stack": spaces.Box(0, 255, (2, 18, 16, 3), np.uint8),
    "grey": spaces.Box(0, 255, (18, 16), np.uint8),
    "float image": spaces.Box(0, 1, (18, 16, 3), np.float64),
    "scalar": spaces.Box(-1, 1, (), np.float64),
    "integers": spaces.Box(-9, 9, (2, 2), np.int64),
    "bool": spaces.Box(0, 1, (3,), np.bool_),
    "bits": spaces.MultiBinary((2, 2)),
    "choices": spaces.MultiDiscrete([[2, 3], [4, 5]], start=[[0, 7], [0, 0]]),
    "tuple": spaces.Tuple([spaces.Discrete(3, start=-1), spaces.Tuple([PIXELS, NUMBERS])]),
    "dict": spaces.Dict(
        {"observation.state": NUMBERS, "type": PIXELS, "values": spaces.Dict({"": spaces.Discrete(2)})}
    ),
}


def as_shown(value, space):
    """What one observation of the suite's space should be, written out kind by kind."""
    if isinstance(space, spaces.Dict):
        return {name: as_shown(value[name], part) for name, part in space.items()}
    if isinstance(space, spaces.Tuple):
        return {str(k): as_shown(value[k], part) for k, part in enumerate(space)}
    value = np.asarray(value)
    if space.shape == (18, 16, 3):
        value = np.stack([value[..., colour] for colour in range(3)])
    elif space.shape == (2, 18, 16, 3):
        value = np.stack([value[frame, ..., colour] for frame in range(2) for colour in range(3)])
    elif space.shape == (18, 16):
        value = value[None]
    kinds = {spaces.Discrete: np.int64, spaces.MultiDiscrete: np.int64, spaces.MultiBinary: np.int8}
    return value.astype(np.uint8 if space.dtype == np.uint8 else kinds.get(type(space), np.float32))


def assert_same(tensors, expected, row):
    if isinstance(expected, dict):
        assert tensors.keys() == expected.keys()
        for name, part in expected.items():
            assert_same(tensors[name], part, row)
        return
    own = tensors[row].numpy()
    np.testing.assert_array_equal(own, expected)
    assert own.dtype == expected.dtype


def first_row(tensors):
    if isinstance(tensors, dict):
        return {name: first_row(part) for name, part in tensors.items()}
    row = tensors[0].numpy()
    return row[()] if row.dtype == np.int64 and row.shape == () else row


@pytest.mark.parametrize("name", EVERYTHING)
def test_observations_of_every_space_arrive_and_lie_in_the_space_that_is_told(name):
    space = EVERYTHING[name]
    env = bridged(space)
    env.reset(3)
    for step in range(7):  # past the end of an episode
        for row in range(2):
            shown = env.envs[row].shown[-1]
            assert_same(env.observation, as_shown(shown, space), row)
        assert env.observation_space.contains(first_row(env.observation))
        outcome = env.step([0, 1])
        if step == 4:
            assert_same(outcome.final_observation, as_shown(env.envs[0].shown[-2], space), 0)


@pytest.mark.parametrize("name", EVERYTHING)
@pytest.mark.parametrize("agent", ["ppo", "dqn"])
def test_agents_learn_from_observations_of_every_space(name, agent):
    env = bridged(EVERYTHING[name])
    settings = {"warmup_steps": 8, "batch_size": 8, "capacity": 32} if agent == "dqn" else {"rollout_steps": 8}
    learner = agents.make(agent, env, hidden=(8,), **settings)
    list(learner.learn(env, 32))
    assert learner.act(env.observation)[0].shape == (2,)


@pytest.mark.parametrize("name", ["image", "stack", "grey", "scalar", "bits"])
def test_algorithms_of_stable_baselines_see_images_too(name):
    env = bridged(EVERYTHING[name])
    env.reset()
    agent = agents.make("sb3:PPO", env)
    first = next(m for m in agent.model.policy.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear))
    channels = {"image": 3, "stack": 6, "grey": 1}.get(name)
    assert isinstance(first, torch.nn.Linear) if channels is None else first.in_channels == channels
    assert agent.act(env.observation)[0].shape == (2,)


ACTIONS = {
    "double": spaces.Box(0.1, 0.3, (2,), np.float64),
    "half precision": spaces.Box(-1, 1, (2,), np.float16),
    "integers": spaces.Box(-3, 10, (2,), np.int64),
    "bytes": spaces.Box(0, 255, (1,), np.uint8),
    "all integers": spaces.Box(np.iinfo(np.int64).min, np.iinfo(np.int64).max, (1,), np.int64),
    "from nought on": spaces.Box(0, np.inf, (2,), np.float32),
    "up to a bound": spaces.Box(-np.inf, np.array([2.0, np.inf, 1.0], np.float32)),
    "mixed": spaces.Box(np.array([-1, 0, -np.inf], np.float32), np.array([1, np.inf, np.inf], np.float32)),
    "scalar": spaces.Box(-1, 1, (), np.float32),
    "bits": spaces.MultiBinary((2, 3)),
    "choices": spaces.MultiDiscrete([[2, 3], [4, 5]], start=[[1, 1], [0, 0]]),
    "discrete": spaces.Discrete(3, start=-2),
}


BOUNDED = [name for name, space in ACTIONS.items() if isinstance(space, spaces.Box) and space.is_bounded()]


@pytest.mark.parametrize(
    ("agent", "name"),
    [*product(["random", "ppo"], ACTIONS), *product(["sac", "sb3:SAC"], BOUNDED)],
)
def test_actions_reach_the_environment_as_members_of_its_own_space(agent, name):
    space = ACTIONS[name]
    env = bridged(action_space=space)
    env.reset()
    player = agents.make(agent, env)
    for _ in range(20):
        env.step(player.act(env.observation)[0])  # `Stub.step` asserts that the action lies in the space
    given = env.envs[0].given
    assert len(given) == 20
    if not isinstance(space, spaces.Discrete):
        assert {(action.shape, action.dtype) for action in given} == {(space.shape, space.dtype)}


def test_a_double_keeps_all_its_digits_and_a_single_is_clipped_to_it():
    env = bridged(action_space=spaces.Box(0.1, 0.3, (1,), np.float64))
    env.reset()
    env.step(np.array([[0.1 + 1e-12], [0.3]]))
    env.step(torch.tensor([[0.1], [0.3]]))
    assert [float(one.given[0][0]) for one in env.envs] == [0.1 + 1e-12, 0.3]
    assert [float(one.given[1][0]) for one in env.envs] == [np.float64(np.float32(0.1)), 0.3]
    assert "action must be from 0.1 to 0.3; got 0.31" in complaint(env.step, [[0.31], [0.2]])
    assert "action must be from 0.1 to 0.3; got nan" in complaint(env.step, [[0.2], [float("nan")]])
    again = bridged(action_space=spaces.Box(0.1, 0.3, (1,), np.float64))
    again.load_state_dict(env.state_dict())
    assert again.envs[0].given[0] == 0.1 + 1e-12


@pytest.mark.parametrize(
    ("space", "values", "expected"),
    [
        (spaces.Box(-3, 10, (1,), np.int64), [9.676, -2.5, 10.0, -3.0], [10, -2, 10, -3]),
        (spaces.Box(0, 255, (1,), np.uint8), [254.6, 0.4], [255, 0]),
        (ACTIONS["all integers"], [9.3e18, -9.3e18, 1e18], [2**63 - 1, -(2**63), 10**18]),
    ],
)
def test_whole_numbers_are_the_nearest_ones_within_the_box(space, values, expected):
    whole = boxed(np.array(values)[:, None], space)
    assert whole.dtype == space.dtype
    assert whole[:, 0].tolist() == expected


def test_random_numbers_have_the_distributions_that_gymnasium_documents():
    generator = torch.Generator().manual_seed(0)
    space = spaces.Box(np.array([-1, 2, -np.inf, -np.inf], np.float32), np.array([3, np.inf, 5, np.inf], np.float32))
    drawn = random_action(space, 40_000, generator).double()
    quantiles = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    expected = [
        stats.uniform(-1, 4).ppf(quantiles), 2 + stats.expon.ppf(quantiles), 5 - stats.expon.ppf(1 - quantiles),
        stats.norm.ppf(quantiles),
    ]  # fmt: skip
    np.testing.assert_allclose(drawn.quantile(torch.as_tensor(quantiles), 0).T, expected, atol=0.06)
    whole = random_action(spaces.Box(-1, 2, (), np.int64), 40_000, generator)
    np.testing.assert_allclose(torch.bincount((whole + 1).long()) / 40_000, [0.25] * 4, atol=0.01)
