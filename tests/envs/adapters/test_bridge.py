"""Foreign Gymnasium environments as a batch."""

from __future__ import annotations

import io

import gymnasium
import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch

from palaestra.envs import GymnasiumBridge, NoExpert
from palaestra.neural_blocks.errors import InvalidInput


def episode_seed(seed, row, episode):
    """The documented seeding: a hash of (seed + row, episode)."""
    return int(np.random.SeedSequence([(seed + row) % 2**64, episode]).generate_state(1)[0])


class Signpost(gymnasium.Env):
    """A Dict of an image, a place from 1 and a double; ends by chance or, both terminated and truncated, at step 6."""

    observation_space = spaces.Dict(
        {
            "image": spaces.Box(0, 255, (1, 2, 2), np.uint8),
            "place": spaces.Discrete(3, start=1),
            "height": spaces.Box(-np.inf, np.inf, (1,), np.float64),
        }
    )
    action_space = spaces.Discrete(2, start=5)

    def observation(self):
        image = self.np_random.integers(0, 256, (1, 2, 2), dtype=np.uint8)
        return {"image": image, "place": self.np_random.integers(1, 4), "height": self.np_random.normal(size=1)}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return self.observation(), {}

    def step(self, action):
        self.count += 1
        ended, late = bool(self.np_random.random() < 0.1), self.count == 6
        return self.observation(), float(action), ended or late, late, {}


@pytest.fixture
def signpost():
    gymnasium.register("test/Signpost-v0", entry_point=Signpost)
    yield "test/Signpost-v0"
    del gymnasium.registry["test/Signpost-v0"]


def actions_of(env, steps, seed=0):
    space = gymnasium.vector.utils.batch_space(env.action_space, env.num_envs)
    space.seed(seed)
    return [torch.as_tensor(space.sample()) for _ in range(steps)]


def parts(observation):
    return observation if isinstance(observation, dict) else {"": observation}


@pytest.mark.parametrize("id", ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1", "test/Signpost-v0"])
def test_a_row_plays_what_a_single_environment_with_the_documented_seeds_plays(id, signpost):
    bridge, seed = GymnasiumBridge(id, 3, seed=40), 40
    singles = [gymnasium.make(id) for _ in range(3)]
    observation = bridge.reset()
    expected = [env.reset(seed=episode_seed(seed, row, 0))[0] for row, env in enumerate(singles)]
    episodes, ends = [0] * 3, 0

    def check(batch, rows):
        for name, tensor in parts(batch).items():
            space = bridge.observation_space[name] if name else bridge.observation_space
            for row, single in enumerate(rows):
                value = parts(single)[name]
                np.testing.assert_equal(tensor[row].numpy(), np.asarray(value).astype(tensor.numpy().dtype))
                assert space.contains(tensor[row].numpy()[()])

    check(observation, expected)
    for action in actions_of(bridge, 250 if id == "Pendulum-v1" else 60):
        step = bridge.step(action)
        final = []
        for row, env in enumerate(singles):
            seen, reward, terminated, truncated, _ = env.step(
                action[row].numpy() if action.dim() > 1 else int(action[row])
            )
            assert float(step.reward[row]) == np.float32(reward)
            assert bool(step.terminated[row]) == terminated
            assert bool(step.truncated[row]) == (truncated and not terminated)
            final.append(seen)
            if terminated or truncated:
                ends += 1
                episodes[row] += 1
                seen = env.reset(seed=episode_seed(seed, row, episodes[row]))[0]
            expected[row] = seen
        check(step.observation, expected)
        check(step.final_observation, final)
        assert torch.equal(bridge.episode_start, step.done)
    assert ends >= 3


@pytest.mark.parametrize(
    ("id", "dtype"), [("CartPole-v1", torch.float32), ("Pendulum-v1", torch.float32), ("FrozenLake-v1", torch.int64)]
)
def test_observations_are_tensors(id, dtype):
    bridge = GymnasiumBridge(id, 2)
    observation = bridge.reset()
    assert observation.dtype == dtype
    assert observation.shape == (2, *bridge.observation_space.shape)
    step = bridge.step(actions_of(bridge, 1)[0])
    assert step.reward.dtype == torch.float32
    assert step.terminated.dtype == step.truncated.dtype == torch.bool


def test_a_dict_keeps_its_entries_and_dtypes(signpost):
    bridge = GymnasiumBridge(signpost, 4)
    observation = bridge.reset()
    assert {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in observation.items()} == {
        "image": (torch.uint8, (4, 1, 2, 2)),
        "place": (torch.int64, (4,)),
        "height": (torch.float32, (4, 1)),
    }
    assert bridge.observation_space["place"] == spaces.Discrete(3, start=1)  # numbers stay the environment's own
    assert bridge.observation_space["height"].dtype == np.float32
    assert bridge.action_space == spaces.Discrete(2, start=5)
    assert bridge.step([5, 6, 5, 6]).reward.tolist() == [5, 6, 5, 6]


def test_termination_wins_over_truncation(signpost):
    bridge = GymnasiumBridge(signpost, 8)
    bridge.reset()
    for _ in range(6):
        step = bridge.step([5] * 8)
        assert not bool((step.terminated & step.truncated).any())


@pytest.mark.parametrize("id", ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1"])
def test_a_saved_batch_continues_exactly(id):
    env, other = GymnasiumBridge(id, 3, seed=1), GymnasiumBridge(id, 3, seed=99)
    env.reset()
    actions = actions_of(env, 60)
    for action in actions[:30]:
        env.step(action.clone())
        action.fill_(env.action_space.start if id != "Pendulum-v1" else 0)  # the caller may use its tensor again
    file = io.BytesIO()
    torch.save(env.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(env.observation, other.observation)
    assert torch.equal(env.episode_start, other.episode_start)
    for action in actions[30:]:
        a, b = env.step(action), other.step(action)
        assert torch.equal(a.observation, b.observation)
        assert torch.equal(a.reward, b.reward)
        assert torch.equal(a.done, b.done)
    assert torch.equal(env.reset(), other.reset())


def test_the_history_is_not_the_caller_s_memory():
    env, other = GymnasiumBridge("Pendulum-v1", 2), GymnasiumBridge("Pendulum-v1", 2)
    env.reset()
    action = torch.ones(2, 1)
    for _ in range(5):
        env.step(action.fill_(1.0))
        action.fill_(-1.0)
    other.load_state_dict(env.state_dict())
    assert torch.equal(env.observation, other.observation)


def test_a_saved_batch_of_another_size_is_refused():
    env = GymnasiumBridge("CartPole-v1", 3)
    env.reset()
    with pytest.raises(InvalidInput, match="must have 2 environments; got 3"):
        GymnasiumBridge("CartPole-v1", 2).load_state_dict(env.state_dict())


def test_reset_goes_on_to_the_next_episode_and_a_seed_starts_over():
    env = GymnasiumBridge("CartPole-v1", 2, seed=7)
    assert not env.started
    first, second = env.reset(), env.reset()
    assert env.started
    assert not torch.equal(first, second)
    assert torch.equal(env.reset(7), first)
    assert torch.equal(env.reset(), second)
    assert torch.equal(env.reset(8)[0], first[1])


def test_options_reach_the_environment():
    env = GymnasiumBridge("FrozenLake-v1", 1, map_name="8x8")
    assert env.observation_space == spaces.Discrete(64)
    env.close()


def test_there_is_no_expert():
    env = GymnasiumBridge("CartPole-v1", 1)
    env.reset()
    with pytest.raises(NoExpert, match="CartPole-v1 has no expert"):
        env.expert_action()
