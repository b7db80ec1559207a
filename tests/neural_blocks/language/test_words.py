"""Encoders of words, and what is hidden of a text."""

import gymnasium.spaces as spaces
import pytest
import torch

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.language.words import (
    BagOfWords,
    SiameseSentences,
    WordTransformer,
    WordVectors,
    has_words,
    masked_words,
    vocabulary_of,
)


def test_vectors_of_words_stand_side_by_side():
    encoder = WordVectors(spaces.MultiDiscrete([5, 3]), 4)
    table = encoder.table.weight
    assert torch.equal(encoder(torch.tensor([[4, 0], [1, 2]])), torch.stack([table[[4, 0]], table[[1, 2]]]).flatten(1))
    assert encoder.output_size == 8
    one = WordVectors(spaces.Discrete(5), 4)
    assert torch.equal(one(torch.tensor([3, 1])), one.table.weight[[3, 1]])


def test_a_row_of_words_is_the_mean_over_its_places():
    encoder = WordTransformer(spaces.MultiDiscrete([5, 5, 5]), 8, 2, 1)
    words = torch.tensor([[0, 1, 2], [2, 1, 0]])
    assert torch.equal(encoder(words), encoder.states(words).mean(1))
    assert not torch.allclose(encoder(words)[0], encoder(words)[1])  # the order counts


def test_a_bag_counts_words_in_any_order():
    bag = BagOfWords(spaces.MultiDiscrete([4, 4, 4]))
    assert bag(torch.tensor([[0, 3, 0], [3, 0, 0]])).tolist() == [[2, 0, 0, 1]] * 2
    assert BagOfWords(spaces.Discrete(3))(torch.tensor([2])).tolist() == [[0, 0, 1]]


def test_both_sentences_go_through_one_encoder_and_are_compared():
    row = spaces.MultiDiscrete([5] * 3)
    encoder = SiameseSentences(spaces.Dict({"first": row, "second": row}), 8, 2, 1)
    words = torch.tensor([[0, 1, 2], [2, 1, 0]])
    seen = {"first": words, "second": words.flip(0)}
    first, second, apart, product = encoder(seen).chunk(4, 1)
    assert torch.equal(first, encoder.shared(words))
    assert torch.equal(second, first.flip(0))
    torch.testing.assert_close(apart, (first - second).abs())
    torch.testing.assert_close(product, first * second)
    for other in (row, spaces.Dict({"a": row}), spaces.Dict({"a": row, "b": spaces.MultiDiscrete([5] * 4)})):
        with pytest.raises(InvalidInput, match="a Dict of two equal rows of words"):
            SiameseSentences(other)


def test_words_are_counted_from_zero():
    assert vocabulary_of(spaces.Discrete(7)) == 7
    assert vocabulary_of(spaces.MultiDiscrete([2, 9])) == 9
    for other in (spaces.Discrete(3, start=1), spaces.Box(0, 1, (2,)), spaces.MultiDiscrete([[2, 2]])):
        assert not has_words(other)
        with pytest.raises(InvalidInput, match="must be Discrete"):
            vocabulary_of(other)


def test_eight_in_ten_of_the_chosen_words_are_hidden_and_one_in_ten_stays():
    texts = torch.arange(20_000).reshape(200, 100) % 7
    given, chosen = masked_words(texts, 7, 0.2, seed=3)
    assert chosen.float().mean().item() == pytest.approx(0.2, abs=0.01)
    assert torch.equal(given[~chosen], texts[~chosen])
    assert (given[chosen] == 7).float().mean().item() == pytest.approx(0.8, abs=0.02)
    stays = 0.1 + 0.1 / 7  # another word is the same one by chance
    assert (given[chosen] == texts[chosen]).float().mean().item() == pytest.approx(stays, abs=0.02)
