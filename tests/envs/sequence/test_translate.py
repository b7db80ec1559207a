"""Translate: its sentences against a derivation with words, its rewards by hand and against NLTK."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch

from palaestra.envs import BatchedEnv, make_task
from palaestra.envs.core.splits import SPLITS
from palaestra.envs.sequence.grammar import all_sentences
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/Translate-v0"
GENDER = {"mip": 0, "tolu": 1, "sarn": 0}
NOUN = {"mip": "orru", "tolu": "ketha", "sarn": "imlu"}
ADJECTIVE = {"ash": ("griu", "gria"), "lem": ("pulu", "pula"), "gorr": ("velu", "vela")}
VERB = {"wev": ("fanet", "fanen"), "chak": ("diket", "diken"), "yun": ("solet", "solen")}
ARTICLE = {(0, False): "lo", (0, True): "los", (1, False): "ta", (1, True): "tan"}


def phrases():
    """Every noun phrase: the source, the target, and whether it is many."""
    for many, adjective, noun in product([False, True], [None, *ADJECTIVE], NOUN):
        source = ["pa"] * many + [adjective] * (adjective is not None) + [noun]
        target = [ARTICLE[GENDER[noun], many], NOUN[noun]]
        if adjective is not None:
            target.append(ADJECTIVE[adjective][GENDER[noun]])
        yield source, target, many


def derived():
    """Every sentence pair of three words a kind."""
    for (subject, one, many), verb, (object_, other, _) in product(phrases(), VERB, phrases()):
        yield " ".join([*subject, verb, *object_]), " ".join([*one, *other, VERB[verb][many]])


def spelled(tokens, words):
    return [" ".join(words[token] for token in row if token) for row in tokens.tolist()]


def words_of(task, sentence):
    """The numbers of target words."""
    return [task.target_words.index(word) for word in sentence.split()]


def at(task, source):
    """The state in which a source sentence is to be translated."""
    row = spelled(task.source, task.source_words).index(source)
    return task.reset(torch.tensor([[(row + 0.5) / len(task.source)]]))


def play(task, state, sentence):
    """Rewards of writing a sentence and its end mark, and the last step."""
    rewards = []
    for word in [*words_of(task, sentence), 0]:
        step = task.step(state, torch.tensor([word]), torch.empty(1, 0))
        state = step.state
        rewards.append(float(step.reward))
        assert not bool(step.terminated) or word == 0 or len(rewards) == task.horizon
        if bool(step.terminated):
            break
    return rewards, step


def test_the_sentences_are_those_that_the_rules_derive():
    language = all_sentences(3)
    pairs = list(
        zip(
            spelled(language.source, language.source_words),
            spelled(language.target, language.target_words),
            strict=True,
        )
    )
    assert len(pairs) == 24 * 3 * 24
    assert set(pairs) == set(derived())
    assert len({source for source, _ in pairs}) == len(pairs)  # a sentence has one translation
    for tokens in (language.source, language.target):
        empty = (tokens == 0).int()
        assert bool((empty.diff(dim=1) >= 0).all())  # the zeros stand behind
    assert bool((language.target[:, -1] == 0).all())


def test_the_splits_together_are_the_sentences_that_the_rules_derive():
    tasks = [make_task(ID, words=3, split=split) for split in SPLITS]
    said = [sentence for task in tasks for sentence in spelled(task.source, task.source_words)]
    assert sorted(said) == sorted(source for source, _ in derived())


def test_an_episode_computed_by_hand():
    """Sentence "pa lem tolu wev mip" is "tan ketha pula lo orru fanen"; the verb is written in the singular."""
    task = make_task(ID, words=3)
    source, right = "pa lem tolu wev mip", "tan ketha pula lo orru fanen"
    state = at(task, source)
    observation = task.observe(state)
    assert [task.source_words[word] for word in observation["source"][0].tolist()] == [*source.split(), "", ""]
    assert observation["written"].tolist() == [[0] * 8]
    rewards, step = play(task, state, right)
    assert rewards == [0] * 6 + [1]
    assert float(step.metrics["bleu"]) == float(step.metrics["exact"]) == 1
    assert task.observe(step.state)["written"].tolist() == [[*words_of(task, right), 0, 0]]
    rewards, step = play(task, state, right.replace("fanen", "fanet"))
    bleu = (5 / 6 * 4 / 5 * 3 / 4 * 2 / 3) ** 0.25  # a wrong last word breaks one n-gram of each length
    assert rewards == pytest.approx([0] * 6 + [bleu])
    assert float(step.metrics["exact"]) == 0
    first = task.step(state, torch.tensor([1]), torch.empty(1, 0))
    assert math.isnan(float(first.metrics["bleu"]))
    assert math.isnan(float(first.metrics["exact"]))


def test_tokens_earn_where_they_are_right_and_nothing_behind_the_end():
    task = make_task(ID, words=3, reward="token")
    right = "tan ketha pula lo orru fanen"
    state = at(task, "pa lem tolu wev mip")
    assert play(task, state, right)[0] == pytest.approx([1 / 7] * 7)
    assert play(task, state, "tan ketha")[0] == pytest.approx([1 / 7, 1 / 7, 0])  # ends too early
    late, step = play(task, state, right + " lo lo")
    assert late == pytest.approx([1 / 7] * 6 + [0, 0])  # the eighth word ends the episode
    assert bool(step.terminated)
    assert play(task, state, right + " lo")[0] == pytest.approx([1 / 7] * 6 + [0, 0])  # an end behind the end


def test_bleu_is_that_of_nltk():
    bleu_score = pytest.importorskip("nltk.translate.bleu_score")
    smooth = bleu_score.SmoothingFunction().method1
    task = make_task(ID, words=3)
    env = BatchedEnv(task, 64, seed=1)
    env.reset()
    generator = torch.Generator().manual_seed(0)
    compared = 0
    for _ in range(16):
        state = env.state
        slip = torch.rand(64, generator=generator) < 0.25
        action = torch.where(slip, torch.randint(0, 20, (64,), generator=generator), env.expert_action())
        written = state.written.clone()
        written[torch.arange(64), state.time] = action
        step = env.step(action)
        for row in step.terminated.nonzero().squeeze(1).tolist():
            hypothesis = [word for word in written[row].tolist() if word]
            reference = [word for word in task.target[state.row[row]].tolist() if word]
            expected = 0.0
            if hypothesis:
                expected = bleu_score.sentence_bleu([reference], hypothesis, smoothing_function=smooth)
            assert float(step.reward[row]) == pytest.approx(expected, abs=1e-6)
            compared += 1
    assert compared > 100


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("words", 7, "a whole number from 2 to 6"),
        ("reward", "blue", "one of 'bleu', 'token'"),
        ("split", "tset", "one of 'train', 'validation', 'test'"),
    ],
)
def test_a_wrong_option_is_refused(option, value, allowed):
    with pytest.raises(InvalidInput, match=f"Translate: {option} must be {allowed}; got {value!r}"):
        make_task(ID, **{option: value})


def test_sentences_may_be_chosen_by_their_length():
    lengths = lambda **options: (make_task(ID, split="test", **options).source > 0).sum(1)  # noqa: E731
    every = lengths()
    assert set(every.tolist()) == {3, 4, 5, 6, 7}
    assert torch.equal(lengths(longest=5), every[every <= 5])
    assert torch.equal(lengths(shortest=6), every[every > 5])
    assert torch.equal(lengths(shortest=5, longest=5), every[every == 5])


@pytest.mark.parametrize("options", [{"shortest": 2}, {"longest": 8}, {"shortest": 6, "longest": 5}])
def test_lengths_that_no_sentence_has_are_refused(options):
    with pytest.raises(InvalidInput, match="must be"):
        make_task(ID, **options)
