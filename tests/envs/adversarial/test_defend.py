"""Defend against SciPy's filters and the classifier itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import fft, ndimage

from palaestra.envs import make_task
from palaestra.envs.adversarial.defend import DefendState
from palaestra.envs.classification.sources.images import load_images
from palaestra.envs.classification.sources.preprocessing import PREPROCESSINGS
from palaestra.envs.frozen.classifiers import classifier
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/Defend-v0"


@pytest.fixture(scope="module")
def task():
    return make_task(ID, split="validation")  # 180 digits as they are, and after two attacks of three strengths


def before_the_last(index):
    """The state in which the only image left is that of a row (B,)."""
    open_ = torch.full_like(index, -1)
    return DefendState(index[:, None].expand(-1, 4), torch.full_like(index, 3), open_)


def frequencies(image):
    """The cosine transform rounded as JPEG does it."""
    step = 0.15 * (1 + np.add.outer(np.arange(8), np.arange(8)))
    return fft.idctn(np.round(fft.dctn(image, norm="ortho") / step) * step, norm="ortho").clip(0, 1)


BY_SCIPY = {
    "leave it as it is": lambda image: image,
    "stretch the contrast": lambda image: np.interp(image, [0.25, 0.75], [0, 1]),
    "dark pixels to black": lambda image: np.where(image < 0.3, 0, image),
    "round to 4 greys": lambda image: np.round(image * 3) / 3,
    "round to 3 greys": lambda image: np.round(image * 2) / 2,
    "round to 2 greys": lambda image: np.round(image),
    "round its frequencies": frequencies,
    "blur": lambda image: ndimage.convolve(image, np.outer([1, 2, 1], [1, 2, 1]) / 16, mode="nearest"),
    "median of 3 x 3": lambda image: ndimage.median_filter(image, 3, mode="nearest"),
}


@pytest.mark.parametrize("name", PREPROCESSINGS)
def test_preprocessings_are_those_of_scipy(task, name):
    images = task.images[::30].double() / 255
    found = PREPROCESSINGS[name](images)
    for image, made in zip(images[:, 0].numpy(), found[:, 0].numpy(), strict=True):
        np.testing.assert_allclose(made, BY_SCIPY[name](image), atol=1e-9)


def test_what_is_judged_is_what_the_classifier_says(task):
    network, names = classifier("plain").double(), list(BY_SCIPY)
    for index in (3, 400, 1000):
        image = task.images[index, 0].numpy() / 255
        label = int(task.labels[index])
        for action in range(10):
            step = task.step(before_the_last(torch.tensor([index])), torch.tensor([action]), torch.empty(1, 0))
            if action == 9:
                assert step.reward.tolist() == [pytest.approx(-0.3 / 4)]
                assert step.metrics["passed"].tolist() == [1]
                continue
            made = torch.from_numpy(BY_SCIPY[names[action]](image))[None, None]
            right = int(network(made).argmax()) == label
            assert step.reward.tolist() == [0.25 if right else -0.25]
            known, other = ("clean", "robust") if index < 180 else ("robust", "clean")
            assert step.metrics[known].tolist() == [float(right)]
            assert step.metrics[other].isnan().all()
            assert step.terminated.all()


def test_attacks_stay_in_their_ball_and_work(task):
    images, labels, _ = load_images("digits", "validation")
    shown = task.images.view(7, 180, 64).long()
    assert np.array_equal(shown[0].numpy(), images.reshape(180, 64))
    assert torch.equal(task.labels.view(7, 180)[6], torch.from_numpy(labels))
    for block, reach in enumerate([0, 0.075, 0.15, 0.3, 0.075, 0.15, 0.3]):
        assert float((shown[block] - shown[0]).abs().max()) == pytest.approx(reach * 255, abs=0.51)
    right = (task.answers[:, 0] == task.labels).view(7, 180).double().mean(1)
    assert right[0] > 0.97
    assert right[1] < 0.8
    assert right[2] < 0.35
    assert right[3] < 0.05
    assert (right[4:] <= right[1:4]).all()  # ten steps do at least as well as one


def test_what_is_best_depends_on_the_strength(task):
    answers = (task.answers == task.labels[:, None]).view(7, 180, 9).double().mean(1)
    best = (2 * answers - 1).amax(1)  # of one preprocessing for all images of a block
    assert (best[[0, 1, 4]] > 0.7).all()
    assert (best[[3, 6]] < -0.3).all()  # passing is cheaper


def test_one_step_of_fgsm_follows_a_gradient_by_finite_differences(task):
    network, index = classifier("plain").double(), 7
    clean = task.images[index].double()[None] / 255
    change = task.images[360 + index].long() - task.images[index].long()

    def loss(x):
        return -network(x).log_softmax(1)[0, int(task.labels[index])]

    checked = 0
    for pixel in range(64):
        step = torch.zeros(64, dtype=torch.float64)
        step[pixel] = 1e-5
        slope = float(loss(clean + step.view_as(clean)) - loss(clean - step.view_as(clean)))
        moved, value = int(change.flatten()[pixel]), int(task.images[index].flatten()[pixel])
        if abs(slope) > 1e-12 and 0 < value + np.sign(slope) * 39 < 255:
            assert moved == np.sign(slope) * 38
            checked += 1
    assert checked > 20


def test_the_expert_is_right_wherever_a_choice_is_and_passes_elsewhere(task):
    index = torch.arange(1260)
    state = before_the_last(index)
    action = task.expert(state)
    rewards = torch.stack([task.step(state, torch.full_like(index, k), torch.empty(1260, 0)).reward for k in range(10)])
    assert torch.equal(rewards.gather(0, action[None])[0], rewards.amax(0))
    saved = action < 9
    assert torch.equal(action[saved], (rewards > 0).long().argmax(0)[saved])
    assert 0.6 < float(saved.double().mean()) < 0.8


def test_images_are_drawn_by_kind_strength_and_row():
    task = make_task(ID, attack="pgd", split="validation", length=5)
    uniforms = [[0.0, 0.49, 0.5, 0.99, 0.5], [0.9, 0.0, 0.0, 0.5, 0.999], [0.0, 0.999, 0.0, 0.5, 0.999]]
    state = task.reset(torch.tensor(uniforms).view(1, 15))
    rows = [0, 179, 180, 450, 719]
    assert state.row.tolist() == [rows]
    assert len(task.images) == 720
    for place, row in enumerate(rows):
        assert torch.equal(task.observe(state)[0], task.images[row])
        step = task.step(state, torch.tensor([9]), torch.empty(1, 0))
        assert step.terminated.tolist() == [place == 4]
        state = step.state


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"attack": "pdg"}, "Defend: attack must be one of 'mixed', 'fgsm', 'pgd'; got 'pdg'"),
        ({"victim": "weak"}, "Defend: victim must be one of 'plain'"),
        ({"epsilon": 0}, "Defend: epsilon must be a number from 0.001 to 0.5; got 0"),
        ({"length": 0}, "Defend: length must be a whole number from 1 to 1000; got 0"),
        ({"fee": 2}, "Defend: fee must be a number from 0 to 1; got 2"),
    ],
)
def test_a_wrong_option_is_named(options, told):
    with pytest.raises(InvalidInput, match=told):
        make_task(ID, **options)
