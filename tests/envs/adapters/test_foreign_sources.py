"""What a bridge may be made from: ids, instances, functions, classes and specifications; and every fault of theirs."""

from __future__ import annotations

import gymnasium
import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch
from gymnasium.envs.classic_control import CartPoleEnv
from gymnasium.wrappers import FrameStackObservation, TransformObservation, TransformReward

from palaestra.envs import GymnasiumBridge
from palaestra.envs.core.tree import leaves
from palaestra.tests.envs.adapters.strangers import NUMBERS, PIXELS, Stub, bridged, complaint


def test_an_instance_plays_what_its_id_plays():
    ours, theirs = GymnasiumBridge(gymnasium.make("CartPole-v1"), 3, seed=4), GymnasiumBridge("CartPole-v1", 3, seed=4)
    assert ours.name == theirs.name == "CartPole-v1"
    assert torch.equal(ours.reset(), theirs.reset())
    for _ in range(40):
        a, b = ours.step([0, 1, 1]), theirs.step([0, 1, 1])
        assert torch.equal(a.observation, b.observation)
        assert torch.equal(a.done, b.done)


def test_wrappers_of_an_instance_are_on_every_row():
    calls = []
    env = TransformReward(
        FrameStackObservation(gymnasium.make("CartPole-v1"), 3), lambda reward: calls.append(1) or 7.0
    )
    bridge = GymnasiumBridge(env, 2)
    assert bridge.envs[0] is env
    assert bridge.reset().shape == (2, 3, 4)
    assert bridge.step([0, 1]).reward.tolist() == [7.0, 7.0]
    assert len(calls) == 2


@pytest.mark.parametrize(
    "source",
    [
        lambda: gymnasium.make("CartPole-v1"),
        lambda **options: gymnasium.make("CartPole-v1", **options),
        gymnasium.spec("CartPole-v1"),
        CartPoleEnv,
    ],
)
def test_functions_classes_and_specifications_make_environments(source):
    bridge = GymnasiumBridge(source, 2, seed=1)
    assert torch.equal(bridge.reset(), GymnasiumBridge("CartPole-v1", 2, seed=1).reset())


def test_options_reach_a_function():
    bridge = GymnasiumBridge(lambda limit: gymnasium.make("CartPole-v1", max_episode_steps=limit), limit=2)
    bridge.reset()
    assert [bool(bridge.step([0]).truncated) for _ in range(2)] == [False, True]


def test_an_environment_without_a_specification_is_named_by_its_class_and_needs_no_time_limit():
    class Endless(Stub):
        def step(self, action):
            return self._show(), 0.0, False, False, {}

    bridge = GymnasiumBridge(Endless())
    bridge.reset()
    assert bridge.name == "Endless"
    assert not any(bool(bridge.step([0]).done) for _ in range(50))


class Uncopied(Stub):
    def __deepcopy__(self, memo):
        raise TypeError("cannot copy a socket")


SHARED = Stub()


@pytest.mark.parametrize(
    ("source", "options", "expected"),
    [
        (
            Uncopied(),
            {},
            "Uncopied: this environment cannot be copied (TypeError: cannot copy a socket); pass a function",
        ),
        (Stub(), {"colour": 1}, "Stub: an instance takes no options; got {'colour': 1}"),
        (lambda: SHARED, {}, "must make a new environment at each call; got the same one twice"),
        (lambda: 3, {}, "must make a gymnasium.Env; got int"),
        (lambda: {}["x"], {}, "KeyError: 'x'"),
        (7, {}, "environment must be an id, a specification, a gymnasium.Env of one environment, or a function"),
        (gymnasium.make_vec("CartPole-v1", 2), {}, "got CartPoleVectorEnv"),
        (Stub, {"observation_space": spaces.Text(3)}, "observation space must be Box, Discrete, MultiDiscrete, Mu"),
        (Stub, {"observation_space": spaces.Dict({"a": spaces.Tuple([spaces.Text(3)])})}, "space['a'][0] must be Box"),
        (Stub, {"observation_space": spaces.Dict({})}, "observation space must have parts"),
        (Stub, {"action_space": spaces.Dict({"a": NUMBERS})}, "Stub: action space must be Discrete, MultiDiscrete"),
        ("FrozenLake-v1", {"map_name": "9x9"}, "'FrozenLake-v1' with options {'map_name': '9x9'}: KeyError: '9x9'"),
    ],
)
def test_what_makes_no_batch_is_refused_in_one_line(source, options, expected):
    assert expected in complaint(GymnasiumBridge, source, 2, **options)


NAN, DICT = np.array([0.5, np.nan], np.float32), spaces.Dict({"a": NUMBERS, "b": spaces.Discrete(3)})


@pytest.mark.parametrize(
    ("space", "faults", "expected"),
    [
        (NUMBERS, {"reward 2": np.nan}, "reward must be a finite number; got nan"),
        (NUMBERS, {"reward 2": np.inf}, "reward must be a finite number; got inf"),
        (NUMBERS, {"reward 2": 1e300}, "reward must be a finite number; got 1e+300"),
        (NUMBERS, {"reward 2": None}, "reward must be a finite number; got None"),
        (NUMBERS, {"observation 2": NAN}, "observation must be finite; got nan at (1,)"),
        (NUMBERS, {"observation 2": -np.array([np.inf, 0])}, "observation must be finite; got -inf at (0,)"),
        (
            NUMBERS,
            {"observation 2": np.array([0, 1e200])},
            "observation must be of float32's range; got 1e+200 at (1,)",
        ),
        (NUMBERS, {"observation 2": np.zeros(3)}, "observation must be numbers of shape (2,); got float64 (3,)"),
        (NUMBERS, {"observation 2": None}, "observation must be numbers of shape (2,); got NoneType None"),
        (NUMBERS, {"observation 2": "ab"}, "observation must be numbers of shape (2,)"),
        (
            NUMBERS,
            {"observation 2": [[1], [1, 2]]},
            "observation must be numbers of shape (2,); got list [[1], [1, 2]]",
        ),
        (
            PIXELS,
            {"observation 2": np.full(PIXELS.shape, 0.5)},
            "observation must be whole numbers from 0 to 255; got 0.5",
        ),
        (
            PIXELS,
            {"observation 2": np.full(PIXELS.shape, 256)},
            "observation must be whole numbers from 0 to 255; got 256",
        ),
        (spaces.Discrete(3), {"observation 2": 3}, "observation must be whole numbers from 0 to 2; got 3"),
        (
            spaces.MultiBinary(2),
            {"observation 2": np.array([0, 2])},
            "observation must be whole numbers from 0 to 1; got 2",
        ),
        (DICT, {"observation 2": {"a": NAN, "b": 1}}, "observation['a'] must be finite; got nan at (1,)"),
        (DICT, {"observation 2": {"a": np.zeros(2)}}, "observation must have a part 'b'; got {'a': array([0., 0.])}"),
        (DICT, {"observation 2": 3}, "observation must have a part 'a'; got 3"),
        (NUMBERS, {"step": OSError("the simulator\nis gone"), "at": 2}, "step() raised OSError: the simulator"),
        (NUMBERS, {"step": StopIteration(), "at": 2}, "step() raised StopIteration"),
        (NUMBERS, {"step": AssertionError(), "at": 2}, "step() raised AssertionError"),
    ],
)
def test_a_fault_names_environment_row_episode_step_and_value(space, faults, expected):
    made = iter([Stub(space), Stub(space, faults=faults)])
    env = GymnasiumBridge(lambda: next(made), 2)
    env.reset()
    env.step([0, 0])
    told = complaint(env.step, [0, 0])
    assert told.startswith(f"Stub: {expected}")
    assert told.endswith("in environment 1, episode 0, step 2")


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        (
            {"reset": RuntimeError("no licence")},
            "reset() raised RuntimeError: no licence in environment 0, episode 0, step 0",
        ),
        ({"reset result": np.zeros(2)}, "reset() must return (observation, info); got array([0., 0.])"),
        ({"observation 0": NAN}, "observation must be finite; got nan at (1,) in environment 0, episode 0, step 0"),
        (
            {"step result": (np.zeros(2), 1.0, False, {})},
            "step() must return (observation, reward, terminated, truncated,",
        ),
        (
            {"step result": (np.zeros(2), 1.0, [1, 2], np.zeros(2), {})},
            "terminated and truncated must be true or false",
        ),
    ],
)
def test_an_environment_of_another_interface_is_named(faults, expected):
    def start():
        env = bridged(**faults)
        env.reset()
        env.step([0, 0])

    assert f"Stub: {expected}" in complaint(start)


def test_the_second_episode_is_told_as_such():
    env = bridged(num_envs=1)
    env.reset()
    for _ in range(7):
        env.step([0])
    env.envs[0].faults["reward 3"] = np.nan
    assert complaint(env.step, [0]).endswith("got nan in environment 0, episode 1, step 3")


def test_pictures_need_a_renderer():
    env = bridged()
    env.reset()
    assert complaint(env.frames) == ("Stub: pictures need render_mode='rgb_array'; the environment was made with None")
    for one in env.envs:
        one.render_mode = "rgb_array"
    assert complaint(env.frames) == "Stub: render() raised RuntimeError: no in environment 0, episode 0, step 0"


def test_values_of_other_kinds_that_fit_are_taken():
    space = spaces.Dict({"image": PIXELS, "number": spaces.Discrete(4), "pair": NUMBERS})
    odd = {"image": np.full(PIXELS.shape, 7, np.int64), "number": np.array(3.0), "pair": [1, 0]}
    env = bridged(space, num_envs=1, **{"observation 0": odd})
    seen = env.reset()
    assert seen["image"].unique().tolist() == [7]
    assert seen["number"].tolist() == [3]
    assert seen["pair"].tolist() == [[1.0, 0.0]]


@pytest.mark.fresh_seeds
def test_an_unseeded_bridge_tells_a_seed_that_plays_its_episodes_again():
    first, second = (GymnasiumBridge("CartPole-v1", 2) for _ in range(2))
    assert not torch.equal(first.reset(), second.reset())
    assert torch.equal(GymnasiumBridge("CartPole-v1", 2, seed=first.seed).reset(), first.reset(first.seed))


def test_a_default_of_double_changes_no_observation():
    torch.set_default_dtype(torch.float64)
    try:
        env = bridged(spaces.Dict({"a": NUMBERS, "b": PIXELS}), spaces.Box(-1, 1, (1,)))
        env.reset()
        step = env.step(torch.zeros(2, 1))
        assert [part.dtype for part in leaves(step.observation)] == [torch.float32, torch.uint8]
        assert step.reward.dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_wrapper_that_changes_the_image_is_seen_by_the_agent():
    env = TransformObservation(Stub(PIXELS), lambda image: image[:17, :, :1], spaces.Box(0, 255, (17, 16, 1), np.uint8))
    assert GymnasiumBridge(env, 2).observation_space.shape == (1, 17, 16)
