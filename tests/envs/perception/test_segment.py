"""Segment: what each pixel is by a plain loop, and rewards against scikit-learn and torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score
from torchmetrics.functional.detection import panoptic_quality

from palaestra.envs import make_task
from palaestra.envs.perception.measures import box_iou
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/Segment-v0"


def begun(batch=32, **options):
    task = make_task(ID, **options)
    noise = torch.rand(batch, task.reset_noise, generator=torch.Generator().manual_seed(0))
    return task, noise, task.reset(noise)


def spoiled(truth, share=0.1, seed=1):
    """Truth with some pixels drawn anew."""
    generator = torch.Generator().manual_seed(seed)
    other = torch.randint(5, truth.shape, generator=generator)
    return torch.where(torch.rand(truth.shape, generator=generator) < share, other, truth.long())


@pytest.mark.parametrize("options", [{}, {"side": 24, "colour": True}])
def test_the_reward_is_scikit_learns_mean_overlap(options):
    task, _, state = begun(**options)
    answer = spoiled(state.truth)
    step = task.step(state, answer, torch.empty(32, 0))
    wanted = [
        jaccard_score(true.flatten(), own.flatten(), average="macro")
        for own, true in zip(answer.numpy(), state.truth.numpy(), strict=True)
    ]
    np.testing.assert_allclose(step.reward.numpy(), wanted, atol=1e-6)
    assert torch.equal(step.metrics["iou"], step.reward)
    torch.testing.assert_close(step.metrics["pixels"], (answer == state.truth).flatten(1).float().mean(1))
    assert step.terminated.all()


def test_the_quality_of_instances_is_that_of_torchmetrics_whatever_their_numbers():
    task, _, state = begun(instances=True)
    answer = spoiled(state.truth, 0.25)
    renumbered = torch.tensor([0, 3, 1, 4, 2])[answer]
    step, other = (task.step(state, one, torch.empty(32, 0)) for one in (answer, renumbered))
    for row in range(32):
        pair = [torch.stack([(one[row] > 0).long(), one[row].long()], -1)[None] for one in (answer, state.truth)]
        wanted = panoptic_quality(*pair, things={1}, stuffs={0}, return_per_class=True)[0, 0]
        assert step.reward[row].item() == pytest.approx(wanted.item(), abs=1e-6)
    assert torch.equal(step.reward, other.reward)
    assert 0.1 < step.reward.mean() < 0.95


def test_pixels_belong_to_the_uppermost_object_of_their_grey():
    """A pixel's value is its object's class, and all pixels of an object have one grey that no other object has."""
    task, noise, state = begun(64)
    instances = make_task(ID, instances=True).reset(noise)
    scene = task.scenes(noise)
    assert torch.equal(instances.picture, state.picture)
    for row in range(64):
        greys = set()
        for slot in range(4):
            own = instances.truth[row] == slot + 1
            if own.any():
                assert (state.truth[row][own] == scene.classes[row, slot] + 1).all()
                (grey,) = set(state.picture[row, 0][own].tolist())
                assert grey not in greys
                greys.add(grey)
                down, across = own.nonzero().unbind(1)
                box = torch.tensor([across.min(), down.min(), across.max() + 1, down.max() + 1])
                x, y, wide, high = scene.boxes[row, slot].tolist()
                assert (box >= torch.tensor([x, y, x, y])).all()
                assert (box <= torch.tensor([x + wide, y + high] * 2)).all()
        assert torch.equal(instances.truth[row] == 0, state.truth[row] == 0)


def test_objects_do_cover_each_other_and_none_wholly():
    _, noise, state = begun(4096, instances=True)
    scene = make_task(ID).scenes(noise)
    present = (scene.classes >= 0).sum(1)
    visible = torch.stack([(state.truth == k + 1).flatten(1).any(1) for k in range(4)], 1).sum(1)
    assert (visible == present).float().mean() > 0.999
    overlap = box_iou(scene.boxes[:, :, None], scene.boxes[:, None]).triu(1).amax((1, 2))
    assert 0.2 < (overlap > 0).float().mean() < 0.9


@pytest.mark.parametrize("options", [{}, {"instances": True}])
def test_the_expert_is_right_everywhere(options):
    task, _, state = begun(**options)
    step = task.step(state, task.expert(state), torch.empty(32, 0))
    assert (step.reward == 1).all()
    assert (step.metrics["pixels"] == 1).all()


def test_the_ground_alone_earns_its_share():
    """An answer of ground alone: the ground's overlap is its share of all pixels, each class's is 0."""
    task, _, state = begun()
    step = task.step(state, torch.zeros(32, 16, 16, dtype=torch.int64), torch.empty(32, 0))
    for row in range(32):
        share = (state.truth[row] == 0).float().mean() / len(state.truth[row].unique())
        assert step.reward[row].item() == pytest.approx(share.item(), abs=1e-6)


@pytest.mark.parametrize(
    ("options", "told"), [({"side": 32}, "side must be a whole number"), ({"instances": 1}, "instances must be")]
)
def test_a_wrong_option_is_named(options, told):
    with pytest.raises(InvalidInput, match=f"Segment: {told}"):
        make_task(ID, **options)
