"""Sources of symbols whose entropy is known: what `NextSymbol` lets an agent predict."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Source:
    """A stationary-rule source with S hidden states and V symbols: emit a symbol, then move to the next state.

    Attributes:
        start: (S,) the first hidden state's probabilities.
        emission: (S, V) each symbol's probability in each hidden state.
        successor: (S, V) int64 the next state after a symbol, for a source whose symbols tell its state (unifilar);
            None where the next state is random.
        transition: (S, S) the next state's probabilities, whatever the symbol; None for a unifilar source.
        symbols: V names, for people.
    """

    start: Array
    emission: Array
    successor: NDArray[np.int64] | None
    transition: Array | None
    symbols: list[str]

    def state_transition(self) -> Array:
        """(S, S) the chain of hidden states."""
        if self.transition is not None:
            return self.transition
        assert self.successor is not None
        chain = np.zeros((len(self.start), len(self.start)))
        for state, symbol in product(range(len(self.start)), range(self.emission.shape[1])):
            chain[state, self.successor[state, symbol]] += self.emission[state, symbol]
        return chain

    def stationary(self) -> Array:
        """(S,) how often each hidden state is visited in the long run, from the source's own start."""
        chain, distribution = self.state_transition(), self.start
        lazy = (chain + np.eye(len(chain))) / 2  # the same stationary share, without the chain's period
        for _ in range(64):
            lazy = lazy @ lazy
            lazy /= lazy.sum(1, keepdims=True)
        return distribution @ lazy

    def entropy_rate(self, horizon: int = 8) -> tuple[float, float]:
        """Lower and upper bound of the entropy rate in bits per symbol; they meet for a unifilar source.

        There it is the visited states' mean emission entropy (Shannon, 1948); else the bounds of Cover and Thomas
        (2006, theorem 4.5.1) at the given horizon: the last symbol's entropy given those before, and the first state
        or not.
        """
        share = self.stationary()
        if self.transition is None:
            rate = float(share @ _entropy(self.emission))
            return rate, rate
        joint = {n: self._sequence_entropy(share, n) for n in (horizon - 1, horizon)}
        known = {
            n: sum(p * self._sequence_entropy(np.eye(len(share))[s], n) for s, p in enumerate(share)) for n in joint
        }
        return known[horizon] - known[horizon - 1], joint[horizon] - joint[horizon - 1]

    def _sequence_entropy(self, start: Array, length: int) -> float:
        assert self.transition is not None
        forward = start[None]  # (sequences, S), the probability of a sequence and the state after it
        for _ in range(length):
            emitted = forward[:, None, :] * self.emission.T[None]  # (sequences, V, S)
            forward = (emitted @ self.transition).reshape(-1, len(start))
        return float(_entropy(forward.sum(1)[None])[0])


def _entropy(probabilities: Array) -> Array:
    safe = np.where(probabilities > 0, probabilities, 1.0)
    return -(probabilities * np.log2(safe)).sum(-1)


def _letters(count: int) -> list[str]:
    return [chr(ord("A") + k) for k in range(count)]


def markov(symbols: int) -> Source:
    """A first-order Markov chain with peaked random rows (Dirichlet 0.3, fixed seed); its state is the last symbol."""
    rows = np.random.default_rng(0).dirichlet(np.full(symbols, 0.3), symbols)
    rows = 0.95 * rows + 0.05 / symbols
    emission = np.vstack([np.full(symbols, 1 / symbols), rows])  # state 0: before the first symbol
    successor = np.tile(np.arange(1, symbols + 1), (symbols + 1, 1))
    return Source(_first(symbols + 1), emission, successor, None, _letters(symbols))


def hidden_markov(symbols: int) -> Source:
    """Hidden states around a ring, each moving on (0.9) or anywhere, each mostly (0.7) emitting a symbol of its own.

    A single symbol tells the state only roughly: the belief must be filtered from the whole past.
    """
    transition = 0.9 * np.roll(np.eye(symbols), 1, axis=1) + 0.1 / symbols
    emission = 0.7 * np.eye(symbols) + 0.3 / symbols
    return Source(np.full(symbols, 1 / symbols), emission, None, transition, _letters(symbols))


def context_free(symbols: int, depth: int = 4) -> Source:
    """Nested brackets of symbols / 2 kinds, at most `depth` deep: open with chance 1/2, else close the innermost."""
    kinds = symbols // 2
    stacks = [stack for size in range(depth + 1) for stack in product(range(kinds), repeat=size)]
    number = {stack: state for state, stack in enumerate(stacks)}
    emission, successor = np.zeros((len(stacks), 2 * kinds)), np.zeros((len(stacks), 2 * kinds), np.int64)
    for stack, state in number.items():
        opening = 0.0 if len(stack) == depth else 1.0 if not stack else 0.5
        for kind in range(kinds):
            emission[state, 2 * kind] = opening / kinds
            successor[state, 2 * kind] = number.get((*stack, kind), state)
        if stack:
            emission[state, 2 * stack[-1] + 1] = 1 - opening
            successor[state, 2 * stack[-1] + 1] = number[stack[:-1]]
    return Source(_first(len(stacks)), emission, successor, None, list("()[]{}<>"[: 2 * kinds]))


def arithmetic(symbols: int) -> Source:
    """Counting on modulo `symbols` by a step that each episode draws anew: two symbols tell the rest."""
    numbers = np.arange(symbols)
    return _progression((numbers[:, None] + numbers) % symbols, [str(k) for k in numbers])


def geometric(symbols: int) -> Source:
    """Multiplying on modulo a prime, `symbols` + 1, by a factor that each episode draws anew; no number is 0."""
    numbers = 1 + np.arange(symbols)
    return _progression(numbers[:, None] * numbers % (symbols + 1) - 1, [str(k) for k in numbers])


def _progression(after: NDArray[np.int64], names: list[str]) -> Source:
    """Goes from a symbol to ``after[symbol, way]`` again and again, on a way that the first two symbols tell."""
    symbols = len(after)
    states = 1 + symbols + symbols * symbols  # nothing seen; one symbol seen; (last symbol, way)
    emission, successor = np.zeros((states, symbols)), np.zeros((states, symbols), np.int64)
    emission[: 1 + symbols] = 1 / symbols
    successor[0] = 1 + np.arange(symbols)
    for last, way in product(range(symbols), repeat=2):
        symbol = after[last, way]
        known = 1 + symbols + symbol * symbols + way
        successor[1 + last, symbol] = known
        state = 1 + symbols + last * symbols + way
        emission[state, symbol] = 1.0
        successor[state] = known
    return Source(_first(states), emission, successor, None, names)


def _first(states: int) -> Array:
    return np.eye(states)[0]


SOURCES: dict[str, Any] = {
    "markov": markov,
    "hidden-markov": hidden_markov,
    "context-free": context_free,
    "arithmetic": arithmetic,
    "geometric": geometric,
}
