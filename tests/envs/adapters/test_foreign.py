"""What strangers' environments may have and do: every kind of space, instances and factories, and every fault."""

from __future__ import annotations

import copy
from itertools import product

import gymnasium
import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch
from gymnasium.envs.classic_control import CartPoleEnv
from gymnasium.wrappers import FrameStackObservation, TransformObservation, TransformReward
from scipy import stats

from palaestra import agents
from palaestra.envs import GymnasiumBridge
from palaestra.envs.adapters.foreign_spaces import boxed
from palaestra.envs.core.actions import random_action
from palaestra.envs.core.tree import leaves
from palaestra.neural_blocks.errors import InvalidInput

PIXELS = spaces.Box(0, 255, (18, 16, 3), np.uint8)
NUMBERS = spaces.Box(-1, 1, (2,), np.float32)


class Stub(gymnasium.Env):
    """Shows random observations of any space, takes any action, keeps what it was given, and ends after five steps."""

    def __init__(self, observation_space=NUMBERS, action_space=spaces.Discrete(2), faults=None):  # noqa: B008
        self.observation_space, self.action_space = copy.deepcopy(observation_space), copy.deepcopy(action_space)
        self.faults = faults or {}
        self.given, self.shown, self.count = [], [], 0

    def _show(self):
        self.shown.append(self.faults.get(f"observation {self.count}", self.observation_space.sample()))
        return self.shown[-1]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self.count = 0
        if "reset" in self.faults:
            raise self.faults["reset"]
        return self.faults.get("reset result", (self._show(), {}))

    def step(self, action):
        assert self.action_space.contains(action), f"{action!r} is not in {self.action_space}"
        self.given.append(action)
        self.count += 1
        if self.faults.get("at") == self.count:
            raise self.faults["step"]
        reward = self.faults.get(f"reward {self.count}", 1.0)
        return self.faults.get("step result", (self._show(), reward, False, self.count == 5, {}))

    def render(self):
        raise RuntimeError("no\nscreen")


def bridged(observation_space=NUMBERS, action_space=spaces.Discrete(2), num_envs=2, **faults):  # noqa: B008
    return GymnasiumBridge(
        Stub, num_envs, observation_space=observation_space, action_space=action_space, faults=faults
    )


def complaint(call, *args, **kwargs):
    with pytest.raises(InvalidInput) as caught:
        call(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


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
