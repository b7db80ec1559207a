"""DigitBandit: its embedded digits, and image sets of OpenML from a cache written here."""

from __future__ import annotations

import gzip
import hashlib
import json
import warnings
from urllib.error import URLError

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from palaestra.envs import BatchedEnv, make_task
from palaestra.envs.classification.digit_bandit import DigitBandit
from palaestra.envs.core.splits import SPLITS, split_rows, training_rows
from palaestra.neural_blocks.errors import InvalidInput


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refuse(*_, **__):
        raise URLError("no network in this test")

    monkeypatch.setattr("sklearn.datasets._openml.urlopen", refuse)
    monkeypatch.setattr("sklearn.datasets._openml.time.sleep", lambda seconds: None)


def write_openml(folder, data_id, pixels, classes):
    """A data set as scikit-learn keeps what it has fetched from OpenML; returns the file of its rows."""
    count, features = pixels.shape
    names = [f"pixel{k + 1}" for k in range(features)]
    lines = [
        "@RELATION images",
        *(f"@ATTRIBUTE {name} REAL" for name in names),
        "@ATTRIBUTE class {0,1,2,3,4,5,6,7,8,9}",
    ]
    lines += ["@DATA", *(",".join(map(str, [*row, label])) for row, label in zip(pixels, classes, strict=True))]
    arff = "\n".join(lines).encode()
    plain = {"is_ignore": "false", "is_row_identifier": "false", "number_of_missing_values": "0"}
    columns = [{"index": str(k), "name": name, "data_type": "numeric", "is_target": "false", **plain}
               for k, name in enumerate(names)]  # fmt: skip
    columns.append({"index": str(features), "name": "class", "data_type": "nominal", "is_target": "true", **plain})
    description = {
        "id": str(data_id), "name": "images", "version": "1", "format": "ARFF", "status": "active", "file_id": "77",
        "url": "https://www.openml.org/data/v1/download/77", "md5_checksum": hashlib.md5(arff).hexdigest(),
        "description": "written by a test",
    }  # fmt: skip
    home = folder / "openml" / "openml.org"
    answers = {
        f"api/v1/json/data/{data_id}": json.dumps({"data_set_description": description}).encode(),
        f"api/v1/json/data/features/{data_id}": json.dumps({"data_features": {"feature": columns}}).encode(),
        f"api/v1/json/data/qualities/{data_id}": json.dumps(
            {"data_qualities": {"quality": [{"name": "NumberOfInstances", "value": str(count)}]}}
        ).encode(),
        "data/v1/download/77": arff,
    }
    for path, content in answers.items():
        file = home / f"{path}.gz"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(gzip.compress(content))
    return home / "data/v1/download/77.gz"


def random_images(count, features):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, features)), rng.permutation(np.arange(count) % 10)


def test_images_and_labels_are_those_of_scikit_learn():
    bunch = load_digits()
    for split in SPLITS:
        task, rows = make_task("palaestra/DigitBandit-v0", split=split), split_rows(bunch.target, split)
        assert torch.equal(task.labels, torch.from_numpy(bunch.target[rows]))
        assert task.inputs.shape == (len(rows), 1, 8, 8)
        images = bunch.data[rows].reshape(-1, 8, 8) / 16 * 255
        assert np.abs(task.inputs[:, 0].numpy() - images).max() <= 0.5
        assert int(task.inputs.max()) == 255


def test_examples_are_drawn_uniformly():
    task = make_task("palaestra/DigitBandit-v0")
    env = BatchedEnv(task, 100_000, seed=0)
    env.reset()
    counts = torch.bincount(env.state.index, minlength=len(task.labels)).double()
    expected = 100_000 / len(task.labels)
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    freedom = len(task.labels) - 1
    assert abs(chi_square - freedom) < 4 * (2 * freedom) ** 0.5


def test_only_the_right_class_pays():
    task = make_task("palaestra/DigitBandit-v0")
    env = BatchedEnv(task, 10, seed=0)
    for guess in range(10):
        env.reset(seed=guess)
        labels = task.labels[env.state.index]
        step = env.step([guess] * 10)
        assert step.reward.tolist() == (labels == guess).float().tolist()
        assert torch.equal(step.metrics["accuracy"], step.reward)


@pytest.mark.parametrize(
    ("dataset", "data_id", "shape", "rows", "train"),
    [
        ("mnist", 554, (1, 28, 28), 28, 24),
        ("fashion-mnist", 40996, (1, 28, 28), 14, 12),
        ("cifar-10", 40927, (3, 32, 32), 12, 10),
    ],
)
def test_an_openml_set_is_read_from_scikit_learn_s_cache(tmp_path, dataset, data_id, shape, rows, train):
    pixels, classes = random_images(rows, int(np.prod(shape)))
    write_openml(tmp_path, data_id, pixels, classes)
    held = training_rows(classes[:train], "validation")
    parts = {"train": np.setdiff1d(np.arange(train), held), "validation": held, "test": np.arange(train, rows)}
    assert len(held) in (train // 8, train // 8 + 1)
    for split, part in parts.items():
        task = DigitBandit(dataset=dataset, split=split, cache=str(tmp_path))
        assert task.observation_space.shape == shape
        assert task.inputs.dtype == torch.uint8
        assert np.array_equal(task.inputs.flatten(1).numpy(), pixels[part])  # colours plane by plane
        assert task.labels.tolist() == classes[part].tolist()
        assert len(task.class_names) == 10
        env = BatchedEnv(task, 4)
        assert env.reset().shape == (4, *shape)
        assert env.step(env.expert_action()).reward.tolist() == [1] * 4
        assert len(env.frames()) == 4


def refusal(**options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn says that it tries again
        with pytest.raises(InvalidInput) as caught:
            DigitBandit(**options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("dataset", ["mnist", "fashion-mnist", "cifar-10"])
def test_without_network_and_cache_the_embedded_digits_are_named(tmp_path, dataset):
    assert refusal(dataset=dataset, cache=str(tmp_path)) == (
        f"DigitBandit: dataset '{dataset}' could not be fetched from OpenML (<urlopen error no network in this test>); "
        "the embedded data set 'digits' needs no network"
    )


@pytest.mark.parametrize("kept", [0, 10, 0.5, -4])
def test_a_truncated_cache_file_is_refused(tmp_path, kept):
    file = write_openml(tmp_path, 554, *random_images(14, 784))
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    message = refusal(dataset="mnist", cache=str(tmp_path))
    assert message.startswith("DigitBandit: dataset 'mnist' could not be fetched from OpenML (")


def test_a_cache_file_with_other_content_is_refused(tmp_path):
    file = write_openml(tmp_path, 554, *random_images(14, 784))
    file.write_bytes(gzip.compress(b"@RELATION nothing"))
    assert "could not be fetched from OpenML (" in refusal(dataset="mnist", cache=str(tmp_path))


def test_a_cached_set_of_another_size_is_refused(tmp_path):
    write_openml(tmp_path, 554, *random_images(14, 783))
    assert refusal(dataset="mnist", cache=str(tmp_path)) == (
        "DigitBandit: dataset 'mnist' must have 784 pixels; got 783"
    )


def test_the_digits_need_neither_cache_nor_network(tmp_path):
    assert DigitBandit(cache=str(tmp_path)).inputs.shape == (1257, 1, 8, 8)
    assert list(tmp_path.iterdir()) == []


def bandit(**options):
    return make_task("palaestra/DigitBandit-v0", **options)


@pytest.mark.parametrize(
    ("target", "change"),
    [
        ("inverted", lambda image: 255 - image),
        ("rotated", lambda image: np.stack([image[0][:, 7 - row] for row in range(8)])[None]),
        ("inked", lambda image: image),
    ],
)
def test_a_target_domain_shows_the_same_digits_changed(target, change):
    source, task = bandit(), bandit(domain="target", target=target)
    assert torch.equal(source.labels, task.labels)
    for row in (0, 5, 900):
        assert np.array_equal(task.inputs[row].numpy(), change(source.inputs[row].numpy()))


def test_a_texture_lies_behind_the_digit():
    source, task = bandit(), bandit(domain="target", target="textured")
    for row in range(0, 1257, 100):
        for y in range(8):
            for x in range(8):
                ground = {0: 96, 1: 48, 2: 0, 3: 48}[(x + y) % 4]
                assert int(task.inputs[row, 0, y, x]) == max(int(source.inputs[row, 0, y, x]), ground)


def test_mixed_shows_either_domain_as_often_and_says_which_only_if_asked():
    task = bandit(domain="mixed", target="inverted", flag=True)
    env = BatchedEnv(task, 4000, seed=0)
    seen = env.reset()
    assert abs(float(seen["domain"].double().mean()) - 0.5) < 0.03
    bright = seen["image"].flatten(1).double().mean(1) > 127  # ink on an inverted digit is dark
    assert torch.equal(bright, seen["domain"] == 1)
    step = env.step(torch.zeros(4000, dtype=torch.int64))
    first = seen["domain"] == 0
    assert torch.equal(step.metrics["source"][first], step.metrics["accuracy"][first])
    assert step.metrics["source"][~first].isnan().all()
    assert torch.equal(step.metrics["target"][~first], step.metrics["accuracy"][~first])
    assert BatchedEnv(bandit(domain="mixed"), 4).reset().shape == (4, 1, 8, 8)
    for domain, number in (("source", 0), ("target", 1)):
        assert BatchedEnv(bandit(domain=domain, flag=True), 4).reset()["domain"].tolist() == [number] * 4


def test_importance_weights_turn_means_over_the_source_into_means_over_the_target():
    """Exactly, over every image once: the chance of each on the target is its weight over N."""
    task = bandit(target="inked")
    ink = task.inputs.flatten(1).long().sum(1)
    assert (ink[task.order].diff() >= 0).all()
    weights = task.weights.double()
    assert float(weights.mean()) == pytest.approx(1, abs=1e-6)
    assert float(weights.max()) == pytest.approx(2 - 1 / 1257, abs=1e-6)
    expected = float((weights * ink).mean())
    target = BatchedEnv(bandit(domain="target", target="inked"), 100_000, seed=1)
    seen = target.reset().flatten(1).long().sum(1).double()
    assert float(seen.mean()) == pytest.approx(expected, abs=4 * float(seen.std()) / 100_000**0.5)
    assert float(seen.mean()) > float(ink.double().mean()) + 20 * float(seen.std()) / 100_000**0.5
    source = BatchedEnv(task, 50_000, seed=0)
    source.reset()
    guess = torch.full((50_000,), 1)
    step, there = source.step(guess), target.step(torch.full((100_000,), 1))
    assert torch.equal(step.metrics["weighted"], step.metrics["weight"] * step.metrics["accuracy"])
    weighted = step.metrics["weighted"].double()
    error = (weighted.var() / 50_000 + there.reward.double().var() / 100_000) ** 0.5
    assert abs(float(weighted.mean() - there.reward.double().mean())) < 4 * float(error)


def test_an_inked_image_is_as_likely_as_its_weight_says():
    task = bandit(domain="target", target="inked")
    uniforms = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    counts = torch.bincount(task.reset(uniforms[:, None]).index, minlength=1257).double()
    torch.testing.assert_close(counts / 200_000, task.weights.double() / 1257, atol=2 / 200_000, rtol=0)


def test_a_wrong_domain_is_named():
    for options, told in (
        ({"domain": "soruce"}, "DigitBandit: domain must be one of 'source', 'target', 'mixed'; got 'soruce'"),
        ({"target": "x"}, "DigitBandit: target must be one of 'inverted', 'rotated', 'textured', 'inked'; got 'x'"),
        ({"flag": 1}, "DigitBandit: flag must be True or False; got 1"),
    ):
        with pytest.raises(InvalidInput, match=told):
            bandit(**options)
