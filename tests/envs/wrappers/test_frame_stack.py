"""Stacked frames, against Gymnasium's own wrapper, over the ends of episodes, in every way of running."""

import gymnasium
import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch
from gymnasium.wrappers import FrameStackObservation

from palaestra import envs
from palaestra.envs import GymnasiumBridge
from palaestra.envs.core.tree import leaves
from palaestra.envs.wrappers.frames import Frames
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios import catalogue
from palaestra.scenarios.environments import make_environment, score
from palaestra.tests.agents.core.test_resume import check_resume

SMALL = {"hidden": (8,), "rollout_steps": 4, "minibatches": 2, "epochs": 1}
IDS = {
    "palaestra/Descent-v0": {},  # vectors
    "palaestra/Denoise-v0": {},  # pictures
    "palaestra/Glimpse-v0": {},  # a Dict
    "palaestra/RepeatPrevious-v0": {"length": 5},  # symbols
}


def joined(space, value):
    """What Gymnasium stacks along a new axis, along the first one."""
    if isinstance(value, dict):
        return {name: joined(space[name], part) for name, part in value.items()}
    value = np.asarray(value)
    return value.reshape(-1, *value.shape[2:])


def same(ours, theirs):
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(same(ours[name], theirs[name]) for name in ours)
    return np.array_equal(ours, theirs)


@pytest.mark.parametrize("id", IDS)
def test_frames_are_those_of_gymnasiums_wrapper_over_the_ends_of_episodes(id):
    options = IDS[id]
    ours = gymnasium.make(id, frame_stack=3, **options)
    theirs = FrameStackObservation(gymnasium.make(id, **options), 3, padding_type="reset")
    theirs.action_space.seed(0)
    for seed in range(2):
        seen, expected = ours.reset(seed=seed)[0], theirs.reset(seed=seed)[0]
        ended, steps = False, 0
        while True:
            assert seen in ours.observation_space
            assert same(seen, joined(theirs.observation_space, expected))
            if ended or steps == 12:
                break
            action, steps = theirs.action_space.sample(), steps + 1
            (seen, *told), (expected, *other) = ours.step(action), theirs.step(action)
            assert told[:3] == other[:3]
            ended = told[1] or told[2]


def test_a_batch_begins_anew_where_an_episode_ends():
    env = envs.make_batched("palaestra/RepeatPrevious-v0", 3, seed=4, frame_stack=3, length=5)
    plain = envs.make_batched("palaestra/RepeatPrevious-v0", 3, seed=4, length=5)
    assert env.observation_space == spaces.MultiDiscrete([int(plain.observation_space.n)] * 3)
    env.reset()
    plain.reset()
    shown = []
    for _ in range(12):
        shown = [*shown, plain.observation] if not bool(plain.episode_start[0]) else [plain.observation] * 3
        assert torch.equal(env.observation, torch.stack(shown[-3:], 1))
        step, other = env.step(torch.zeros(3, dtype=torch.int64)), plain.step(torch.zeros(3, dtype=torch.int64))
        assert torch.equal(step.final_observation[:, -1], other.final_observation)
        assert torch.equal(step.final_observation[:, :2], torch.stack(shown[-2:], 1))  # the episode's own


def test_a_mask_of_actions_is_not_stacked_and_spaces_that_cannot_be_are_refused():
    box = spaces.Box(np.zeros((1, 2, 2), np.uint8), np.full((1, 2, 2), 9, np.uint8), dtype=np.uint8)
    mask = spaces.MultiBinary(3)
    frames = Frames(spaces.Dict({"action_mask": mask, "picture": box, "n": spaces.Discrete(4, start=2)}), 2, "x")
    wanted = {"action_mask": mask, "picture": spaces.Box(0, 9, (2, 2, 2), np.uint8)}
    assert frames.space == spaces.Dict(wanted | {"n": spaces.MultiDiscrete([4, 4], start=[2, 2])})
    one = {"action_mask": torch.ones(5, 3), "picture": torch.zeros(5, 1, 2, 2), "n": torch.full((5,), 3)}
    two = {"action_mask": torch.zeros(5, 3), "picture": torch.ones(5, 1, 2, 2), "n": torch.full((5,), 2)}
    after = frames.followed(frames.begun(one), two)
    assert torch.equal(after["action_mask"], two["action_mask"])
    assert after["picture"].flatten(2).mean(-1).tolist() == [[0.0, 1.0]] * 5
    assert after["n"].tolist() == [[3, 2]] * 5
    assert all(torch.equal(part, two[name]) for name, part in frames.newest(after).items())
    with pytest.raises(InvalidInput, match="frame_stack must be 1 for observations of Text"):
        Frames(spaces.Text(3), 2, "x")
    with pytest.raises(InvalidInput, match=r"Copy: frame_stack must be .* from 1 to 64.*; got 0"):
        envs.make_task("palaestra/Copy-v0", frame_stack=0)


@pytest.mark.parametrize("id", ["CartPole-v1", "Blackjack-v1"])  # a Box, a Tuple of Discrete
def test_a_bridge_stacks_alike_and_goes_on_where_it_was_saved(id):
    env, plain = (GymnasiumBridge(id, 2, seed=1, **more) for more in ({"frame_stack": 3}, {}))
    env.reset()
    plain.reset()
    shown = [[], []]  # of each row its episode's observations
    for time in range(30):
        for row in range(2):
            now = [part[row].reshape(-1) for part in leaves(plain.observation)]
            shown[row] = [now] * 3 if bool(plain.episode_start[row]) else [*shown[row], now]
            wanted = [torch.cat(parts) for parts in zip(*shown[row][-3:], strict=True)]
            assert all(map(torch.equal, [part[row] for part in leaves(env.observation)], wanted))
        if time in (0, 1, 17):
            other = GymnasiumBridge(id, 2, seed=9, frame_stack=3)
            other.load_state_dict(env.state_dict())
            assert all(map(torch.equal, leaves(other.observation), leaves(env.observation)))
        action = torch.tensor([time % 2, (time // 2) % 2])
        env.step(action)
        plain.step(action)


def test_the_score_and_the_views_are_the_tasks_own():
    scenario = catalogue.get("repeat-previous").with_options({"frame_stack": 5})
    assert score(scenario, 0.5) == score(catalogue.get("repeat-previous"), 0.5)
    stacked, plain = (make_environment(scenario if k else catalogue.get("repeat-previous"), 1, seed=3) for k in (1, 0))
    for env in (stacked, plain):
        env.reset()
        env.step(env.expert_action())
    for spectator in (True, False):
        assert np.array_equal(stacked.frames(spectator)[0], plain.frames(spectator)[0])


def test_agents_learn_from_frames_and_go_on_exactly():
    check_resume("ppo", lambda: envs.make_batched("palaestra/Descent-v0", 4, seed=2, frame_stack=2), 64, **SMALL)
