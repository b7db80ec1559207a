"""Word vectors find the topics of an artificial corpus."""

import pytest
import torch
import torch.nn.functional as F

from palaestra.neural_blocks.representation.embedding import (
    GloVe,
    SkipGram,
    context_pairs,
    negative_probabilities,
    positive_pmi,
    svd_vectors,
)

TOPICS, WORDS = 5, 8  # words of one topic


@pytest.fixture(scope="module")
def corpus():
    """20,000 tokens in passages of ten; in each, four words in five are of its topic, the others of any."""
    generator = torch.Generator().manual_seed(0)
    topic = torch.randint(0, TOPICS, (2000,), generator=generator).repeat_interleave(10)
    own = topic * WORDS + torch.randint(0, WORDS, (20_000,), generator=generator)
    any_word = torch.randint(0, TOPICS * WORDS, (20_000,), generator=generator)
    return torch.where(torch.rand(20_000, generator=generator) < 0.8, own, any_word)


def counted(corpus):
    size = TOPICS * WORDS
    words, contexts = context_pairs(corpus, 3)
    return torch.bincount(words * size + contexts, minlength=size**2).view(size, size).float()


def by_skip_gram(corpus):
    block = SkipGram(TOPICS * WORDS, 8)
    words, contexts = context_pairs(corpus, 3)
    noise = negative_probabilities(torch.bincount(corpus).float())
    optimiser = torch.optim.Adam(block.parameters(), 0.01)
    for _ in range(300):
        rows = torch.randint(0, len(words), (512,))
        negatives = torch.multinomial(noise, 512 * 5, replacement=True).view(512, 5)
        optimiser.zero_grad()
        block.loss(words[rows], contexts[rows], negatives).backward()
        optimiser.step()
    return block.word.weight


def by_glove(corpus):
    counts = counted(corpus)
    block, (words, contexts) = GloVe(TOPICS * WORDS, 8), counts.nonzero(as_tuple=True)
    optimiser = torch.optim.Adam(block.parameters(), 0.02)
    for _ in range(300):
        optimiser.zero_grad()
        block.loss(words, contexts, counts[words, contexts]).backward()
        optimiser.step()
    return block(torch.arange(TOPICS * WORDS))


def by_svd(corpus):
    return svd_vectors(positive_pmi(counted(corpus)), 8)


@pytest.mark.parametrize("learnt", [by_skip_gram, by_glove, by_svd])
def test_the_nearest_words_are_of_the_same_topic(corpus, learnt):
    torch.manual_seed(0)
    vectors = F.normalize(learnt(corpus).detach(), dim=1)
    cosine = (vectors @ vectors.T).fill_diagonal_(-1)
    topic = torch.arange(TOPICS * WORDS) // WORDS
    nearest = cosine.topk(WORDS - 1).indices  # (V, 7)
    assert (topic[nearest] == topic[:, None]).float().mean().item() >= 0.95
