"""Every wrapper of Gymnasium on what `make` and `make_vec` give: it does what it does elsewhere, or says why not."""

from __future__ import annotations

import gymnasium
import gymnasium.wrappers as single
import gymnasium.wrappers.vector as vector
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode

from palaestra.neural_blocks.errors import InvalidInput

DIGITS, ARMS, REPEAT, POINT, NEURON = (
    f"palaestra/{name}-v0" for name in ("DigitBandit", "BernoulliBandit", "RepeatPrevious", "PointGoal", "LIFNeuron")
)
COLOUR = "palaestra/Glimpse-v0"  # (3, 8, 8)
NOT_HERE = {  # what no environment of this suite can have, or a library that it does not install
    "AtariPreprocessing", "JaxToNumpy", "JaxToTorch", "vector", "ArrayConversion", "NumpyToTorch", "RecordVideo",
    "ResizeObservation", "GrayscaleObservation", "DiscretizeObservation", "ObstructView",
}  # fmt: skip
SINGLE = {
    "AddRenderObservation": (DIGITS, lambda env: single.AddRenderObservation(env, render_only=True)),
    "AddWhiteNoise": (DIGITS, lambda env: single.AddWhiteNoise(env, 0.1)),
    "Autoreset": (REPEAT, single.Autoreset),
    "ClipAction": (NEURON, single.ClipAction),
    "ClipReward": (REPEAT, lambda env: single.ClipReward(env, 0, 1)),
    "DelayObservation": (DIGITS, lambda env: single.DelayObservation(env, 2)),
    "DiscretizeAction": (NEURON, lambda env: single.DiscretizeAction(env, 5)),
    "DtypeObservation": (DIGITS, lambda env: single.DtypeObservation(env, np.float32)),
    "FilterObservation": (ARMS, lambda env: single.FilterObservation(env, ["previous_reward"])),
    "FlattenObservation": (ARMS, single.FlattenObservation),
    "FrameStackObservation": (DIGITS, lambda env: single.FrameStackObservation(env, 3)),
    "HumanRendering": (DIGITS, single.HumanRendering),
    "MaxAndSkipObservation": (DIGITS, lambda env: single.MaxAndSkipObservation(env, 2)),
    "NormalizeObservation": (NEURON, single.NormalizeObservation),
    "NormalizeReward": (REPEAT, single.NormalizeReward),
    "OrderEnforcing": (REPEAT, single.OrderEnforcing),
    "PassiveEnvChecker": (ARMS, single.PassiveEnvChecker),
    "RecordEpisodeStatistics": (REPEAT, single.RecordEpisodeStatistics),
    "RenderCollection": (DIGITS, single.RenderCollection),
    "RepeatAction": (REPEAT, lambda env: single.RepeatAction(env, 2)),
    "RescaleAction": (NEURON, lambda env: single.RescaleAction(env, np.float32(-1), np.float32(1))),
    "RescaleObservation": (DIGITS, lambda env: single.RescaleObservation(env, 0, 9)),
    "ReshapeObservation": (DIGITS, lambda env: single.ReshapeObservation(env, (8, 8))),
    "StickyAction": (REPEAT, lambda env: single.StickyAction(env, 0.3)),
    "TimeAwareObservation": (POINT, lambda env: single.TimeAwareObservation(single.TimeLimit(env, 50))),
    "TimeLimit": (REPEAT, lambda env: single.TimeLimit(env, 5)),
    "TransformAction": (NEURON, lambda env: single.TransformAction(env, lambda action: action, None)),
    "TransformObservation": (DIGITS, lambda env: single.TransformObservation(env, lambda image: image, None)),
    "TransformReward": (REPEAT, lambda env: single.TransformReward(env, lambda reward: 2 * reward)),
}
VECTOR = {
    "ClipAction": (NEURON, vector.ClipAction),
    "ClipReward": (REPEAT, lambda env: vector.ClipReward(env, 0, 1)),
    "DictInfoToList": (REPEAT, vector.DictInfoToList),
    "DtypeObservation": (DIGITS, lambda env: vector.DtypeObservation(env, np.float32)),
    "FilterObservation": (ARMS, lambda env: vector.FilterObservation(env, ["previous_reward"])),
    "FlattenObservation": (DIGITS, vector.FlattenObservation),
    "NormalizeObservation": (NEURON, vector.NormalizeObservation),
    "NormalizeReward": (REPEAT, vector.NormalizeReward),
    "RecordEpisodeStatistics": (REPEAT, vector.RecordEpisodeStatistics),
    "RescaleAction": (NEURON, lambda env: vector.RescaleAction(env, np.float32(-1), np.float32(1))),
    "RescaleObservation": (DIGITS, lambda env: vector.RescaleObservation(env, 0.0, 1.0)),
    "ReshapeObservation": (DIGITS, lambda env: vector.ReshapeObservation(env, (8, 8))),
    "TransformAction": (NEURON, lambda env: vector.TransformAction(env, lambda action: action)),
    "TransformObservation": (DIGITS, lambda env: vector.TransformObservation(env, lambda image: image)),
    "TransformReward": (REPEAT, lambda env: vector.TransformReward(env, lambda reward: 2 * reward)),
    "VectorizeTransformAction": (
        NEURON,
        lambda env: vector.VectorizeTransformAction(
            env, single.RescaleAction, min_action=np.float32(-1), max_action=np.float32(1)
        ),
    ),
    "VectorizeTransformObservation": (
        COLOUR,
        lambda env: vector.VectorizeTransformObservation(env, single.FlattenObservation),
    ),
    "VectorizeTransformReward": (
        REPEAT,
        lambda env: vector.VectorizeTransformReward(env, single.TransformReward, func=lambda reward: reward + 1),
    ),
}


def test_every_wrapper_that_can_be_tried_is():
    assert set(SINGLE) == set(single.__all__) - NOT_HERE
    assert set(VECTOR) == set(vector.__all__) - NOT_HERE - {"HumanRendering"}  # whose vector form needs OpenCV


def assert_alike(first, second):
    if isinstance(first, dict):
        assert first.keys() == second.keys()
        for name in first:
            if name not in ("t", "_t"):  # seconds
                assert_alike(first[name], second[name])
    elif isinstance(first, list | tuple):
        for one, other in zip(first, second, strict=True):
            assert_alike(one, other)
    else:
        np.testing.assert_allclose(np.asarray(first, float), np.asarray(second, float), rtol=1e-6)


@pytest.mark.parametrize("name", SINGLE)
def test_a_wrapped_environment_keeps_the_interface(name):
    id, wrap = SINGLE[name]
    env = wrap(gymnasium.make(id, render_mode="rgb_array"))
    observation, _ = env.reset(seed=1)
    env.action_space.seed(0)
    for _ in range(12):
        assert env.observation_space.contains(observation)
        observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        assert np.isfinite(float(reward))
        if (terminated or truncated) and name != "Autoreset":
            observation, _ = env.reset()
    env.render()
    env.close()


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
@pytest.mark.parametrize("name", VECTOR)
def test_a_wrapper_gives_on_one_batch_what_it_gives_on_gymnasium_s_own_vector(name, mode):
    """Or refuses both: wrappers of observations do not serve SAME_STEP."""
    id, wrap = VECTOR[name]
    ours = gymnasium.make_vec(id, 3, autoreset_mode=mode)
    kind = {"autoreset_mode": AutoresetMode(mode)}
    theirs = gymnasium.make_vec(id, 3, vectorization_mode="sync", vector_kwargs=kind)
    try:
        theirs = wrap(theirs)
    except ValueError as error:
        with pytest.raises(ValueError, match=str(error)[:40]):
            wrap(ours)
        return
    ours = wrap(ours)
    assert_alike(ours.reset(seed=1), theirs.reset(seed=1))
    theirs.action_space.seed(0)
    for _ in range(60 if id == REPEAT else 12):
        action = theirs.action_space.sample()
        mine, other = ours.step(action), theirs.step(action)
        assert_alike(mine[:4], other[:4])
        if name == "RecordEpisodeStatistics":
            assert_alike(mine[4].get("episode", {}), other[4].get("episode", {}))
    ours.close()


@pytest.mark.parametrize("name", VECTOR)
def test_a_wrapper_on_tensors_computes_or_says_where_it_belongs(name):
    id, wrap = VECTOR[name]
    env = wrap(gymnasium.make_vec(id, 3, array="torch"))
    if name in ("TransformAction", "TransformObservation", "TransformReward"):
        env.reset(seed=1)
        observation, reward, *_ = env.step(torch.as_tensor(env.action_space.sample()))
        assert isinstance(observation, torch.Tensor)
        assert isinstance(reward, torch.Tensor)
    else:
        with pytest.raises(InvalidInput, match=rf"{name} computes in NumPy; .*NumpyToTorch around {name}$"):
            env.reset(seed=1)
    env.close()


def test_the_way_that_is_named_for_tensors_works():
    from gymnasium.wrappers.vector import numpy_to_torch as conversion

    plain = vector.RecordEpisodeStatistics(gymnasium.make_vec(REPEAT, 3))
    env = conversion.NumpyToTorch(vector.RecordEpisodeStatistics(gymnasium.make_vec(REPEAT, 3)))
    assert torch.equal(env.reset(seed=1)[0], torch.as_tensor(plain.reset(seed=1)[0]))
    for _ in range(54):
        step, expected = env.step(torch.zeros(3, dtype=torch.int64)), plain.step(np.zeros(3, int))
        assert step[2].dtype == step[3].dtype == torch.bool
        np.testing.assert_equal(step[3].numpy(), expected[3])
        assert ("episode" in step[4]) == ("episode" in expected[4])


def test_a_conversion_of_final_observations_names_the_way(monkeypatch):
    class NumpyToTorch(gymnasium.vector.VectorWrapper):
        """Stands for Gymnasium's, which needs a library of its own."""

    NumpyToTorch.__module__ = "gymnasium.wrappers.vector.numpy_to_torch"
    env = NumpyToTorch(gymnasium.make_vec(ARMS, 2, autoreset_mode="SameStep"))
    with pytest.raises(InvalidInput, match=r"cannot convert final_obs.*; with SAME_STEP take array='torch' instead"):
        env.reset()
    NumpyToTorch(gymnasium.make_vec(ARMS, 2)).reset()


def test_a_wrapper_of_the_user_s_own_may_take_tensors():
    class Doubled(gymnasium.vector.VectorObservationWrapper):
        def __init__(self, env):
            super().__init__(env)
            self.single_observation_space = Box(0, 510, (1, 8, 8), np.int64)

        def observations(self, images):
            return 2 * images.long()

    env, plain = (gymnasium.make_vec(DIGITS, 3, array="torch") for _ in range(2))
    assert torch.equal(Doubled(env).reset(seed=1)[0], 2 * plain.reset(seed=1)[0].long())
