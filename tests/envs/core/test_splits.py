"""Splits: three parts of every data set that share nothing, cover it, and are the same for everyone."""

from __future__ import annotations

import hashlib
import inspect

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from palaestra.envs import ids, make_task
from palaestra.envs.classification.sources.images import load_images
from palaestra.envs.classification.sources.tables import TABLES, load_table
from palaestra.envs.core.splits import OUTSIDE_TEST, SPLITS, few_of_each, split_rows, training_rows
from palaestra.envs.registry import task_class
from palaestra.envs.sequence.grammar import split_sentences
from palaestra.neural_blocks.errors import InvalidInput

SETS = ("digits", *TABLES)
each_set = pytest.mark.parametrize("name", SETS)
WITH_SPLIT = [id for id in ids() if "split" in inspect.signature(task_class(id).__init__).parameters]
# What the rows of train, validation and test hash to; another version or machine must draw them too.
DRAWN = {
    "digits": ["a559a7181b0f", "cdc65420d64a", "2fbaae31b8c6"],
    "iris": ["d3b113c18d10", "491dcf3507c7", "ecb4e2e0cbfa"],
    "wine": ["c46b855672d8", "43db6a9c8756", "4986b914db74"],
    "breast-cancer": ["46973d5f6cee", "26e903ef408c", "e13db68be4e1"],
    "xor": ["8dcd478352dd", "cecfbd0f5d32", "0adc0f62859d"],
    "blobs": ["6045730c4392", "ec37f837b6e6", "812b5ebcb6d3"],
    "moons": ["465f5d757956", "46b49e041e3e", "fc2ed174868e"],
    "spirals": ["766021b0b149", "ae724274ea05", "4bf39940061d"],
    "prototypes": ["8c91a7da94d0", "fd16c9462fdc", "1fb9d5af1d79"],
}
SENTENCES = {  # by their number
    288: ["d21f6085bfc1", "5fe9ed5c8d66", "2fd90e8128ff"],
    6400: ["7c2d328b4515", "57d9ba522781", "e55a46de8c02"],
    42336: ["8070140ada79", "6fe528fcba73", "5885b0e59e9a"],
}
ALPHABETS = {
    "train": "4fe59a99dfb3",
    "validation": "f94f7bf7a9ac",
    "test": "894dc161a527",
}
# The test split's inputs and labels as they were before a validation split was taken from the others.
SHOWN = {
    "digits": "36ba0d15d7aa",
    "iris": "28e8bb799ea1",
    "wine": "f76814ad4747",
    "breast-cancer": "c9348f9e2209",
    "xor": "baf4b8c970d8",
    "blobs": "b7efbb376b42",
    "moons": "7e180e1f27ac",
    "spirals": "45294799f5df",
    "prototypes": "52935fecc812",
}


def digest(*arrays):
    """The first digits of the SHA-256 of arrays of whole numbers, whatever integer type a machine holds them in."""
    joined = hashlib.sha256()
    for array in arrays:
        joined.update(np.ascontiguousarray(array, dtype="<i8").tobytes())
    return joined.hexdigest()[:12]


def labels_of(name):
    return load_digits().target if name == "digits" else load_table(name)[1]


def rows_of(name):
    return {split: split_rows(labels_of(name), split) for split in SPLITS}


@each_set
def test_the_splits_share_no_row_and_together_are_the_whole_set(name):
    rows = rows_of(name)
    assert np.concatenate(list(rows.values())).size == len(labels_of(name))
    assert set().union(*rows.values()) == set(range(len(labels_of(name))))
    assert sorted([*rows["train"], *rows["validation"]]) == split_rows(labels_of(name), OUTSIDE_TEST).tolist()
    assert all((np.diff(part) > 0).all() for part in rows.values())


@each_set
def test_every_split_has_its_share_of_every_class(name):
    labels, rows = labels_of(name), rows_of(name)
    whole = np.bincount(labels)
    for split, share in (("train", 0.7), ("validation", 0.1), ("test", 0.2)):
        assert np.abs(np.bincount(labels[rows[split]]) - share * whole).max() < 2
        assert abs(len(rows[split]) - share * len(labels)) <= 1


@each_set
def test_the_rows_are_the_same_for_everyone(name):
    assert [digest(part) for part in rows_of(name).values()] == DRAWN[name]


def test_the_sentences_and_alphabets_are_the_same_for_everyone():
    assert {words: [digest(split_sentences(words, split)) for split in SPLITS] for words in SENTENCES} == SENTENCES
    uniforms = torch.rand(500, 90, generator=torch.Generator().manual_seed(0))
    drawn = {split: digest(make_task("palaestra/FewShot-v0", split=split).sample(uniforms)) for split in SPLITS}
    assert drawn == ALPHABETS


@each_set
def test_the_test_split_shows_what_it_always_did(name):
    id = "palaestra/DigitBandit-v0" if name == "digits" else "palaestra/TabularBandit-v0"
    task = make_task(id, dataset=name, split="test")
    shown = task.inputs.flatten(1).double()
    assert digest(task.labels, (1e4 * shown).round().numpy()) == SHOWN[name]


@pytest.mark.parametrize(("count", "classes"), [(4, 1), (12, 3), (24, 10), (60, 10), (1000, 10)])
def test_a_published_training_set_gives_an_eighth_of_every_class(count, classes):
    labels = np.random.RandomState(1).permutation(np.arange(count) % classes)
    train, validation = (training_rows(labels, split) for split in ("train", "validation"))
    assert sorted([*train, *validation]) == list(range(count))
    assert len(validation) >= 1
    assert np.abs(np.bincount(labels[validation], minlength=classes) - np.bincount(labels) / 8).max() < 1
    assert training_rows(labels, OUTSIDE_TEST).tolist() == list(range(count))


@pytest.mark.parametrize("words", [2, 4, 6])
def test_sentences_are_split_in_three_and_each_part_has_every_word(words):
    tasks = [make_task("palaestra/Translate-v0", words=words, split=split) for split in SPLITS]
    said = [{tuple(row) for row in task.source.tolist()} for task in tasks]
    assert len(said[0] | said[1] | said[2]) == sum(map(len, said)) == sum(len(task.source) for task in tasks)
    shares = np.array([len(part) for part in said]) / sum(map(len, said))
    np.testing.assert_allclose(shares, [0.7, 0.1, 0.2], atol=0.003)
    for tokens in ("source", "target"):
        words_used = [getattr(task, tokens).unique().tolist() for task in tasks]
        assert words_used[0] == words_used[1] == words_used[2]


def test_no_glyph_is_in_two_alphabets():
    uniforms = torch.rand(5000, 90, generator=torch.Generator().manual_seed(1))
    drawn = [make_task("palaestra/FewShot-v0", split=split).sample(uniforms).flatten(0, 1) for split in SPLITS]
    train, validation, test = ({tuple(row) for row in programs.tolist()} for programs in drawn)
    assert not train & validation
    assert not (train | validation) & test
    sums = [(programs.sum(1) % 4).unique().tolist() for programs in drawn]  # so none can be, however many are drawn
    assert sums == [[0], [2], [1, 3]]


IMAGES = {
    "DigitBandit": lambda task: task.inputs,
    "Calibrate": lambda task: task.images,
    "AttackDefend": lambda task: task.game.images,
    "Evade": lambda task: task.images,
    "Restore": lambda task: task.images.to(torch.uint8).view(-1, 1, 8, 8),
    "GANGame": lambda task: task.game.source.images,
}


@pytest.mark.parametrize("name", IMAGES)
def test_every_task_of_digits_shows_the_digits_of_its_split_alone(name):
    whole, parts = {split: load_images("digits", split)[0] for split in SPLITS}, {}
    options = {"dataset": "digits"} if name == "GANGame" else {}
    for split in SPLITS:
        task = make_task(f"palaestra/{name}-v0", split=split, **options)
        parts[split] = {image.tobytes() for image in IMAGES[name](task).numpy()}
        assert parts[split] <= {image.tobytes() for image in whole[split]}
        assert len(parts[split]) > 0.95 * len(whole[split])  # `Evade` leaves out what its victim misreads
    assert not parts["train"] & parts["validation"]
    assert not (parts["train"] | parts["validation"]) & parts["test"]


def test_tasks_that_know_a_digit_by_its_number_have_as_many_as_their_split():
    for split, count in zip(SPLITS, (1257, 180, 360), strict=True):
        glimpse = make_task("palaestra/Glimpse-v0", split=split)
        assert len(glimpse.labels) == count
        assert glimpse.sharp.shape[1] == 25 * count + 2
        assert len(make_task("palaestra/PixelCanvas-v0", request=False, split=split).first_pixels) == count


def test_every_task_with_a_data_set_has_the_three_splits():
    assert {id.removeprefix("palaestra/").removesuffix("-v0") for id in WITH_SPLIT} == {
        "DigitBandit", "TabularBandit", "Calibrate", "Glimpse", "FewShot", "Translate", "AttackDefend", "GANGame",
        "Evade", "PixelCanvas", "Dose", "Abstain", "Groups", "Shift", "Text", "Cloze", "SentencePair", "Caption",
        "Localize", "Summarize", "WordContext", "Strokes", "Restore", "Unpaired", "Defend",
    }  # fmt: skip


@pytest.mark.parametrize("id", WITH_SPLIT)
def test_an_unknown_split_is_answered_with_the_nearest_right_one(id):
    name = task_class(id).__name__
    for wrong, meant in (("validaton", " (did you mean 'validation'?)"), ("tran", " (did you mean 'train'?)"),
                         (OUTSIDE_TEST, ""), (None, "")):  # fmt: skip
        with pytest.raises(InvalidInput) as caught:
            make_task(id, split=wrong)
        told = f"{name}: split must be one of 'train', 'validation', 'test'; got {wrong!r}"
        assert str(caught.value).startswith(told)
        assert meant in str(caught.value)


def test_few_rows_are_as_many_of_each_class_as_that_goes():
    labels = np.repeat([3, 7, 9], [50, 4, 30])
    rows = few_of_each(labels, 21, 0)
    assert list(rows) == sorted(set(rows))
    assert np.unique(labels[rows], return_counts=True)[1].tolist() in ([9, 4, 8], [8, 4, 9])
    assert not np.array_equal(rows, few_of_each(labels, 21, 1))
    assert np.array_equal(few_of_each(labels, 84, 2), np.arange(84))


def test_few_rows_of_digits_are_training_rows_and_the_other_splits_are_whole():
    whole, few = (make_task("palaestra/DigitBandit-v0", **options) for options in ({}, {"rows": 100, "choice": 2}))
    assert np.bincount(few.labels.numpy()).tolist() == [10] * 10
    assert set(map(bytes, few.inputs.flatten(1).numpy())) <= set(map(bytes, whole.inputs.flatten(1).numpy()))
    assert len(make_task("palaestra/DigitBandit-v0", rows=100, split="test").labels) == 360
    with pytest.raises(InvalidInput, match="DigitBandit: rows must be a whole number from 10"):
        make_task("palaestra/DigitBandit-v0", rows=9)
