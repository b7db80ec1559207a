"""Word vectors against the factorisations that they are known to find."""

import collections
import io

import numpy as np
import pytest
import torch
from sklearn.decomposition import TruncatedSVD

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.language.text import cooccurrence
from palaestra.neural_blocks.representation.embedding import (
    GloVe,
    SkipGram,
    analogy,
    context_pairs,
    keep_probabilities,
    nearest,
    negative_probabilities,
    phrases,
    positive_pmi,
    svd_vectors,
)


@pytest.fixture
def counts():
    """Symmetric co-occurrence counts of five words."""
    half = torch.randint(1, 30, (5, 5), generator=torch.Generator().manual_seed(0)).double()
    return half + half.T


def test_pairs_are_all_neighbours_within_the_window():
    tokens = torch.tensor([3, 1, 4, 1, 5])
    wanted = collections.Counter(
        (tokens[i].item(), tokens[j].item()) for i in range(5) for j in range(5) if 1 <= abs(i - j) <= 2
    )
    words, contexts = context_pairs(tokens, 2)
    assert collections.Counter(zip(words.tolist(), contexts.tolist(), strict=True)) == wanted


def test_an_untrained_skip_gram_loses_a_coin_toss_for_each_word():
    block = SkipGram(10, 4)
    loss = block.loss(torch.arange(6), torch.arange(6), torch.zeros(6, 5, dtype=torch.long))
    assert loss.item() == pytest.approx(6 * np.log(2), rel=1e-6)


def test_skip_gram_finds_pointwise_mutual_information_less_log_k(counts):
    """Levy and Goldberg (2014): at the optimum of wide enough vectors, w . c = PMI - log k."""
    torch.manual_seed(0)
    block = SkipGram(5, 5).double()
    share = counts / counts.sum()
    negatives = 2 * share.sum(1, keepdim=True) * share.sum(0)
    words, contexts = (index.flatten() for index in torch.meshgrid(torch.arange(5), torch.arange(5), indexing="ij"))
    optimiser = torch.optim.LBFGS(block.parameters(), max_iter=2000, line_search_fn="strong_wolfe", tolerance_grad=1e-9)
    torch.nn.init.normal_(block.context.weight)

    def closure():
        """The expected loss, each pair weighed by how often it comes as neighbours and as noise."""
        optimiser.zero_grad()
        nothing = contexts.new_zeros(1, 0)
        loss = 0.0
        for word, context in zip(words, contexts, strict=True):
            positive = block.loss(word[None], context[None], nothing)
            both = block.loss(word[None], context[None], context[None, None])
            loss = loss + share[word, context] * positive + negatives[word, context] * (both - positive)
        loss.backward()
        return loss

    optimiser.step(closure)
    found = block.word.weight @ block.context.weight.T
    torch.testing.assert_close(found.detach(), (share / (negatives / 2)).log() - np.log(2), atol=0.01, rtol=0)


def test_negatives_are_drawn_by_the_three_quarter_power():
    torch.testing.assert_close(negative_probabilities(torch.tensor([1.0, 16.0])), torch.tensor([1 / 9, 8 / 9]))


def test_frequent_words_are_thinned_by_the_root():
    keep = keep_probabilities(torch.tensor([9.0, 90.0, 901.0, 0.0]), threshold=0.009)
    torch.testing.assert_close(keep, torch.tensor([1.0, 0.1**0.5, (9 / 901) ** 0.5, 1.0]))


def test_glove_fits_the_logarithm_of_the_counts(counts):
    torch.manual_seed(0)
    block = GloVe(5, 5, ceiling=20.0).double()
    words, contexts = (index.flatten() for index in torch.meshgrid(torch.arange(5), torch.arange(5), indexing="ij"))
    optimiser = torch.optim.LBFGS(block.parameters(), max_iter=1000, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        loss = block.loss(words, contexts, counts.flatten())
        loss.backward()
        return loss

    optimiser.step(closure)
    fitted = block.word.weight @ block.context.weight.T + block.word_bias.weight + block.context_bias.weight.T
    torch.testing.assert_close(fitted.detach(), counts.log(), atol=1e-3, rtol=0)
    torch.testing.assert_close(block(torch.tensor([2])), block.word.weight[2:3] + block.context.weight[2:3])


def test_the_glove_loss_weighs_rare_pairs_less():
    block = GloVe(3, 2, ceiling=16.0)
    for parameter in block.parameters():
        torch.nn.init.zeros_(parameter)
    loss = block.loss(torch.tensor([0, 1]), torch.tensor([1, 2]), torch.tensor([1 / 16, 64.0]))
    assert loss.item() == pytest.approx(((1 / 256) ** 0.75 * np.log(16) ** 2 + np.log(64) ** 2) / 2, rel=1e-5)


def test_positive_pmi_is_zero_below_chance_and_where_nothing_occurs():
    counts = torch.tensor([[8.0, 0.0], [4.0, 4.0]])
    wanted = torch.tensor([[8 * 16 / (8 * 12), 1.0], [1.0, 4 * 16 / (8 * 4)]]).log()
    torch.testing.assert_close(positive_pmi(counts), wanted)
    assert positive_pmi(torch.zeros(2, 2)).isfinite().all()


def test_svd_vectors_are_scikit_learns_up_to_sign(counts):
    matrix = counts.float()
    peer = TruncatedSVD(3, algorithm="arpack", random_state=0)
    wanted = torch.from_numpy(peer.fit_transform(matrix.numpy()) / np.sqrt(peer.singular_values_)).float()
    torch.testing.assert_close(svd_vectors(matrix, 3).abs(), wanted.abs(), atol=1e-3, rtol=1e-3)


def test_latent_semantic_analysis_finds_words_of_like_texts():
    table = torch.tensor([[3.0, 2, 0, 0], [2.0, 3, 0, 0], [0.0, 0, 4, 1], [0.0, 0, 1, 1], [1.0, 1, 1, 1]])
    found = svd_vectors(table, 2)
    wanted = TruncatedSVD(2, algorithm="arpack", random_state=0).fit(table.numpy())
    torch.testing.assert_close(
        found.T @ found, torch.diag(torch.from_numpy(wanted.singular_values_)), atol=1e-4, rtol=0
    )
    assert nearest(found, found[:4], 1, torch.arange(4)[:, None])[:, 0].tolist() == [1, 0, 3, 2]


def test_the_softmax_over_all_words_is_the_log_probability_of_the_neighbour():
    block = SkipGram(4, 3)
    torch.nn.init.normal_(block.context.weight)
    shares = (block.word.weight[2] @ block.context.weight.T).detach().softmax(-1)
    loss = block.softmax_loss(torch.tensor([2, 2]), torch.tensor([0, 3]))
    assert loss.item() == pytest.approx(-shares[[0, 3]].log().mean().item(), rel=1e-5)


def test_an_analogy_goes_the_same_way_from_another_word():
    angles = torch.tensor([0.0, 0.5, 2.0, 2.5, 4.0])
    vectors = torch.stack([angles.cos(), angles.sin()], 1) * torch.tensor([[1.0], [3], [2], [5], [1]])
    assert analogy(vectors, torch.tensor([0]), torch.tensor([1]), torch.tensor([2])).tolist() == [3]
    assert nearest(vectors, vectors[:1], 2, torch.tensor([[0]])).tolist() == [[1, 2]]


def test_vectors_take_over_the_bias_of_their_text():
    """Who always helps in a text is nearer to helping in its vectors: bias is learned from data (Caliskan, 2017)."""
    sentences = torch.tensor([[0, 2, 4], [0, 2, 5], [0, 3, 4], [1, 3, 6], [1, 3, 7], [1, 2, 6]] * 5)  # she, he: 0, 1
    vectors = svd_vectors(positive_pmi(cooccurrence(sentences, 8, 2)), 3)
    likeness = torch.cosine_similarity(vectors[:2, None], vectors[None, 4:], dim=-1)  # of both to nurse, ..., pilot
    association = likeness[0] - likeness[1]
    assert (association[:2] > 0.1).all()
    assert (association[2:] < -0.1).all()


def test_a_phrase_is_a_pair_that_meets_more_often_than_its_words_let_expect():
    tokens = torch.tensor([0, 1, 2, 0, 1, 3, 0, 1, 2, 2, 3, 0, 1])  # "new york" is 0 1; 1 2 and others are rarer
    assert phrases(tokens, 4, 5, discount=1.5).tolist() == [[0, 1], [3, 0], [1, 2]]
    score = [(4 - 1.5) / (4 * 4), (2 - 1.5) / (2 * 4), (2 - 1.5) / (4 * 3)]
    assert score == sorted(score, reverse=True)
    assert phrases(tokens, 4, 1, discount=1.5).tolist() == [[0, 1]]


@pytest.mark.parametrize("make", [SkipGram, GloVe])
def test_compiled_saved_and_bfloat16_blocks_do_the_same(make):
    block, words, contexts = make(7, 3), torch.tensor([0, 3]), torch.tensor([6, 2])
    last = torch.tensor([[1, 2], [4, 4]]) if make is SkipGram else torch.tensor([3.0, 200.0])
    eager = block.loss(words, contexts, last)
    torch.testing.assert_close(torch.compile(block.loss, backend="eager", fullgraph=True)(words, contexts, last), eager)
    file = io.BytesIO()
    torch.save(block.state_dict(), file)
    file.seek(0)
    loaded = make(7, 3)
    loaded.load_state_dict(torch.load(file, weights_only=True))
    torch.testing.assert_close(loaded.loss(words, contexts, last), eager)
    torch.testing.assert_close(loaded(words), block(words))
    assert block.bfloat16()(words).dtype == torch.bfloat16
    half = last if make is SkipGram else last.bfloat16()
    assert block.loss(words, contexts, half).dtype == torch.bfloat16
    assert svd_vectors(torch.eye(3).bfloat16(), 2).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: SkipGram(0, 3), ["0", "3"]),
        (lambda: GloVe(3, 0), ["3", "0"]),
        (lambda: SkipGram(4, 2).loss(torch.arange(3), torch.arange(2), torch.zeros(3, 1).long()), ["(3,)", "(2,)"]),
        (lambda: GloVe(4, 2).loss(torch.arange(3), torch.arange(3), torch.ones(2)), ["(3,)", "(2,)"]),
        (lambda: context_pairs(torch.zeros(4), 4), ["(4,)", "4"]),
        (lambda: svd_vectors(torch.zeros(4, 3), 4), ["(4, 3)", "4"]),
        (lambda: SkipGram(4, 2).softmax_loss(torch.arange(3), torch.arange(2)), ["(3,)", "(2,)"]),
        (lambda: svd_vectors(torch.zeros(4, 4), 5), ["(4, 4)", "5"]),
    ],
)
def test_bad_input_is_named(call, named):
    with pytest.raises(InvalidInput) as refusal:
        call()
    assert all(part in str(refusal.value) for part in named)
