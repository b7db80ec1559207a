"""Localize: an episode by hand, the region against a plain loop, what the expert needs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

from palaestra.envs import BatchedEnv, make_task
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/Localize-v0"


def begun(batch=64, **options):
    env = BatchedEnv(make_task(ID, **options), batch, seed=0)
    env.reset()
    return env


def acting(batch, right=0.0, down=0.0, wider=0.0, taller=0.0, submit=False, kind=0, classes=4):
    action = torch.full((batch, 5 + classes), -1.0)
    action[:, :4] = torch.tensor([right, down, wider, taller])
    action[:, 4] = 1.0 if submit else -1.0
    action[:, 5 + kind] = 1.0
    return action


def overlap(box, target):
    """Of pixels that are counted one by one."""
    row, column = np.mgrid[:16, :16]
    one, two = (
        (column >= x) & (column < x + w) & (row >= y) & (row < y + h) for x, y, w, h in (box.tolist(), target.tolist())
    )
    return (one & two).sum() / (one | two).sum()


def test_the_box_moves_by_rounded_pixels_and_stays_in_the_picture():
    env = begun(1)
    boxes = []
    ways = [(0.25, -1, 0, 0), (0.37, 0, 0.3, -0.5), (1, 1, 1, 1), (1, 1, 1, 1), (0, 0, -1, -1), (0, 0, -1, -1)]
    for way in [*ways, (-1, -1, 0, 0)]:
        env.step(acting(1, *way))
        boxes.append(env.state.box[0].tolist())
    wanted = [[5, 0, 8, 8], [6, 0, 9, 6], [10, 4, 6, 10], [14, 8, 2, 8], [14, 8, 1, 4], [14, 8, 1, 1], [10, 4, 1, 1]]
    assert boxes == wanted


def test_gains_and_the_submission_are_rewarded_as_the_docstring_says():
    env = begun(64)
    state = env.state
    target, label = state.target, state.label
    before = [overlap(torch.tensor([4, 4, 8, 8]), one) for one in target]
    first = env.step(acting(64, 0.5, 0.5))
    after = [overlap(torch.tensor([6, 6, 8, 8]), one) for one in target]
    np.testing.assert_allclose(first.reward.numpy(), np.subtract(after, before), atol=1e-6)
    assert all(value.isnan().all() for value in first.metrics.values())
    last = env.step(acting(64, submit=True, kind=2))
    right = label == 2
    assert 5 < right.sum() < 30
    np.testing.assert_allclose(last.reward.numpy(), np.multiply(after, right.numpy()), atol=1e-6)
    np.testing.assert_allclose(last.metrics["iou"].numpy(), after, atol=1e-6)
    assert torch.equal(last.metrics["accuracy"], right.float())
    assert last.terminated.all()


def test_the_last_step_submits_by_itself():
    env = begun(3, steps=2)
    assert not env.step(acting(3)).terminated.any()
    step = env.step(acting(3))
    assert step.terminated.all()
    assert not step.metrics["iou"].isnan().any()


@pytest.mark.parametrize("options", [{}, {"steps": 1}, {"steps": 2, "side": 24}, {"objects": "digits"}])
def test_the_expert_frames_every_object_in_the_fewest_steps_and_names_it(options):
    env = BatchedEnv(make_task(ID, **options), 256, seed=0, autoreset=AutoresetMode.DISABLED)
    env.reset()
    way = (env.state.target - env.state.box).abs().amax(1)
    fewest = (way / env.task.reach).ceil().clamp(min=1)  # steps, each of which moves every edge as far as it may
    state, ended = env.state, torch.zeros(256)
    nothing = torch.empty(256, 0)
    for time in range(1, int(fewest.max()) + 1):
        step = env.task.step(state, env.task.expert(state), nothing)
        state = step.state
        arrived = fewest == time
        assert torch.equal(step.terminated & (ended == 0), arrived)
        assert (step.metrics["iou"][arrived] == 1).all()
        assert (step.metrics["accuracy"][arrived] == 1).all()
        ended += arrived
    assert (ended == 1).all()
    assert fewest.max() <= env.task.horizon


def test_the_region_is_the_nearest_pixel_of_the_box_and_two_around_it():
    env = begun(8, colour=True)
    env.step(acting(8, 1, -1, -0.5, 0.75))
    env.step(acting(8, 1, -1, 0.25, 0))
    seen = env.observation["region"].numpy()
    for row in range(8):
        picture, (x, y, w, h) = env.state.picture[row].numpy(), env.state.box[row].tolist()
        for i in range(12):
            for j in range(12):
                down = y - 2 + math.floor((i + 0.5) * (h + 4) / 12)
                across = x - 2 + math.floor((j + 0.5) * (w + 4) / 12)
                inside = 0 <= down < 16 and 0 <= across < 16
                assert seen[row, :, i, j].tolist() == (picture[:, down, across].tolist() if inside else [0, 0, 0])
    assert env.observation["box"][0].tolist() == [value / 16 for value in env.state.box[0].tolist()]


def test_the_splits_of_digits_share_no_image():
    tasks = [make_task(ID, objects="digits", split=split) for split in ("train", "validation", "test")]
    assert [task.scenes.forms for task in tasks] == [3 * count for count in (1257, 180, 360)]


def test_keys_are_actions_and_a_class_submits():
    task = make_task(ID)
    choices = {one.key: one for one in task.choices()}
    assert [choices[key].label for key in "0123"] == ["square", "frame", "triangle", "cross"]
    for one in choices.values():
        assert task.action_space.contains(np.array(one.action, np.float32))
    env = begun(4)
    step = env.step(torch.tensor([choices["right"].action] * 4))
    assert env.state.box[:, 0].tolist() == [8] * 4
    step = env.step(torch.tensor([choices["2"].action] * 4))
    assert step.terminated.all()
    assert len(task.entries()) == task.action_space.shape[0]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"objects": "shape"}, "Localize: objects must be one of 'shapes', 'digits'; got 'shape'"),
        ({"split": "tset"}, "Localize: split must be one of"),
        ({"side": 20}, "Localize: side must be 16 or 24; got 20"),
        ({"colour": 1}, "Localize: colour must be True or False; got 1"),
        ({"clutter": 0}, "Localize: clutter must be a whole number from 1 to 32; got 0"),
    ],
)
def test_a_wrong_option_is_named(options, told):
    with pytest.raises(InvalidInput, match=told):
        make_task(ID, **options)
