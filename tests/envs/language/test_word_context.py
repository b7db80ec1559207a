"""WordContext's counts by hand, its draws against them, and its expert against Bayes' rule."""

from __future__ import annotations

import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch

from palaestra.envs import make_task
from palaestra.envs.language.english import WORDS
from palaestra.envs.language.word_context import WordContextState, pair_counts
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.representation.embedding import SkipGramEncoder

ID = "palaestra/WordContext-v0"


def test_pairs_of_two_sentences_counted_by_hand():
    """ "1 2 3" and "2 3", with empty places that count for nothing."""
    sentences = torch.tensor([[1, 0, 2, 3], [0, 2, 3, 0]])
    one = pair_counts(sentences, 1, 4).tolist()
    assert one == [[0, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 2], [0, 0, 2, 0]]
    two = pair_counts(sentences, 2, 4).tolist()
    assert two == [[0, 0, 0, 0], [0, 0, 1, 1], [0, 1, 0, 2], [0, 1, 2, 0]]
    assert pair_counts(sentences, 9, 4).tolist() == two


def test_neighbours_of_whole_sentences_are_those_of_english():
    task = make_task(ID)
    near = task.ratio[WORDS.index("by")] > 0
    assert {WORDS[k] for k in near.nonzero()[:, 0].tolist()} == {
        *("a", "some"),
        *("chased", "watched", "followed", "helped"),
    }
    near = task.ratio[WORDS.index("dogs")] > 0
    assert {WORDS[k] for k in near.nonzero()[:, 0].tolist()} == {"some", "are", "small", "big", "quick", "calm"}


def test_pairs_and_noise_come_as_often_as_they_should():
    task, count = make_task(ID, candidates=3), 60_000
    state = task.reset(torch.rand(count, task.reset_noise, generator=torch.Generator().manual_seed(0)))
    pairs = task.pairs.diff(prepend=torch.zeros(1, dtype=torch.int64)).double()
    found = torch.bincount(state.word * len(WORDS) + state.context, minlength=len(pairs)).double()
    expected = pairs / pairs.sum() * count
    kept = expected > 5
    chi = ((found - expected).square() / expected)[kept].sum()
    assert abs(float(chi) - int(kept.sum())) < 5 * (2 * int(kept.sum())) ** 0.5
    assert (found[pairs == 0] == 0).all()
    words = pairs.view(len(WORDS), -1).sum(1)
    noise = words**0.75 / (words**0.75).sum()
    true = words / words.sum()  # a candidate is the pair's word in one case of three
    shares = torch.bincount(state.candidates[:, 0], minlength=len(WORDS)) / count
    torch.testing.assert_close(shares.double(), (true + 2 * noise) / 3, atol=0.006, rtol=0)
    place = (state.candidates == state.context[:, None]).float().mean(0)
    assert float(place.min()) > 1 / 3


def test_the_expert_names_the_candidate_that_bayes_rule_finds_likeliest():
    """Given that the pair is at any place, the others are noise: the posterior is enumerated place by place."""
    task, count = make_task(ID, candidates=4), 300
    state = task.reset(torch.rand(count, task.reset_noise, generator=torch.Generator().manual_seed(1)))
    pairs = np.diff(task.pairs.numpy(), prepend=0).reshape(len(WORDS), -1)
    noise = np.diff(task.noise.numpy(), prepend=0) / task.noise[-1].item()
    for word, candidates, said in zip(
        state.word.tolist(), state.candidates.tolist(), task.expert(state).tolist(), strict=True
    ):
        posterior = dict.fromkeys(candidates, 0.0)
        for place, candidate in enumerate(candidates):
            others = np.prod([noise[other] for k, other in enumerate(candidates) if k != place])
            posterior[candidate] += pairs[word, candidate] * others
        assert posterior[candidates[said]] == pytest.approx(max(posterior.values()), rel=1e-9)


def test_an_answer_is_right_if_it_is_the_word_itself():
    task = make_task(ID, candidates=3)
    state = WordContextState(
        word=torch.tensor([1, 1, 1]),
        candidates=torch.tensor([[10, 11, 10]] * 3),
        context=torch.tensor([10] * 3),
        guess=torch.tensor([-1] * 3),
    )
    assert task.observe(state)[0].tolist() == [1, 10, 11, 10]
    step = task.step(state, torch.tensor([0, 1, 2]), torch.empty(3, 0))
    assert step.reward.tolist() == [1, 0, 1]
    assert step.terminated.all()


def test_the_skip_gram_encoder_gives_products_of_word_and_context_vectors():
    encoder = SkipGramEncoder(spaces.MultiDiscrete(np.full(4, 6)))
    torch.nn.init.normal_(encoder.vectors.context.weight)
    seen = torch.tensor([[1, 2, 3, 2], [5, 0, 1, 4]])
    given = encoder(seen)
    assert given.shape == (2, encoder.output_size) == (2, 3)
    word, context = encoder.vectors.word.weight, encoder.vectors.context.weight
    for row in range(2):
        for place in range(3):
            product = word[seen[row, 0]] @ context[seen[row, 1 + place]]
            torch.testing.assert_close(given[row, place], product)
    assert not SkipGramEncoder.serves(spaces.MultiDiscrete(np.array([3, 4])))
    assert not SkipGramEncoder.serves(spaces.Discrete(4))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"candidates": 1}, "WordContext: candidates must be a whole number from 2 to 10; got 1"),
        ({"window": 0}, "WordContext: window must be a whole number from 1 to 9; got 0"),
        ({"split": "tset"}, "WordContext: split must be one of 'train', 'validation', 'test'; got 'tset'"),
    ],
)
def test_a_wrong_option_is_refused(options, told):
    with pytest.raises(InvalidInput, match=told):
        make_task(ID, **options)
