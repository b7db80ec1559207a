"""NextSymbol: predict the next symbol of a source whose entropy is known."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ...neural_blocks.errors import InvalidInput
from ..checks.options import choice, integer
from ..core.actions import Odds
from ..core.task import Step, Task
from ..drawing import wording
from ..drawing.canvas import Canvas
from ..drawing.choices import Choice, lettered, numbered
from .forecast import ANSWERS, chance, surprise
from .sources import SOURCES, Array, Source

BELOW_PRIMES = (2, 4, 6, 10, 12, 16)  # numbers of symbols of which each has an inverse
SHOWN = 8  # symbols of the past kept for the drawing


@dataclass(frozen=True)
class NextSymbolState:
    """The source's hidden state and what has come out of it.

    Attributes:
        hidden: (B,) int64 the source's state, from which the next symbol will come.
        belief: (B, S) float32 the hidden state's probabilities given the symbols so far; None for a source whose
            symbols tell its state.
        past: (B, 8) int64 the last symbols, the newest last, -1 before the first.
        guess: (B,) int64 the symbol predicted for the newest place (of odds the likeliest), -1 before the first
            prediction.
        right: (B,) int64 right predictions so far.
        time: (B,) int64 predictions so far.
        chance: (B,) float32 the probability that was given to the newest symbol; None where a symbol is predicted.
        bits: (B,) float32 all that the symbols so far have told beyond their odds, likewise.
    """

    hidden: Tensor
    belief: Tensor | None
    past: Tensor
    guess: Tensor
    right: Tensor
    time: Tensor
    chance: Tensor | None = None
    bits: Tensor | None = None


class NextSymbol(Task[NextSymbolState]):
    """Predict the next symbol of a source of known entropy.

    Isolates sequence prediction against a known bound: a Markov chain needs no memory, a hidden Markov source a belief,
    nested brackets a stack, counting modulo V the step between two symbols, multiplying their ratio.

    Observation: Discrete(symbols), the symbol that has just come.
    Action: for answer "symbol", Discrete(symbols), the symbol that will come; for "odds", Box(0, 1, (symbols,)),
        weights of the symbols, which are divided by their sum.
    Reward: for "symbol", 1 for a right prediction, 0 for a wrong one; for "odds", the log score in bits, log2 of the
        probability given to the symbol that comes, at least -20.
    Episode: truncated after `length` steps; the source goes on for ever.
    Metrics: accuracy (of odds, that of the likeliest symbol); for "odds" also bits, minus the reward.
    Expert: the most probable symbol given all symbols so far, or the probabilities of all (exact Bayes): no predictor
        is right more often, none is surprised by fewer bits. On average over a long run these are the entropy rate.
    Source: Shannon (1948) for the entropy rate, `NextSymbol.source.entropy_rate()` in bits per symbol; Good (1952) for
        the log score.

    Args:
        source: "markov", "hidden-markov", "context-free" (nested brackets, at most 4 deep), "arithmetic" (a step that
            is added again and again, modulo V) or "geometric" (a factor, modulo V + 1).
        symbols: V; even for "context-free", one less than a prime for "geometric".
        length: steps of an episode.
        answer: "symbol" or "odds".

    Raises:
        InvalidInput: an unknown source or answer, or a number out of its range.
    """

    variants = (
        {"source": "hidden-markov"},
        {"source": "context-free"},
        {"source": "arithmetic"},
        {"source": "arithmetic", "symbols": 7, "length": 16},
        {"source": "geometric", "symbols": 10},
        {"answer": "odds"},
        {"answer": "odds", "source": "hidden-markov"},
    )

    start: Tensor
    start_cdf: Tensor
    emission: Tensor
    emission_cdf: Tensor
    successor: Tensor
    transition: Tensor
    transition_cdf: Tensor

    def __init__(self, *, source: str = "markov", symbols: int = 4, length: int = 32, answer: str = "symbol") -> None:
        super().__init__()
        choice("NextSymbol: source", source, SOURCES)
        integer("NextSymbol: symbols", symbols, 2, 16)
        if source == "context-free" and symbols % 2:
            raise InvalidInput(f"NextSymbol: symbols must be even for source 'context-free'; got {symbols}")
        if source == "context-free":
            integer("NextSymbol: symbols for source 'context-free'", symbols, 2, 8)
        if source == "geometric" and symbols not in BELOW_PRIMES:
            allowed = f"one of {', '.join(map(str, BELOW_PRIMES))}"
            raise InvalidInput(f"NextSymbol: symbols must be {allowed} for source 'geometric'; got {symbols}")
        self.horizon = integer("NextSymbol: length", length, 1)
        self.by_odds = choice("NextSymbol: answer", answer, ANSWERS) == "odds"
        self.source: Source = SOURCES[source](symbols)
        self.unifilar = self.source.transition is None
        self.reset_noise, self.step_noise = (1, 1) if self.unifilar else (3, 2)
        self.observation_space = spaces.Discrete(symbols)
        self.action_space = Odds(symbols) if self.by_odds else spaces.Discrete(symbols)
        self._table("emission", self.source.emission)
        self._table("emission_cdf", _cumulative(self.source.emission))
        if self.source.transition is None:
            self.register_buffer("successor", torch.as_tensor(self.source.successor), persistent=False)
        else:
            self._table("start", self.source.start)
            self._table("start_cdf", _cumulative(self.source.start))
            self._table("transition", self.source.transition)
            self._table("transition_cdf", _cumulative(self.source.transition))

    def _table(self, name: str, values: Array) -> None:
        self.register_buffer(name, torch.as_tensor(values, dtype=torch.float32), persistent=False)

    def reset(self, noise: Tensor) -> NextSymbolState:
        """The first symbol, from the source's start."""
        zero = torch.zeros(len(noise), dtype=torch.int64, device=noise.device)
        hidden, belief = zero, None
        if not self.unifilar:
            hidden = (noise[:, 2:] >= self.start_cdf).sum(1)
            belief = self.start.expand(len(noise), -1)
        symbol, hidden, belief = self._emit(hidden, belief, noise)
        past = torch.cat([zero[:, None].expand(-1, SHOWN - 1) - 1, symbol[:, None]], 1)
        none = noise.new_zeros(len(noise), dtype=torch.float32) if self.by_odds else None
        return NextSymbolState(hidden, belief, past, zero - 1, zero, zero, none, none)

    def _emit(self, hidden: Tensor, belief: Tensor | None, noise: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """One symbol (B,), the hidden state after it and the belief about that state."""
        symbol = (noise[:, :1] >= self.emission_cdf[hidden]).sum(1)
        if belief is None:
            return symbol, self.successor[hidden, symbol], None
        hidden = (noise[:, 1:2] >= self.transition_cdf[hidden]).sum(1)
        belief = belief * self.emission[:, symbol].T  # (B, S)
        return symbol, hidden, (belief / belief.sum(1, keepdim=True)) @ self.transition

    def step(self, state: NextSymbolState, action: Tensor, noise: Tensor) -> Step[NextSymbolState]:
        """Lets the next symbol come and judges the prediction."""
        symbol, hidden, belief = self._emit(state.hidden, state.belief, noise)
        guess = action.argmax(1) if self.by_odds else action
        correct = symbol == guess
        reward = correct.float()
        metrics, given, bits = {"accuracy": reward}, None, None
        if state.bits is not None:
            given = chance(action, symbol)
            told = surprise(given)
            reward, bits, metrics = -told, state.bits + told, metrics | {"bits": told}
        past = torch.cat([state.past[:, 1:], symbol[:, None]], 1)
        following = NextSymbolState(hidden, belief, past, guess, state.right + correct, state.time + 1, given, bits)
        return Step(following, reward, torch.zeros_like(correct), metrics)

    def observe(self, state: NextSymbolState) -> Tensor:
        """The newest symbol, (B,)."""
        return state.past[:, -1]

    def expert(self, state: NextSymbolState) -> Tensor:
        """The most probable next symbol given the past, or all probabilities."""
        chances = self.emission[state.hidden] if state.belief is None else state.belief @ self.emission
        return chances.clamp(0, 1) if self.by_odds else chances.argmax(1)

    def draw(self, state: NextSymbolState, canvas: Canvas) -> None:
        """The recent symbols, the last prediction's verdict, and the share of right ones."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        names, width, middle = self.source.symbols, canvas.width, canvas.width // 2
        canvas.text("Which symbol comes next?", (middle, 50), size=30, anchor="center")
        cards = ["" if symbol < 0 else names[int(symbol)] for symbol in state.past]
        canvas.cards(cards, (20, 110, width - 40, 80), highlight=SHOWN - 1)
        canvas.text("newest", (width - 20, 184), size=20, anchor="topright")
        time = int(state.time)
        canvas.text(f"step {time} of {self.horizon}", (middle, 240), size=24, anchor="center")
        if time:
            guess, symbol = int(state.guess), int(state.past[-1])
            area = (middle - 130, 270, 260, 90)
            canvas.verdict(guess == symbol, area)
            told = f"predicted {names[guess]}   came {names[symbol]}"
            if state.bits is not None and state.chance is not None:
                told = f"likeliest {names[guess]}   came {names[symbol]}"
                given, each = wording.fixed(float(state.chance), 2), wording.fixed(float(state.bits) / time, 2)
                canvas.text(f"its odds were {given}", (middle, 335), size=22, anchor="center")
                canvas.text(f"surprise so far: {each} bits a symbol", (middle, 435), size=26, anchor="center")
            canvas.text(told, (middle, 305 if self.by_odds else 315), size=26, anchor="center")
            canvas.text(f"right so far: {int(state.right)} of {time}", (middle, 400), size=26, anchor="center")

    def draw_seen(self, observation: Tensor, canvas: Canvas) -> None:
        """The newest symbol."""
        middle = canvas.width // 2
        canvas.text("Which symbol comes next?", (middle, 60), size=30, anchor="center")
        canvas.cards([self.source.symbols[int(observation)]], (middle - 110, 120, 220, 220))
        canvas.text("the newest symbol", (middle, 370), size=24, anchor="center")
        if self.by_odds:
            canvas.text("give each symbol the odds that it comes", (middle, 420), size=24, anchor="center")

    def choices(self) -> list[Choice]:
        """A letter for each symbol that is one, else a number; odds are set one by one."""
        if self.by_odds:
            return []
        names = list(self.source.symbols)
        return lettered(len(names)) if names[0] == "A" else numbered(names)

    def entries(self) -> list[str]:
        """The symbols."""
        return list(self.source.symbols) if self.by_odds else []


def _cumulative(probabilities: Array) -> Array:
    """Cumulative sums without the last; exactly 1 where only impossible symbols remain: no uniform reaches them."""
    sums = probabilities.cumsum(-1)[..., :-1]
    return np.where(sums > 1 - 1e-9, 1.0, sums)
