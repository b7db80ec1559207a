"""TabularBandit: its tables beside scikit-learn's, and whether they are as hard as the docstring says."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.datasets
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from palaestra.envs import make_task
from palaestra.envs.classification.sources.tables import TABLES, load_table
from palaestra.envs.core.splits import SPLITS, split_rows

SHAPES = {"iris": (150, 4, 3), "wine": (178, 13, 3), "breast-cancer": (569, 30, 2), "xor": (1000, 2, 2),
          "blobs": (1000, 2, 5), "moons": (1000, 2, 2), "spirals": (1000, 2, 3),
          "prototypes": (300, 6, 3)}  # fmt: skip
each_table = pytest.mark.parametrize("dataset", TABLES)


def split_of(dataset, split):
    task = make_task("palaestra/TabularBandit-v0", dataset=dataset, split=split)
    return task.inputs.numpy(), task.labels.numpy()


def accuracy(classifier, dataset):
    return classifier.fit(*split_of(dataset, "train")).score(*split_of(dataset, "test"))


@each_table
def test_the_table_has_the_documented_size(dataset):
    features, labels, class_names, feature_names = load_table(dataset)
    assert (len(features), features.shape[1], len(class_names)) == SHAPES[dataset]
    assert len(feature_names) == features.shape[1]
    assert sorted(set(labels)) == list(range(len(class_names)))
    task = make_task("palaestra/TabularBandit-v0", dataset=dataset)
    assert task.observation_space.shape == (features.shape[1],)
    assert task.action_space.n == len(class_names)


@each_table
def test_features_are_standardised_by_the_rows_outside_the_test_split(dataset):
    features, labels, _, _ = load_table(dataset)
    rows = {split: split_rows(labels, split) for split in SPLITS}
    scaler = StandardScaler().fit(features[np.concatenate([rows["train"], rows["validation"]])])
    for split in SPLITS:
        inputs, targets = split_of(dataset, split)
        np.testing.assert_allclose(inputs, scaler.transform(features[rows[split]]), atol=1e-5)
        assert targets.tolist() == labels[rows[split]].tolist()


@pytest.mark.parametrize("dataset", ["iris", "wine", "breast_cancer"])
def test_embedded_tables_are_scikit_learn_s(dataset):
    bunch = getattr(sklearn.datasets, f"load_{dataset}")()
    features, labels, class_names, _ = load_table(dataset.replace("_", "-"))
    assert np.array_equal(features, bunch.data)
    assert np.array_equal(labels, bunch.target)
    assert class_names == bunch.target_names.tolist()


@pytest.mark.parametrize("dataset", ["iris", "wine", "breast-cancer", "blobs", "prototypes"])
def test_these_are_linear_enough(dataset):
    assert accuracy(LogisticRegression(max_iter=500), dataset) > 0.9


@pytest.mark.parametrize(("dataset", "linear_at_most"), [("xor", 0.8), ("moons", 0.92), ("spirals", 0.65)])
def test_these_need_a_curved_boundary(dataset, linear_at_most):
    """A line gets three of the four corners of xor, and all of the moons but their tips."""
    linear, curved = accuracy(LogisticRegression(), dataset), accuracy(KNeighborsClassifier(5), dataset)
    assert linear < linear_at_most
    assert curved > 0.97
    assert curved - linear > 0.06


@pytest.mark.parametrize(
    ("dataset", "first", "last", "products"),
    [
        ("xor", [1.0251, 1.269], [-0.4878, -0.8264], -44.058),
        ("blobs", [1.0251, -0.0264], [0.1271, -0.8772], 5.988),
        ("moons", [-0.4088, 0.9985], [0.8026, -0.3719], -98.905),
        ("spirals", [0.2508, -0.7427], [-0.415, -0.418], 1.3054),
        ("prototypes", [0.452, -0.5864], [0.8838, -1.3121], -152.9395),
    ],
)
def test_drawn_tables_are_the_same_for_everyone(dataset, first, last, products):
    """What NumPy's generator of seed 0 draws; another version or machine must draw it too."""
    features, *_ = load_table(dataset)
    np.testing.assert_allclose(features[[0, -1], :2], [first, last], atol=1e-4)
    assert (features[:, 0] * features[:, 1]).sum() == pytest.approx(products, abs=1e-3)
