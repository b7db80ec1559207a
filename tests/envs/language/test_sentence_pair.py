"""SentencePair: sentences are read back word by word, and what they mean is compared in a small world of models."""

from __future__ import annotations

import pytest
import torch

from palaestra.envs import make_task
from palaestra.envs.core.splits import SPLITS
from palaestra.envs.language.english import spelled
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/SentencePair-v0"
KIND = {"dog": "beast", "cat": "beast", "horse": "beast", "baker": "person", "farmer": "person", "singer": "person"}
PLURAL = {noun + "s": noun for noun in [*KIND, "beast"]} | {"people": "person"}
SINGULAR = [*KIND, "beast", "person"]
ADJECTIVES = ("small", "big", "quick", "calm")
ACTIVE = {"chasing": "chase", "watching": "watch", "following": "follow", "helping": "help"}
PASSIVE = {"chased": "chase", "watched": "watch", "followed": "follow", "helped": "help"}
COUNT = 600


def phrase(words):
    """(many, adjective, noun) of a phrase, read from the front of a list of words; None where it is not English."""
    article = words.pop(0)
    adjective = words.pop(0) if words[0] in ADJECTIVES else None
    noun = words.pop(0)
    if (article, noun in PLURAL) not in (("a", False), ("some", True)) or noun not in [*SINGULAR, *PLURAL]:
        return None
    return noun in PLURAL, adjective, PLURAL.get(noun, noun)


def read(sentence):
    """(who, verb, whom) of a sentence without its opening; None where it is not English."""
    words = sentence.split()
    first = phrase(words)
    if first is None or words.pop(0) != ("are" if first[0] else "is"):
        return None
    passive = words[0] == "being"
    words = words[passive:]
    verb = words.pop(0)
    if verb not in (PASSIVE if passive else ACTIVE) or (passive and words.pop(0) != "by"):
        return None
    second = phrase(words)
    if second is None or words:
        return None
    return (second, PASSIVE[verb], first) if passive else (first, ACTIVE[verb], second)


def is_one(thing, description):
    """Whether whoever fits the first description fits the second."""
    (many, adjective, noun), (other_many, other_adjective, other) = thing, description
    fits = other in (noun, KIND.get(noun))
    return many == other_many and other_adjective in (None, adjective) and fits


def follows(premise, said):
    """Whether a deed is told of in the smallest world where the premise is true: one with this deed alone."""
    return premise[1] == said[1] and is_one(premise[0], said[0]) and is_one(premise[2], said[2])


def pairs(relation, split="train"):
    task = make_task(ID, relation=relation, split=split)
    noise = torch.rand(COUNT, task.reset_noise, generator=torch.Generator().manual_seed(3))
    state = task.reset(noise)
    for first, second, label in zip(state.first.tolist(), state.second.tolist(), state.label.tolist(), strict=True):
        yield spelled(first), spelled(second), label


def labelled(relation):
    """How often each label comes, and whether voices and forms vary."""
    found = [label for _, _, label in pairs(relation)]
    return [found.count(label) for label in sorted(set(found))]


@pytest.mark.parametrize(
    ("relation", "labels"),
    [("entailment", 3), ("paraphrase", 2), ("acceptability", 2), ("answer", 2), ("relatedness", 5)],
)
def test_all_labels_are_equally_common(relation, labels):
    counts = labelled(relation)
    assert len(counts) == labels
    assert all(abs(count - COUNT / labels) < 70 for count in counts)


def test_relatedness_counts_what_both_sentences_share():
    for first, second, label in pairs("relatedness"):
        (who, verb, whom), (other, deed, patient) = read(first), read(second)
        rest = (who[:2], whom[:2]) == (other[:2], patient[:2])
        assert label == (who[2] == other[2]) + (verb == deed) + (whom[2] == patient[2]) + rest
    task = make_task(ID, relation="relatedness")
    state = task.reset(torch.rand(5, task.reset_noise))
    answer = torch.arange(5)
    step = task.step(state, answer, torch.zeros(5, 0))
    distance = (answer - state.label).abs().float()
    assert torch.equal(step.reward, 1 - distance / 4)
    assert torch.equal(step.metrics["error"], distance)
    assert torch.equal(step.metrics["accuracy"], (distance == 0).float())


def test_what_follows_is_true_wherever_the_premise_is():
    seen = set()
    for first, second, label in pairs("entailment", "test"):
        denial = second.startswith("not true that ")
        premise, said = read(first), read(second.removeprefix("not true that "))
        true = follows(premise, said)
        assert label == ((1 if denial else 0) if true else 2), (first, second)
        assert denial or label != 1
        seen.add((label, denial, "being" in second))
    assert len(seen) == 8  # each label in both voices, and what is neither with and without a denial


def test_paraphrases_mean_the_same_and_others_do_not_follow_from_each_other():
    turned = 0
    for first, second, label in pairs("paraphrase"):
        one, other = read(first), read(second)
        assert label == (one == other), (first, second)
        assert label or not follows(one, other)
        turned += (not label) and one == other[::-1]
    assert turned > 20


def test_one_of_two_sentences_is_english_and_a_single_word_tells():
    places = set()
    for first, second, label in pairs("acceptability"):
        assert [read(first) is not None, read(second) is not None] == [label == 0, label == 1], (first, second)
        apart = [k for k, (a, b) in enumerate(zip(first.split(), second.split(), strict=True)) if a != b]
        assert len(apart) == 1
        places.add(first.split()[apart[0]])
    assert {"a", "some", "is", "are"} <= places
    assert any(word.endswith("ing") for word in places)


def test_an_answer_tells_of_the_deed_that_was_asked_for():
    seen = set()
    for first, second, label in pairs("answer", "validation"):
        asked = first.split()
        assert asked[:2] == ["who", "is"]
        passive = asked[2] == "being"
        words = asked[3 + 2 * passive :]  # behind the verb, and "by"
        verb = PASSIVE[asked[3]] if passive else ACTIVE[asked[2]]
        known = phrase(words)
        who, deed, whom = read(second)
        answers = deed == verb and is_one(who if passive else whom, known)
        assert label == answers, (first, second)
        seen.add((label, passive, "being" in second))
    assert len(seen) == 8


def test_no_test_pair_is_made_from_a_training_sentence():
    made = {split: {tuple(row) for row in make_task(ID, split=split).base.tolist()} for split in SPLITS}
    assert [len(made[split]) for split in SPLITS] == [10080, 1440, 2880]
    assert len(set.union(*made.values())) == (2 * 6 * 5) ** 2 * 4


def test_an_answer_is_judged_at_once():
    task = make_task(ID)
    state = task.reset(torch.rand(50, task.reset_noise, generator=torch.Generator().manual_seed(0)))
    step = task.step(state, torch.zeros(50, dtype=torch.int64), torch.empty(50, 0))
    assert step.reward.tolist() == (state.label == 0).float().tolist()
    assert bool(step.terminated.all())
    assert torch.equal(step.state.guess, torch.zeros(50, dtype=torch.int64))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"relation": "entail"}, "SentencePair: relation must be one of 'entailment', 'paraphrase', "),
        ({"split": "tset"}, "SentencePair: split must be one of 'train', 'validation', 'test'; got 'tset'"),
    ],
)
def test_a_wrong_option_is_refused(options, told):
    with pytest.raises(InvalidInput, match=told):
        make_task(ID, **options)
