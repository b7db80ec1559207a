"""Cloze: its stories against rules in words, and whether what is missing follows from what is left."""

from __future__ import annotations

import pytest
import torch

from palaestra.envs import BatchedEnv, make_task
from palaestra.envs.core.splits import SPLITS
from palaestra.envs.language.cloze import SHOWN
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/Cloze-v0"
SINGULAR = ("dog", "cat", "horse", "baker", "farmer", "singer")
ADJECTIVES = ("small", "big", "quick", "calm")
VERBS = ("chasing", "watching", "following", "helping")
NOUNS = {**dict.fromkeys(SINGULAR, 0), **{noun + "s": 1 for noun in SINGULAR}}


def stories(task, count, seed=0):
    """Stories as lists of words, and the state they come from."""
    noise = torch.rand(count, task.reset_noise, generator=torch.Generator().manual_seed(seed))
    state = task.reset(noise)
    return [[SHOWN[number] for number in row] for row in state.story.tolist()], state


def well_formed(sentence):
    the, adjective, noun, auxiliary, verb, article, other_adjective, other = sentence
    return (
        (the, auxiliary) == ("the", ("is", "are")[NOUNS[noun]])
        and article == ("a", "some")[NOUNS[other]]
        and {adjective, other_adjective} <= set(ADJECTIVES)
        and verb in VERBS
    )


def restored(seen):
    """The words of a story of which some are missing, by the rules of the docstring; None where they do not tell."""
    words = [None if word in ("__", "?") else word for word in seen]
    for first, second in ((6, 9), (7, 10)):
        words[first] = words[first] or words[second]
        words[second] = words[second] or words[first]
    for place, noun, forms in (
        (3, 2, ("is", "are")),
        (5, 7, ("a", "some")),
        (11, 10, ("is", "are")),
        (13, 15, ("a", "some")),
    ):
        words[place] = words[place] or (forms[NOUNS[words[noun]]] if words[noun] else None)
    return words


def test_stories_are_two_sentences_of_which_the_second_goes_on():
    for story in stories(make_task(ID), 300)[0]:
        assert well_formed(story[:8])
        assert well_formed(story[8:])
        assert story[6:8] == story[9:11]
        assert story[1:3] != story[14:]  # else either order would do


@pytest.mark.parametrize("masks", [1, 3, 6])
def test_every_missing_word_follows_from_what_is_left(masks):
    task = make_task(ID, masks=masks)
    told, state = stories(task, 300)
    places = torch.zeros(16)
    for story, row in zip(told, task.observe(state).tolist(), strict=True):
        seen = [SHOWN[number] for number in row]
        assert seen.count("__") + seen.count("?") == masks
        assert "__" not in seen[: seen.index("?")]
        assert restored(seen) == story
        places += torch.tensor([word in ("__", "?") for word in seen])
    assert (places > 0).nonzero().squeeze(1).tolist() == [3, 5, 6, 7, 9, 10, 11, 13]


def test_an_episode_computed_by_hand():
    """Everything is missing that can be; the article is given wrong."""
    task = make_task(ID, masks=6)
    noise = torch.tensor([[0.0, 0.3, 0.0, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0, 0, 0.9, 0.1, 0, 0]])
    state = task.reset(noise)
    story = [SHOWN[number] for number in state.story[0].tolist()]
    seen = [SHOWN[number] for number in task.observe(state)[0].tolist()]
    assert story[8:] == ["the", *story[6:8], "is" if story[7] in SINGULAR else "are", "watching", *story[13:]]
    assert [place for place, word in enumerate(seen) if word == "__"] == [5, 7, 9, 11, 13]
    assert seen[3] == "?"
    rewards = []
    for place in (3, 5, 7, 9, 11, 13):
        right = SHOWN.index(story[place]) - 1
        step = task.step(state, torch.tensor([(right + 1) % 25 if place == 5 else right]), torch.empty(1, 0))
        assert bool(step.terminated) == (place == 13)
        rewards.append(float(step.reward))
        state = step.state
    assert rewards == pytest.approx([1 / 6, 0, 1 / 6, 1 / 6, 1 / 6, 1 / 6])
    assert [SHOWN[number] for number in task.observe(state)[0].tolist()] == [
        *story[:5], SHOWN[(SHOWN.index(story[5])) % 25 + 1], *story[6:],
    ]  # fmt: skip


def test_the_order_is_that_in_which_the_second_goes_on():
    task = make_task(ID, question="order")
    told, state = stories(task, 400)
    swapped = task.expert(state).tolist()
    assert 120 < sum(swapped) < 280
    for story, late in zip(told, swapped, strict=True):
        first, second = (story[8:], story[:8]) if late else (story[:8], story[8:])
        assert first[6:] == second[1:3]
        assert second[6:] != first[1:3]
    step = task.step(state, torch.zeros(400, dtype=torch.int64), torch.empty(400, 0))
    assert step.reward.tolist() == [1 - late for late in swapped]
    assert bool(step.terminated.all())


def test_a_span_is_three_words_in_a_row_that_the_rest_tells():
    task = make_task(ID, question="span", masks=6)
    assert (task.masks, task.horizon) == (3, 3)
    told, state = stories(task, 300)
    spans = set()
    for story, row in zip(told, task.observe(state).tolist(), strict=True):
        seen = [SHOWN[number] for number in row]
        spans.add(tuple(place for place, word in enumerate(seen) if word in ("__", "?")))
        assert seen[seen.index("?") + 1 :][:2] == ["__", "__"]
        assert restored(seen) == story
    assert spans == {(5, 6, 7), (9, 10, 11)}
    for place in range(3):
        step = task.step(state, task.expert(state), torch.empty(300, 0))
        assert step.reward.tolist() == pytest.approx([1 / 3] * 300)
        assert bool(step.terminated.all()) == (place == 2)
        state = step.state


def test_what_is_next_begins_with_those_of_whom_the_first_told_last():
    task = make_task(ID, question="next")
    told, state = stories(task, 400)
    apart = task.expert(state).tolist()
    assert 150 < sum(apart) < 250
    for story, other in zip(told, apart, strict=True):
        assert well_formed(story[:8])
        assert well_formed(story[8:])
        assert (story[6:8] != story[9:11]) == bool(other)
    assert task.step(state, torch.ones(400).long(), torch.empty(400, 0)).reward.tolist() == apart


def test_no_test_story_begins_as_a_training_story_does():
    begun = {split: {tuple(row) for row in make_task(ID, split=split).first.tolist()} for split in SPLITS}
    assert [len(begun[split]) for split in SPLITS] == [6451, 922, 1843]
    assert len(set.union(*begun.values())) == 2 * 6 * 4 * 4 * 2 * 6 * 4


def test_random_words_are_seldom_right():
    env = BatchedEnv(make_task(ID), 3000, seed=1)
    env.reset()
    generator = torch.Generator().manual_seed(0)
    right = [env.step(torch.randint(25, (3000,), generator=generator)).metrics["accuracy"].mean() for _ in range(3)]
    assert float(sum(right) / 3) == pytest.approx(1 / 25, abs=0.01)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"question": "what"}, "Cloze: question must be one of 'words', 'span', 'order', 'next'; got 'what'"),
        ({"masks": 7}, "Cloze: masks must be a whole number from 1 to 6; got 7"),
        ({"split": "tset"}, "Cloze: split must be one of 'train', 'validation', 'test'; got 'tset'"),
    ],
)
def test_a_wrong_option_is_refused(options, told):
    with pytest.raises(InvalidInput, match=told):
        make_task(ID, **options)
