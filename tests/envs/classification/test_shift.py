"""Shift: what each world does to images against NumPy, when worlds change, and what names are right."""

import numpy as np
import pytest
import torch

from palaestra.envs import BatchedEnv, make_task
from palaestra.envs.classification.sources.changes import NOISE, changed, permutations
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/Shift-v0"
IMAGES = torch.randint(0, 256, (4, 1, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
WORLDS = torch.arange(4)


def shown(change, speck=None):
    speck = torch.zeros(4, 0) if speck is None else speck
    return changed(change, IMAGES, WORLDS, speck, permutations(64)).numpy()


def test_each_world_changes_images_as_it_says():
    plain = IMAGES.numpy()
    for world in range(4):
        assert (shown("rotation")[world, 0] == np.rot90(plain[world, 0], world)).all()
        wide = plain[world].astype(np.int64)
        assert (shown("brightness")[world] == np.clip(wide + (0, 64, 128, -64)[world], 0, 255)).all()
        contrast = np.floor((wide - 128) * (1, 0.5, 0.25, -1)[world]) + 128
        assert (shown("contrast")[world] == np.clip(contrast, 0, 255)).all()
        assert (np.sort(shown("pixels")[world].ravel()) == np.sort(plain[world].ravel())).all()
        assert (shown("pixels")[world] == plain[world]).all() == (world == 0)
    for change in ("names", "none"):
        assert (shown(change) == plain).all()


def test_noise_replaces_its_share_of_pixels_by_uniform_greys():
    speck = torch.rand(4, 64, generator=torch.Generator().manual_seed(1))
    seen = shown("noise", speck)
    for world, sixths in enumerate(NOISE):
        replaced = (speck[world] < sixths / 6).numpy().reshape(1, 8, 8)
        assert (seen[world][~replaced] == IMAGES.numpy()[world][~replaced]).all()
        if world:
            grey = np.floor(speck[world].numpy().reshape(1, 8, 8) * 6 / sixths * 256)
            assert np.abs(seen[world][replaced] - grey[replaced]).max() <= 1  # float32 against float64


def test_names_move_on_and_images_stay():
    task = make_task(ID)
    state = task.reset(torch.tensor([[0.3, world / 3 + 0.1] for world in range(3)]))
    label = int(task.labels[state.row[0]])
    assert task.expert(state).tolist() == [label, (label + 1) % 10, (label + 2) % 10]
    assert (task.observe(state)["image"] == task.images[state.row[0]]).all()


def test_worlds_change_once_in_a_period_to_another_one():
    task = make_task(ID, period=5, worlds=4)
    noise = torch.rand(40_000, task.reset_noise, generator=torch.Generator().manual_seed(2))
    state = task.reset(noise)
    moved = task.step(state, torch.zeros_like(state.row), torch.rand(40_000, 3)).state
    change = (moved.world - state.world) % 4
    share = torch.bincount(change, minlength=4) / len(change)
    torch.testing.assert_close(share, torch.tensor([0.8, 0.2 / 3, 0.2 / 3, 0.2 / 3]), atol=0.01, rtol=0)


def test_without_a_change_the_world_is_the_usual_one():
    task = make_task(ID, change="none", period=1)
    state = task.reset(torch.rand(50, task.reset_noise))
    for _ in range(5):
        assert not state.world.any()
        state = task.step(state, state.row % 10, torch.rand(50, task.step_noise)).state


def test_the_last_answer_and_whether_it_was_right_are_seen():
    env = BatchedEnv(make_task(ID, length=4), 1, seed=3)
    first = env.reset()
    assert (int(first["answer"]), int(first["verdict"])) == (10, 2)
    right = env.task.expert(env.state)
    step = env.step(right)
    assert (int(step.observation["answer"]), int(step.observation["verdict"])) == (int(right), 1)
    assert step.reward.item() == 0.25
    wrong = (env.task.expert(env.state) + 1) % 10
    step = env.step(wrong)
    assert (int(step.observation["answer"]), int(step.observation["verdict"])) == (int(wrong), 0)
    assert step.reward.item() == 0
    assert torch.isnan(step.metrics["settled"]).all()
    assert env.step(env.task.expert(env.state)).metrics["settled"].item() == 1


@pytest.mark.parametrize("options", [{"change": "colour"}, {"worlds": 5}, {"period": 0}, {"length": 0}, {"split": "x"}])
def test_what_is_not_allowed_is_refused(options):
    (name,) = options
    with pytest.raises(InvalidInput, match=f"Shift: {name} must be"):
        make_task(ID, **options)
