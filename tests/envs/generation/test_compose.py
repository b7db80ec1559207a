"""Compose: the grammar by hand and as a distribution, what sentences are worth, and that repeats count nothing."""

from __future__ import annotations

import math

import pytest
import torch

from palaestra.envs import make_task
from palaestra.envs.generation.sentences import WORDS, every_sentence, probability
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/Compose-v0"


def numbers(text):
    return [WORDS.index(word) for word in text.split()]


@pytest.mark.parametrize("topic", range(4))
def test_the_sentences_about_a_topic_are_distinct_and_their_probabilities_add_up_to_one(topic):
    sentences = every_sentence(topic)
    assert len({tuple(row) for row in sentences.tolist()}) == len(sentences) == 1290
    assert probability(sentences, topic).sum().item() == pytest.approx(1, abs=1e-12)


def test_a_probability_by_hand():
    """The quick dog runs loudly: calm 0.3, wild 0.7; article, adjective, verb, manner and end in either mood."""
    calm = 0.3 * 0.55 * 0.4 * 0.1 * 0.5 * 0.1 * 0.5 * 0.15
    wild = 0.7 * 0.6 * 0.5 * 0.35 * 0.35 * 0.6 * 0.4 * 0.85
    sentence = torch.tensor([[*numbers("the quick dog runs loudly"), 0, 0]])
    assert probability(sentence, 0).item() == pytest.approx(calm + wild, abs=1e-15)
    assert probability(sentence, 1).item() == 0  # about a cat it is no sentence
    assert probability(torch.tensor([[*numbers("the dog runs the cat"), 0, 0]]), 0).item() == 0


def write(task, state, text):
    """The last step of writing a sentence and its end."""
    for word in [*numbers(text), 0]:
        step = task.step(state, torch.tensor([word]), torch.zeros(1, 0))
        state = step.state
    return step


def test_what_a_sentence_is_worth_and_that_a_repeat_is_worth_nothing():
    task = make_task(ID)
    state = task.reset(torch.tensor([[0.1, 0.0]]))  # about a dog; the three likeliest are on the page
    log_prob = probability(task.sentences[0], 0).log()
    assert (log_prob.diff() <= 3e-4).all()  # sorted, to the grid of the rounding
    torch.testing.assert_close(state.best.double()[0], (1 - (log_prob[0] - log_prob[3:6]) / 4).sum(), atol=1e-3, rtol=0)
    step = write(task, state, "the quick dog runs loudly")
    found = probability(torch.tensor([[*numbers("the quick dog runs loudly"), 0, 0]]), 0).log().item()
    worth = 1 - (log_prob[0].item() - found) / 4
    assert 0 < worth < 1
    assert step.reward.item() == pytest.approx(worth / state.best.item(), abs=1e-3)
    assert step.metrics["log_prob"].item() == pytest.approx(found, abs=2e-4)
    assert not step.terminated.item()
    step = write(task, step.state, "the quick dog runs loudly")
    assert step.reward.item() == step.metrics["new"].item() == 0
    step = write(task, step.state, " ".join(WORDS[word] for word in task.sentences[0, 1].tolist() if word))
    assert step.reward.item() == step.metrics["new"].item() == 0  # it was there from the start
    assert step.terminated.item()


def test_what_is_no_sentence_is_worth_nothing_and_an_eighth_word_ends_it():
    task = make_task(ID)
    state = task.reset(torch.tensor([[0.1, 0.0]]))
    step = write(task, state, "the dog runs the")
    assert step.reward.item() == step.metrics["grammatical"].item() == 0
    assert math.isnan(step.metrics["log_prob"].item())
    state = step.state
    for word in numbers("the wild dog chases the wild cat softly"):
        step = task.step(state, torch.tensor([word]), torch.zeros(1, 0))
        state = step.state
    assert step.reward.item() == 0
    assert (state.sentence.item(), state.place.item()) == (5, 0)


def test_the_expert_writes_the_likeliest_that_are_missing_and_goes_on_from_any_beginning():
    task = make_task(ID)
    state = task.reset(torch.rand(64, 2))
    returns, alive = torch.zeros(64), torch.ones(64, dtype=torch.bool)
    for _ in range(task.horizon):
        step = task.step(state, task.expert(state), torch.zeros(64, 0))
        returns += step.reward * alive
        alive, state = alive & ~step.terminated, step.state
    torch.testing.assert_close(returns, torch.ones(64), atol=1e-5, rtol=0)
    state = task.reset(torch.tensor([[0.3, 0.5]]))
    for word in numbers("a wild"):
        state = task.step(state, torch.tensor([word]), torch.zeros(1, 0)).state
    for _ in range(6):
        step = task.step(state, task.expert(state), torch.zeros(1, 0))
        state = step.state
        if step.metrics["grammatical"].item() == 1:
            break
    assert state.written[0, 3, :3].tolist() == numbers("a wild cat")
    assert step.reward.item() > 0


def test_by_heart_the_likeliest_earn_about_half():
    task = make_task(ID)
    state = task.reset(torch.rand(400, 2, generator=torch.Generator().manual_seed(0)))
    total = torch.zeros(400)
    for k in range(3):
        for place in range(8):
            ended = state.sentence > 3 + k
            word = task.sentences[state.topic, k, min(place, 6)] if place < 7 else torch.zeros(400, dtype=torch.int64)
            step = task.step(state, torch.where(ended, 0, word), torch.zeros(400, 0))
            total += step.reward * ~ended
            keep = ended.view(-1, 1)
            state = type(state)(*(
                torch.where(keep.view(-1, *[1] * (getattr(step.state, name).ndim - 1)), getattr(state, name),
                            getattr(step.state, name))
                for name in type(state).__dataclass_fields__
            ))  # fmt: skip
    assert 0.4 < total.mean() < 0.6


def test_too_many_sentences_are_refused():
    with pytest.raises(InvalidInput, match="Compose: sentences must be a whole number from 1 to 6; got 7"):
        make_task(ID, sentences=7)
