"""Text blocks against NLTK, torchmetrics and plain counting."""

import math
import random

import pytest
import torch
from nltk.translate import bleu_score
from torch.nn.utils.rnn import pad_sequence
from torchmetrics.text import BLEUScore, Perplexity

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.language.text import (
    BytePairTokens,
    cooccurrence,
    corpus_bleu,
    perplexity,
    sentence_bleu,
    token_loss,
)

NLTK_SMOOTHING = {
    "none": bleu_score.SmoothingFunction().method0,
    "epsilon": bleu_score.SmoothingFunction().method1,
    "add_one": bleu_score.SmoothingFunction().method2,
}


def sentences(count, seed=0):
    """Hypotheses of 0 to 12 tokens and one to three references each, near enough to share n-grams."""
    rng = random.Random(seed)
    hypotheses, references = [], []
    for _ in range(count):
        source = [rng.randrange(6) for _ in range(rng.randrange(3, 13))]
        noisy = [[rng.randrange(6) if rng.random() < 0.2 else token for token in source] for _ in range(4)]
        references.append([other[: rng.randrange(2, 13)] for other in noisy[: rng.randrange(1, 4)]])
        hypotheses.append(noisy[3][: rng.randrange(0, 13)])
    return hypotheses, references


def padded(hypotheses, references):
    """As tensors (B, T) and (B, R, S), padded by -1."""
    rows = pad_sequence([torch.tensor(row, dtype=torch.int64) for row in hypotheses], True, -1)
    flat = [torch.tensor(reference, dtype=torch.int64) for group in references for reference in group]
    flat = iter(pad_sequence(flat, True, -1))
    most = max(map(len, references))
    groups = [torch.stack([next(flat) for _ in group]) for group in references]
    blank = torch.full((most, groups[0].shape[1]), -1)
    return rows, torch.stack([torch.cat([group, blank])[:most] for group in groups])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("smoothing", NLTK_SMOOTHING)
@pytest.mark.parametrize("max_n", [1, 2, 4])
def test_sentence_bleu_is_nltks(smoothing, max_n):
    hypotheses, references = sentences(120)
    mine = sentence_bleu(*padded(hypotheses, references), max_n, smoothing)
    for value, hypothesis, group in zip(mine.tolist(), hypotheses, references, strict=True):
        weights = (1 / max_n,) * max_n
        theirs = bleu_score.sentence_bleu(group, hypothesis, weights, NLTK_SMOOTHING[smoothing])
        assert value == pytest.approx(theirs, abs=1e-6), (hypothesis, group)
    assert (mine > 0.05).sum() > 20


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("smoothing", NLTK_SMOOTHING)
def test_sentences_of_more_than_fifteen_places_score_as_short_ones_and_as_nltk_has_it(smoothing):
    hypotheses, references = sentences(60, seed=4)
    short = padded(hypotheses, references)
    longer = [torch.nn.functional.pad(part, (0, 16 - part.shape[-1]), value=-1) for part in short]
    assert torch.equal(sentence_bleu(*short, smoothing=smoothing), sentence_bleu(*longer, smoothing=smoothing))
    long = [row + row[::-1] for row in hypotheses]
    mine = sentence_bleu(*padded(long, references), smoothing=smoothing)
    for value, hypothesis, group in zip(mine.tolist(), long, references, strict=True):
        theirs = bleu_score.sentence_bleu(group, hypothesis, smoothing_function=NLTK_SMOOTHING[smoothing])
        assert value == pytest.approx(theirs, abs=1e-6), (hypothesis, group)


def test_sentences_of_fifteen_places_and_unlike_types_score_as_nltk_has_it():
    rng = random.Random(5)
    hypothesis, reference = ([rng.randrange(3) + 70_000 for _ in range(15)] for _ in range(2))
    mine = sentence_bleu(torch.tensor([hypothesis]), torch.tensor([[reference]], dtype=torch.int32))
    assert mine.item() == pytest.approx(bleu_score.sentence_bleu([reference], hypothesis), abs=1e-6)
    assert 0 < mine.item() < 1


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("smoothing", NLTK_SMOOTHING)
def test_corpus_bleu_is_nltks(smoothing):
    for seed, count in [(1, 1), (2, 5), (3, 200)]:
        # which counts one n-gram in a hypothesis shorter than n
        pairs = [pair for pair in zip(*sentences(count, seed), strict=True) if len(pair[0]) >= 4]
        hypotheses, references = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        mine = corpus_bleu(*padded(hypotheses, references), smoothing=smoothing)
        theirs = bleu_score.corpus_bleu(references, hypotheses, smoothing_function=NLTK_SMOOTHING[smoothing])
        assert mine.item() == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("max_n", [2, 4])
def test_corpus_bleu_is_torchmetrics_short_hypotheses_included(max_n):
    # with one reference each: it breaks ties between references otherwise
    pairs = [pair for pair in zip(*sentences(100, 4), strict=True) if pair[0]]
    assert sum(len(pair[0]) < 4 for pair in pairs) > 10
    hypotheses, references = [pair[0] for pair in pairs], [pair[1][:1] for pair in pairs]
    words = [" ".join(map(str, row)) for row in hypotheses]
    theirs = BLEUScore(max_n)(words, [[" ".join(map(str, row)) for row in group] for group in references])
    assert corpus_bleu(*padded(hypotheses, references), max_n).item() == pytest.approx(theirs.item(), abs=1e-6)


def test_a_perfect_corpus_scores_one_however_short_some_of_its_sentences_are():
    hypotheses = [[1, 2, 3, 4, 5], [1, 2], [3]]
    assert corpus_bleu(*padded(hypotheses, [[row] for row in hypotheses])).item() == pytest.approx(1)
    # 5 + 2 + 1 tokens, 4 + 1 pairs and 3 triples, of which "9" and the pair that ends in it are wrong: 7/8, 4/5, 1
    hypotheses, references = [[1, 2, 3, 4, 5], [1, 9], [3]], [[[1, 2, 3, 4, 5]], [[1, 2]], [[3]]]
    wanted = (7 / 8 * 4 / 5) ** (1 / 3)
    assert corpus_bleu(*padded(hypotheses, references), 3).item() == pytest.approx(wanted, abs=1e-6)


def test_a_corpus_without_any_ngram_of_some_length_scores_zero():
    rows = padded([[1, 2], [3]], [[[1, 2]], [[3]]])
    assert corpus_bleu(*rows).item() == 0
    assert corpus_bleu(*rows, smoothing="epsilon").item() == 0
    assert corpus_bleu(*rows, smoothing="add_one").item() == pytest.approx(1)  # one match of one n-gram is added


def test_bleu_compiles_to_one_graph():
    rows = padded(*sentences(20))
    for function in (sentence_bleu, corpus_bleu):
        compiled = torch.compile(function, backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled(*rows, 4, "add_one"), function(*rows, 4, "add_one"))


def test_a_hypothesis_shorter_than_the_longest_ngram_is_counted_like_nltk_counts_it():
    assert sentence_bleu(torch.tensor([[1, 2]]), torch.tensor([[[1, 2]]]), max_n=2).item() == pytest.approx(1)
    assert sentence_bleu(torch.tensor([[1, 2]]), torch.tensor([[[1, 2]]]), max_n=4).item() == 0
    assert sentence_bleu(torch.tensor([[-1, -1]]), torch.tensor([[[1, 2]]]), smoothing="add_one").item() == 0


def test_perplexity_is_torchmetrics():
    logits, tokens = torch.randn(4, 7, 5), torch.randint(-1, 5, (4, 7))
    theirs = Perplexity(ignore_index=-1)(logits, tokens)
    torch.testing.assert_close(perplexity(logits, tokens), theirs, rtol=1e-6, atol=1e-6)
    assert perplexity(torch.zeros(2, 9), torch.tensor([0, 8])).item() == pytest.approx(9, rel=1e-6)


def test_label_smoothing_mixes_the_target_with_even_probabilities():
    logits, tokens = torch.randn(3, 4, 5), torch.randint(0, 5, (3, 4))
    target = torch.full((3, 4, 5), 0.1 / 5).scatter_add(2, tokens[..., None], torch.full((3, 4, 1), 0.9))
    wanted = -(target * logits.log_softmax(-1)).sum(-1).mean()
    torch.testing.assert_close(token_loss(logits, tokens, 0.1), wanted)
    tokens[0] = -7
    rows = -(target * logits.log_softmax(-1)).sum(-1)[1:].mean()
    torch.testing.assert_close(token_loss(logits, tokens, 0.1), rows)


def test_cooccurrence_counts_pairs_within_the_window():
    rows = [[0, 1, 2, 1, 3], [2, 2, 0]]
    wanted = torch.zeros(4, 4)
    for row in rows:
        for i, left in enumerate(row):
            for j, right in enumerate(row):
                wanted[left, right] += 0 < abs(i - j) <= 2
    tokens = torch.tensor([rows[0], [*rows[1], -1, -1]])
    assert torch.equal(cooccurrence(tokens, 4, 2), wanted)
    assert torch.equal(cooccurrence(tokens[0], 4, 9).sum(), torch.tensor(20.0))


def test_decay_counts_a_pair_by_its_inverse_distance():
    counts = cooccurrence(torch.tensor([0, 1, 2, 3]), 4, 3, decay=True)
    assert counts[0].tolist() == pytest.approx([0, 1, 1 / 2, 1 / 3])
    assert torch.equal(counts, counts.T)


def test_byte_pairs_are_merged_by_frequency():
    # "hug" 10, "pug" 5, "pun" 12, "bun" 4, "hugs" 5: the pairs u-g (20), u-n (16) and h-ug (15) come first
    texts = [" ".join(["hug"] * 10 + ["pug"] * 5 + ["pun"] * 12 + ["bun"] * 4 + ["hugs"] * 5)]
    tokens = BytePairTokens.train([text.replace(" ", "\n") for text in texts], 259)
    assert tokens.vocabulary == 259
    assert [tokens.decode(token[None]) for token in tokens.encode("hugs")] == ["hug", "s"]
    assert [tokens.decode(token[None]) for token in tokens.encode("pun")] == ["p", "un"]


def test_any_text_comes_back_from_its_tokens():
    tokens = BytePairTokens.train(["the cat sat on the mat"] * 3, 300)
    for text in ("the cat", "", " naïve  日本 \n\t🙂", "\x00"):
        assert tokens.decode(tokens.encode(text)) == text
    again = BytePairTokens(tokens.to_json())
    assert torch.equal(again.encode("the dog sat"), tokens.encode("the dog sat"))
    assert again.vocabulary == tokens.vocabulary
    assert len(tokens.encode("the cat sat")) < len("the cat sat")
    assert tokens.decode(torch.cat([tokens.encode("cat"), torch.tensor([-1, -1])])) == "cat"


def test_bad_input_is_named():
    hypotheses, references = torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, 1, 3, dtype=torch.int64)
    with pytest.raises(InvalidInput, match=r"\(2, 3\) and \(3, 1, 3\)"):
        sentence_bleu(hypotheses, torch.zeros(3, 1, 3, dtype=torch.int64))
    with pytest.raises(InvalidInput, match="did you mean 'epsilon'"):
        corpus_bleu(hypotheses, references, smoothing="epsilom")
    with pytest.raises(InvalidInput, match="max_n must be at least 1; got 0"):
        sentence_bleu(hypotheses, references, max_n=0)
    with pytest.raises(InvalidInput, match=r"\(2, 3, 5\).*\(2, 4\)"):
        token_loss(torch.zeros(2, 3, 5), torch.zeros(2, 4, dtype=torch.int64))
    with pytest.raises(InvalidInput, match="window from 1 on; got"):
        cooccurrence(torch.zeros(3, dtype=torch.int64), 4, 0)
    with pytest.raises(InvalidInput, match="at least 256, the bytes; got 255"):
        BytePairTokens.train(["a"], 255)


def test_bleu_of_an_even_hand_example():
    # 5 of 6 tokens, 3 of 5 pairs; the reference is one longer: exp(1 - 7 / 6)
    hypothesis, reference = [[0, 1, 2, 3, 4, 9]], [[[0, 1, 2, 8, 3, 4, 7]]]
    wanted = math.exp(1 - 7 / 6) * math.sqrt(5 / 6 * 3 / 5)
    assert sentence_bleu(*padded(hypothesis, reference), max_n=2).item() == pytest.approx(wanted, abs=1e-6)
