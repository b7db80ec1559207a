"""Abstain: what is strange in which split, its measures against scikit-learn, its rewards by hand."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from palaestra.envs import BatchedEnv, make_task
from palaestra.envs.classification.sources.images import load_images
from palaestra.envs.classification.sources.novelty import (
    KINDS,
    KNOWN,
    STRANGE_DIGITS,
    average_precision,
    mixed_images,
    ranking,
)
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/Abstain-v0"


@pytest.mark.parametrize("levels", [3, 1000])
def test_measures_are_those_of_scikit_learn(levels):
    random = np.random.default_rng(0)
    score = np.round(random.random((50, 16)) * levels) / levels  # with few levels many are equal
    positive = random.permuted(np.arange(16) < 8, axis=None).reshape(1, 16) ^ np.zeros((50, 1), bool)
    positive = random.permuted(np.tile(positive, 1), axis=1)
    found = (
        ranking(torch.tensor(score), torch.tensor(positive)),
        average_precision(torch.tensor(score), torch.tensor(positive)),
    )
    expected = [
        [measure(row, s) for row, s in zip(positive, score, strict=True)]
        for measure in (roc_auc_score, average_precision_score)
    ]
    np.testing.assert_allclose(np.stack([part.numpy() for part in found]), expected, atol=1e-6)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_known_digits_come_first_and_each_kind_is_as_frequent(split):
    images, labels = mixed_images(split, KINDS)
    digits, classes, _ = load_images("digits", split, None)
    known = int((classes < KNOWN).sum())
    assert (images[:known] == digits[classes < KNOWN]).all()
    assert (labels[:known] == classes[classes < KNOWN]).all()
    assert (labels[known:] == KNOWN).all()
    assert not images[-1].any()
    count = (len(images) - known - 1) // 3
    assert (len(images) - known - 1) % 3 == 0
    others = digits[np.isin(classes, STRANGE_DIGITS[split])]
    assert (images[known : known + count] == others[:count]).all()


def test_what_is_strange_in_the_test_was_never_seen_in_training():
    seen, unseen = (mixed_images(split, ("classes",))[0] for split in ("train", "test"))
    assert not {image.tobytes() for image in unseen[:-1]} & {image.tobytes() for image in seen}
    assert set(STRANGE_DIGITS["train"]).isdisjoint(STRANGE_DIGITS["test"])


def test_a_corrupted_digit_has_about_its_own_brightness_and_a_drawing_is_no_empty_page():
    images, labels = mixed_images("train", ("corrupted",))
    known = int((labels < KNOWN).sum())
    before, after = (images[part].reshape(known, -1).mean(1) for part in (slice(known), slice(known, 2 * known)))
    assert np.corrcoef(before, after)[0, 1] > 0.5
    assert (images[:known] != images[known : 2 * known]).any((1, 2, 3)).all()
    foreign, _ = mixed_images("test", ("foreign",))
    assert foreign[-5:-1].reshape(4, -1).max(1).min() > 100


def test_half_of_an_episode_is_strange_in_any_order():
    task = make_task(ID)
    state = task.reset(torch.rand(4000, task.reset_noise, generator=torch.Generator().manual_seed(0)))
    strange = task.labels[state.row] == KNOWN
    assert (strange.sum(1) == 8).all()
    torch.testing.assert_close(strange.float().mean(0), torch.full((16,), 0.5), atol=0.04, rtol=0)


def test_naming_passing_and_being_wrong_pay_as_they_should():
    env = BatchedEnv(make_task(ID, fee=0.25, length=4), 1, seed=3)
    env.reset()
    paid = []
    for _ in range(4):
        label = int(env.task.expert(env.state))
        for action in (label, (label + 1) % KNOWN, KNOWN):
            step = env.task.step(env.state, torch.tensor([action]), torch.empty(1, 0))
            expected = -0.25 if action == KNOWN else 1 if action == label else -1
            assert step.reward.item() == pytest.approx(expected / 4)
            told = {name: float(value) for name, value in step.metrics.items()}
            assert np.isnan(told["accuracy"]) == (action == KNOWN)
            assert np.isnan(told["coverage"]) == (label == KNOWN)
            assert np.isnan(told["caution"]) == (label != KNOWN)
        step = env.step(env.task.expert(env.state))
        paid.append(step.reward.item())
    assert sum(paid) == pytest.approx((1 - 0.25) / 2)
    assert bool(step.terminated)
    assert not step.final_observation.any()


def test_scores_are_ranked_at_the_end():
    task = make_task(ID, answer="score", length=6)
    state = task.reset(torch.rand(9, task.reset_noise, generator=torch.Generator().manual_seed(1)))
    said = torch.rand(9, 6, generator=torch.Generator().manual_seed(2))
    strange = (task.labels[state.row] == KNOWN).numpy()
    for time in range(6):
        assert torch.equal(task.expert(state)[:, 0] == 1, torch.from_numpy(strange[:, time]))
        step = task.step(state, said[:, time : time + 1], torch.empty(9, 0))
        np.testing.assert_allclose(step.reward, -((said[:, time].numpy() - strange[:, time]) ** 2) / 6, atol=1e-6)
        assert torch.isnan(step.metrics["auroc"]).all() == (time < 5)
        state = step.state
    expected = [roc_auc_score(row, score) for row, score in zip(strange, said.numpy(), strict=True)]
    np.testing.assert_allclose(step.metrics["auroc"], expected, atol=1e-6)


@pytest.mark.parametrize(
    "options", [{"answer": "maybe"}, {"fee": 2}, {"strange": "odd"}, {"length": 5}, {"length": 0}, {"split": "x"}]
)
def test_what_is_not_allowed_is_refused(options):
    with pytest.raises(InvalidInput, match=f"Abstain: {next(iter(options))}"):
        make_task(ID, **options)
