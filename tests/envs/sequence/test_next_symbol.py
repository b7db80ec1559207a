"""NextSymbol: entropy rates and the expert against formulas and enumeration that share nothing with the sources."""

from __future__ import annotations

from itertools import pairwise, product
from math import log2

import numpy as np
import pytest
import torch
from scipy import stats

from palaestra.envs import BatchedEnv, make_task
from palaestra.envs.sequence.sources import arithmetic, context_free, geometric, hidden_markov, markov
from palaestra.neural_blocks.errors import InvalidInput

ID = "palaestra/NextSymbol-v0"
OPENING, CLOSING = "([{<", ")]}>"


def markov_probability(sequence, symbols):
    rows = markov(symbols).emission[1:]
    return np.prod([1 / symbols, *(rows[a, b] for a, b in pairwise(sequence))])


def hidden_markov_probability(sequence, symbols):
    """The sum over every path of hidden states, each of whose moves the docstring gives."""

    def move(a, b):
        return 0.9 * (b == (a + 1) % symbols) + 0.1 / symbols

    def emit(state, symbol):
        return 0.7 * (state == symbol) + 0.3 / symbols

    total = 0.0
    for path in product(range(symbols), repeat=len(sequence)):
        chance = 1 / symbols
        for a, b in pairwise(path):
            chance *= move(a, b)
        for state, symbol in zip(path, sequence, strict=True):
            chance *= emit(state, symbol)
        total += chance
    return total


def context_free_probability(sequence, symbols, depth=4):
    """Brackets on a stack: even symbols open, the odd one after an even one closes it."""
    kinds, stack, chance = symbols // 2, [], 1.0
    for symbol in sequence:
        opening = 0.0 if len(stack) == depth else 0.5 if stack else 1.0
        if symbol % 2 == 0:
            chance *= opening / kinds
            stack.append(symbol)
        else:
            chance *= (1 - opening) * bool(stack and stack.pop() == symbol - 1)
    return chance


def arithmetic_probability(sequence, symbols):
    steps = {(b - a) % symbols for a, b in pairwise(sequence)}
    return 0.0 if len(steps) > 1 else (1 / symbols) ** min(2, len(sequence))


def geometric_probability(sequence, symbols):
    """Symbol k stands for k + 1; the factor from a to b is b / a modulo the prime, whose inverse Python knows."""
    factors = {(b + 1) * pow(a + 1, -1, symbols + 1) % (symbols + 1) for a, b in pairwise(sequence)}
    return 0.0 if len(factors) > 1 else (1 / symbols) ** min(2, len(sequence))


PROBABILITY = {
    "markov": markov_probability,
    "hidden-markov": hidden_markov_probability,
    "context-free": context_free_probability,
    "arithmetic": arithmetic_probability,
    "geometric": geometric_probability,
}


def sequences(task, length, batch, seed=0):
    """(T, B) observed symbols and (T, B) what the expert says comes after each."""
    env = BatchedEnv(task, batch, seed=seed)
    seen, expected = [env.reset()], []
    for _ in range(length - 1):
        expected.append(env.expert_action())
        seen.append(env.step(torch.zeros(batch, dtype=torch.int64)).final_observation)
    return torch.stack(seen), torch.stack([*expected, expected[-1]])


@pytest.mark.parametrize("source", PROBABILITY)
def test_probabilities_of_all_sequences_sum_to_one(source):
    assert sum(PROBABILITY[source](s, 4) for s in product(range(4), repeat=4)) == pytest.approx(1)


@pytest.mark.parametrize("source", PROBABILITY)
def test_the_expert_is_exact_bayes(source):
    """Its symbol makes the sequence so far and itself most probable, found by trying every symbol."""
    seen, expected = sequences(make_task(ID, source=source), 6, 15)
    for row in range(15):
        for t in range(1, 6):
            prefix = tuple(seen[:t, row].tolist())
            chances = [PROBABILITY[source]((*prefix, symbol), 4) for symbol in range(4)]
            assert chances[int(expected[t - 1, row])] >= max(chances) * (1 - 1e-5)


@pytest.mark.parametrize("source", PROBABILITY)
def test_sequences_come_as_often_as_their_probability_says(source):
    batch = 20_000
    seen, _ = sequences(make_task(ID, source=source), 3, batch, seed=7)
    codes = torch.bincount((seen[0] * 16 + seen[1] * 4 + seen[2]), minlength=64).numpy()
    chances = np.array([PROBABILITY[source](sequence, 4) for sequence in product(range(4), repeat=3)])
    assert codes[chances == 0].sum() == 0
    possible = chances > 0
    assert stats.chisquare(codes[possible], batch * chances[possible]).pvalue > 0.001


@pytest.mark.parametrize("symbols", [2, 4, 16])
def test_the_entropy_rate_of_a_markov_chain_is_that_of_its_eigenvector(symbols):
    source = markov(symbols)
    rows = source.emission[1:]
    np.testing.assert_allclose(rows.sum(1), 1)
    values, vectors = np.linalg.eig(rows.T)
    stationary = np.real(vectors[:, np.argmax(values.real)])
    stationary /= stationary.sum()
    expected = float(stationary @ stats.entropy(rows, base=2, axis=1))
    assert source.entropy_rate() == pytest.approx((expected, expected))


def test_the_entropy_rate_of_counting_is_zero():
    for symbols in (2, 5, 16):
        assert arithmetic(symbols).entropy_rate() == pytest.approx((0, 0), abs=1e-12)
    for symbols in (2, 4, 16):
        assert geometric(symbols).entropy_rate() == pytest.approx((0, 0), abs=1e-12)


def test_doubling_goes_on():
    """1, 2, 4, 8, and then 16, which is 5 modulo 11; names are the numbers themselves."""
    task = make_task(ID, source="geometric", symbols=10)
    state = task.reset(torch.zeros(1, 1))
    seen = [int(task.observe(state))]
    for _ in range(4):
        state = task.step(state, task.expert(state), torch.full((1, 1), 0.15)).state
        seen.append(int(task.observe(state)))
    assert [task.source.symbols[symbol] for symbol in seen] == ["1", "2", "4", "8", "5"]
    assert int(task.expert(state)) == 10 - 1  # twice 5


def test_the_bounds_of_a_hidden_markov_source_nearly_meet_around_a_filtered_estimate():
    """The mean surprise of an exact filter over a long run that NumPy simulates."""
    symbols, length, rng = 4, 40_000, np.random.default_rng(0)
    move = 0.9 * np.roll(np.eye(symbols), 1, axis=1) + 0.1 / symbols
    emit = 0.7 * np.eye(symbols) + 0.3 / symbols
    state, belief, surprise = 0, np.full(symbols, 1 / symbols), np.empty(length)
    for t in range(length):
        symbol = rng.choice(symbols, p=emit[state])
        chance = belief @ emit[:, symbol]
        surprise[t] = -log2(chance)
        belief = (belief * emit[:, symbol] / chance) @ move
        state = rng.choice(symbols, p=move[state])
    blocks = surprise[100:].reshape(-1, 100).mean(1)
    error = blocks.std() / len(blocks) ** 0.5
    low, high = hidden_markov(symbols).entropy_rate()
    assert low <= high
    assert high - low < 0.01
    assert low - 4 * error < blocks.mean() < high + 4 * error


def test_longer_horizons_tighten_the_bounds():
    bounds = [hidden_markov(3).entropy_rate(horizon) for horizon in (2, 4, 7)]
    lows, highs = zip(*bounds, strict=True)
    assert sorted(lows) == list(lows)
    assert sorted(highs, reverse=True) == list(highs)


@pytest.mark.parametrize("symbols", [2, 4, 8])
def test_the_entropy_rate_of_nested_brackets_is_the_mean_surprise_of_a_long_run(symbols):
    """Brackets from a plain Python stack."""
    rng, kinds, stack, surprise = np.random.default_rng(1), symbols // 2, [], []
    for _ in range(40_000):
        opening = 0.0 if len(stack) == 4 else 0.5 if stack else 1.0
        if rng.random() < opening:
            stack.append(int(rng.integers(kinds)))
            surprise.append(-log2(opening / kinds))
        else:
            stack.pop()
            surprise.append(-log2(1 - opening))
    blocks = np.array(surprise).reshape(-1, 100).mean(1)
    low, high = context_free(symbols).entropy_rate()
    assert low == high
    assert abs(low - blocks.mean()) < 4 * blocks.std() / len(blocks) ** 0.5


def test_brackets_match_and_are_named_in_pairs():
    seen, _ = sequences(make_task(ID, source="context-free", symbols=8, length=64), 60, 50)
    names = context_free(8).symbols
    for row in range(50):
        stack = []
        for symbol in seen[:, row].tolist():
            if names[symbol] in OPENING:
                stack.append(names[symbol])
            else:
                assert CLOSING.index(names[symbol]) == OPENING.index(stack.pop())
            assert len(stack) <= 4


def test_the_hidden_markov_expert_beats_one_that_sees_only_the_last_symbol():
    task = make_task(ID, source="hidden-markov")
    env = BatchedEnv(task, 2000, seed=5)
    observation = env.reset()
    right = torch.zeros(2)
    for _ in range(32):
        naive = (observation + 1) % 4
        expert = env.expert_action()
        step = env.step(expert)
        came = step.final_observation
        right += torch.stack([(expert == came).float().mean(), (naive == came).float().mean()])
        observation = step.observation
    assert float(right[0] - right[1]) > 1


def test_the_belief_is_what_enumeration_gives():
    task = make_task(ID, source="hidden-markov", symbols=3)
    env = BatchedEnv(task, 20, seed=1)
    seen = [env.reset()]
    for _ in range(4):
        seen.append(env.step(torch.zeros(20, dtype=torch.int64)).observation)
    chances = env.state.belief @ task.emission
    for row in range(20):
        prefix = tuple(int(symbols[row]) for symbols in seen)
        together = np.array([hidden_markov_probability((*prefix, symbol), 3) for symbol in range(3)])
        np.testing.assert_allclose(chances[row].numpy(), together / together.sum(), atol=1e-5)


def test_it_is_truncated_as_the_source_goes_on_for_ever():
    env = BatchedEnv(make_task(ID, length=3), 2)
    env.reset()
    steps = [env.step([0, 0]) for _ in range(3)]
    assert [step.truncated.tolist() for step in steps] == [[False] * 2, [False] * 2, [True] * 2]
    assert not any(bool(step.terminated.any()) for step in steps)


@pytest.mark.parametrize("source", PROBABILITY)
def test_over_a_million_symbols_the_expert_is_surprised_by_the_entropy_rate(source):
    env = BatchedEnv(make_task(ID, source=source, length=250, answer="odds"), 4000, seed=3)
    env.reset()
    told = sum(float(env.step(env.expert_action()).metrics["bits"].double().mean()) for _ in range(250)) / 250
    low, high = env.task.source.entropy_rate(horizon=8)
    if source in ("arithmetic", "geometric"):
        assert (low, high) == pytest.approx((0, 0), abs=1e-12)
        assert told == pytest.approx(2 / 250, rel=0.01)  # the second symbol tells the step, 2 bits
    else:
        assert low * 0.99 < told < high * 1.01


@pytest.mark.parametrize("source", PROBABILITY)
def test_the_experts_odds_are_those_of_enumeration(source):
    env = BatchedEnv(make_task(ID, source=source, answer="odds"), 10, seed=2)
    seen = [env.reset()]
    for _ in range(3):
        seen.append(env.step(env.expert_action()).observation)
    odds = env.expert_action()
    for row in range(10):
        prefix = tuple(int(symbols[row]) for symbols in seen)
        together = np.array([PROBABILITY[source]((*prefix, symbol), 4) for symbol in range(4)])
        np.testing.assert_allclose(odds[row].numpy(), together / together.sum(), atol=1e-5)


def test_log_scores_computed_by_hand():
    task = make_task(ID, source="arithmetic", answer="odds")
    state = task.reset(torch.zeros(4, 1))
    state = task.step(state, torch.ones(4, 4), torch.full((4, 1), 0.3)).state  # 0, then 1: 2 comes
    odds = torch.tensor([[0.1, 0.1, 0.2, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0] * 4, [1.0, 0.0, 0.0, 0.0]])
    step = task.step(state, odds, torch.zeros(4, 1))
    assert step.reward.tolist() == pytest.approx([-1, 0, -2, -20])
    assert step.metrics["bits"].tolist() == pytest.approx([1, 0, 2, 20])
    assert step.metrics["accuracy"].tolist() == [1, 1, 0, 0]
    assert step.state.bits.tolist() == pytest.approx([3, 2, 4, 22])
    assert step.state.chance.tolist() == pytest.approx([0.5, 1, 0.25, 0])


def test_honest_odds_earn_more_than_any_others():
    """The log score is proper: sharper or flatter odds than the true ones lose."""
    task, returns = make_task(ID, answer="odds"), []
    for power in (0.5, 1.0, 2.0):
        env = BatchedEnv(task, 2000, seed=9)
        env.reset()
        returns.append(sum(float(env.step(env.expert_action() ** power).reward.mean()) for _ in range(32)))
    assert returns[1] > max(returns[0], returns[2]) + 0.5


def test_a_wrong_answer_is_refused():
    with pytest.raises(InvalidInput, match="NextSymbol: answer must be one of 'symbol', 'odds'; got 'odd'"):
        make_task(ID, answer="odd")
