"""Text: Markov models of its characters, log scores by hand and byte-pair tokens against the text itself."""

from __future__ import annotations

import math
from pydoc_data.topics import topics

import numpy as np
import pytest
import torch

from palaestra.envs import BatchedEnv, make_task
from palaestra.envs.core.splits import SPLITS
from palaestra.envs.language.corpus import CHARACTERS, byte_pairs, characters, split_text
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/Text-v0"


@pytest.fixture(scope="module")
def numbers():
    """Each split's characters as NumPy."""
    return {split: characters(None, split).text.numpy() for split in SPLITS}


def grams(text, order):
    """Every run of order + 1 characters as that many columns."""
    return tuple(text[place : len(text) - order + place] for place in range(order + 1))


def bits(text, counts, added, order):
    """The mean surprise of a Markov model with so much added to every count."""
    chances = (counts + added) / (counts + added).sum(-1, keepdims=True)
    return float(-np.log2(chances[grams(text, order)]).mean())


@pytest.mark.parametrize(("order", "expected"), [(0, 4.66), (1, 3.69), (2, 2.80)])
def test_markov_models_need_the_bits_that_the_docstring_says(numbers, order, expected):
    counts = np.zeros((97,) * (order + 1))
    np.add.at(counts, grams(numbers["train"], order), 1)
    added = min((0.01, 0.03, 0.1, 0.3, 1.0, 3.0), key=lambda much: bits(numbers["validation"], counts, much, order))
    measured = bits(numbers["test"], counts, added, order)
    assert measured == pytest.approx(expected, abs=0.15)  # other versions of CPython word some topics otherwise
    assert f"{expected:.2f}" in make_task(ID).__doc__


def test_every_topic_stands_in_one_split_or_in_a_longer_topic():
    texts = [split_text(None, split) for split in SPLITS]
    joined = " ".join(" ".join(texts).split())
    once = 0
    for name, topic in topics.items():
        found = [topic.strip() + "\n" in text for text in texts]
        once += sum(found) == 1
        paragraphs = [" ".join(part.split()) for part in topic.split("\n\n")]
        assert sum(found) <= 1, name
        assert any(found) or sum(part in joined for part in paragraphs) >= len(paragraphs) / 2, name
    assert once > 40
    sizes = np.array([len(text) for text in texts]) / sum(map(len, texts))
    assert (sizes > 0.02).all()
    assert sizes.argmax() == 0


def test_test_chapters_do_not_stand_in_training_ones():
    train, test = split_text(None, "train"), split_text(None, "test")
    runs = {train[k : k + 60] for k in range(len(train) - 60)}
    assert np.mean([test[k : k + 60] in runs for k in range(0, len(test) - 60, 7)]) < 0.02


def test_characters_spell_the_text():
    read, names = characters(None, "validation"), [*CHARACTERS, "□"]
    text = split_text(None, "validation")
    assert "".join(names[number] for number in read.text) == "".join(c if c in CHARACTERS else "□" for c in text)
    assert read.characters == 1


def test_byte_pair_tokens_spell_the_text_and_tell_its_length():
    for split in ("train", "test"):
        text, read = split_text(None, split), byte_pairs(None, split, 300)
        assert len(read.names) == 300
        assert "".join(read.names[number] for number in read.text if "�" not in read.names[number]) == "".join(
            character for character in text if ord(character) < 128
        )
        assert read.characters == pytest.approx(len(text) / len(read.text))
        assert 1.3 < read.characters < 2.5


def test_an_episode_reads_on_from_where_it_starts():
    env = BatchedEnv(make_task(ID, length=20), 50, seed=1)
    seen = [env.reset()]
    text = env.task.text
    place = env.state.position.clone()
    for time in range(20):
        expert = env.expert_action()
        step = env.step(expert if time % 2 else (expert + 1) % 97)
        seen.append(step.final_observation)
        assert torch.equal(step.final_observation, expert)
        assert torch.equal(step.reward, torch.full((50,), float(time % 2)))
    assert bool(step.truncated.all())
    for row in range(50):
        assert torch.stack(seen)[:, row].tolist() == text[place[row] : place[row] + 21].tolist()


def test_every_place_is_a_start():
    task = make_task(ID, length=100)
    first, last = (int(task.reset(torch.tensor([[noise]])).position) for noise in (0.0, 1 - 2**-24))
    assert (first, last) == (0, len(task.text) - 101)


def test_log_scores_computed_by_hand():
    task = make_task(ID, answer="odds", split="test")
    state = task.reset(torch.full((4, 1), 0.25))
    came = int(task.expert(state).argmax(1)[0])
    odds = torch.zeros(4, 97)
    odds[0, came] = 0.7  # all there is
    odds[1, came], odds[1, (came + 1) % 97] = 0.25, 0.75
    odds[2, (came + 1) % 97] = 1.0
    step = task.step(state, odds, torch.empty(4, 0))
    expected = [0.0, -2.0, -20.0, -math.log2(97)]
    assert step.reward.tolist() == pytest.approx(expected, abs=1e-5)
    assert step.metrics["bits"].tolist() == pytest.approx([-bits for bits in expected], abs=1e-5)
    assert step.metrics["accuracy"].tolist()[:3] == [1, 0, 0]
    assert step.state.bits.tolist() == pytest.approx([-bits for bits in expected], abs=1e-5)


def test_bits_of_tokens_are_told_by_character():
    task = make_task(ID, answer="odds", tokens="byte-pair", vocabulary=300)
    step = task.step(task.reset(torch.zeros(1, 1)), torch.ones(1, 300), torch.empty(1, 0))
    read = byte_pairs(None, "train", 300)
    assert float(step.reward) == pytest.approx(-math.log2(300), abs=1e-5)
    assert float(step.metrics["bits"]) == pytest.approx(math.log2(300) / read.characters, abs=1e-5)


def test_a_file_of_ones_own_is_read(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("abcdé" * 1000, encoding="utf-8")
    task = make_task(ID, file=str(path), length=10)
    assert set(task.text.tolist()) == {0, *(CHARACTERS.index(c) for c in "abcd"), 96}
    whole = sum(len(make_task(ID, file=str(path), split=split).text) for split in SPLITS)
    assert whole == 5000 + 64 - 3


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"answer": "logits"}, "Text: answer must be one of 'symbol', 'odds'; got 'logits'"),
        ({"tokens": "words"}, "Text: tokens must be one of 'characters', 'byte-pair'; got 'words'"),
        ({"split": "tset"}, "Text: split must be one of 'train', 'validation', 'test'; got 'tset'"),
        ({"vocabulary": 100}, "Text: vocabulary must be a whole number from 256 to 4096; got 100"),
        ({"length": 10**6}, "Text: length must be a whole number from 1 to"),
        ({"file": "no-such-file"}, "Text: file 'no-such-file' cannot be read as UTF-8 text"),
        ({"file": 3}, "Text: file must be the path of a text, or None; got 3"),
    ],
)
def test_a_wrong_option_is_refused(options, told):
    with pytest.raises(InvalidInput, match=told):
        make_task(ID, **options)


def test_a_short_file_is_refused(tmp_path):
    path = tmp_path / "short.txt"
    path.write_text("short")
    with pytest.raises(InvalidInput, match=r"Text: file must have at least 4096 characters; .* has 5"):
        make_task(ID, file=str(path))
