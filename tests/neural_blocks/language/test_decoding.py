"""Greedy and beam search against a search of every sequence."""

import itertools

import pytest
import torch

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.neural_blocks.language.decoding import ancestral, beam, greedy
from palaestra.neural_blocks.language.language_model import LanguageModel

V, L, END = 3, 4, 2


def markov(seed):
    """A second-order source for each of two rows: the memory holds the row's table and the token before the last."""
    table = torch.randn(2, V + 1, V + 1, V, generator=torch.Generator().manual_seed(seed)) * 2

    def step(token, memory):
        rows, before = memory
        logits = rows[torch.arange(len(token)), before, token]
        return logits, (rows, token)

    return step, (table, torch.full((2,), V)), torch.full((2,), V)


def every_sequence(table, row, normalisation):
    """Each sequence that ends with END or is L long, with its score, the best first."""
    log_probabilities = table[row].log_softmax(-1)
    scored = {}
    for tokens in itertools.product(range(V), repeat=L):
        tokens = tokens[: tokens.index(END) + 1] if END in tokens else tokens
        total, before, last = 0.0, V, V
        for token in tokens:
            total += log_probabilities[before, last, token].item()
            before, last = last, token
        scored[tokens] = total / len(tokens) ** normalisation
    return sorted(scored.items(), key=lambda item: -item[1])


@pytest.mark.parametrize("normalisation", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_beam_as_wide_as_the_tree_finds_the_best_sequences(seed, normalisation):
    step, memory, start = markov(seed)
    width = V**L
    tokens, scores = beam(step, memory, start, L, end=END, width=width, normalisation=normalisation)
    for row in range(2):
        wanted = every_sequence(memory[0], row, normalisation)
        for mine, score, (sequence, theirs) in zip(tokens[row].tolist(), scores[row].tolist(), wanted, strict=False):
            assert mine == [*sequence, *[-1] * (L - len(sequence))]
            assert score == pytest.approx(theirs, abs=1e-5)
        assert scores[row, len(wanted) :].isneginf().all()


def test_length_normalisation_favours_the_longer_sequence():
    # END at once has probability 0.4; 0 three times and END has 0.6 * 0.6 * 0.6 * 0.6 = 0.1296 < 0.4 = (0.7953)^4
    step = [torch.tensor([0.6, 0.0, 0.4]), torch.tensor([0.6, 0.0, 0.4]), torch.tensor([0.6, 0, 0.4])]
    step = [*step, torch.tensor([0.4, 0.0, 0.6])]

    def one(token, memory):
        return torch.stack([step[time] for time in memory[0].tolist()]).log(), (memory[0] + 1,)

    start = (torch.zeros(1, dtype=torch.int64),)
    plain, probability = beam(one, start, torch.tensor([0]), 4, end=END, width=3, normalisation=0.0)
    assert plain[0, 0].tolist() == [END, -1, -1, -1]
    assert probability[0, 0].exp().item() == pytest.approx(0.4)
    fair, mean = beam(one, start, torch.tensor([0]), 4, end=END, width=3, normalisation=1.0)
    assert fair[0, 0].tolist() == [0, 0, 0, END]
    assert mean[0, 0].exp().item() == pytest.approx(0.6)


def test_a_bonus_for_each_word_favours_the_longer_sequence():
    step, memory, start = markov(3)
    tokens, scores = beam(step, memory, start, L, end=END, width=V**L, normalisation=0.0, bonus=0.3)
    for row in range(2):
        plain = every_sequence(memory[0], row, 0.0)
        wanted = sorted(((words, total + 0.3 * len(words)) for words, total in plain), key=lambda found: -found[1])
        assert tokens[row, 0, : len(wanted[0][0])].tolist() == [*wanted[0][0]]
        assert scores[row, : len(wanted)].tolist() == pytest.approx([total for _, total in wanted], abs=1e-5)
    huge, _ = beam(step, memory, start, L, end=END, width=V**L, normalisation=0.0, bonus=100.0)
    assert (huge[:, 0] >= 0).all()  # as long as can be


def test_a_beam_of_one_is_greedy():
    step, memory, start = markov(5)
    wanted = greedy(step, memory, start, L, end=END)
    assert torch.equal(beam(step, memory, start, L, end=END, width=1)[0][:, 0], wanted)
    log_probabilities = memory[0].log_softmax(-1)
    for row in range(2):
        before, last = V, V
        for token in wanted[row].tolist():
            if token < 0:
                assert last == END
                break
            assert token == log_probabilities[row, before, last].argmax()
            before, last = last, token


def test_a_finished_sequence_is_followed_by_padding():
    step, memory, start = markov(6)
    rows = (memory[0][:1].expand(500, -1, -1, -1), memory[1][:1].expand(500))
    drawn = ancestral(step, rows, start[:1].expand(500), L, end=END, seed=0)
    ended = (drawn == END).cumsum(1) - (drawn == END).long() > 0
    assert ended.any()
    assert torch.equal(drawn == -1, ended)


def test_wider_beams_of_a_language_model_score_no_worse():
    torch.manual_seed(0)
    model = LanguageModel(V, L, 8, 2, 1)
    torch.nn.init.normal_(model.head.weight)
    memory = model.initial_memory(2)
    start = torch.full((2,), model.start)
    every = torch.cartesian_prod(*[torch.arange(V)] * L)
    best = [beam(model.step, memory, start, L, end=END, width=width, normalisation=0.0)[1][:, 0] for width in (1, V**L)]
    assert (best[1] >= best[0]).all()
    unfinished = every[(every[:, :-1] != END).all(1)]
    assert best[1][0].item() >= model.log_prob(unfinished).max().item() - 1e-5


def test_decoding_compiles_to_one_graph():
    model = LanguageModel(V, L, 8, 2, 1)
    memory, start = model.initial_memory(2), torch.full((2,), model.start)

    def both(start, memory):
        wide, scores = beam(model.step, memory, start, L, end=END, width=2)
        return greedy(model.step, memory, start, L), wide, scores

    torch.testing.assert_close(torch.compile(both, backend="eager", fullgraph=True)(start, memory), both(start, memory))


def test_bad_input_is_named():
    step, memory, start = markov(0)
    with pytest.raises(InvalidInput, match="length must be at least 1; got 0"):
        greedy(step, memory, start, 0)
    with pytest.raises(InvalidInput, match="got 3 and 0"):
        beam(step, memory, start, 3, end=END, width=0)
