"""WordContext: say which of several words stands near a given one."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ...neural_blocks.representation.embedding import negative_probabilities
from ..checks.options import choice, integer
from ..core.splits import SPLITS
from ..core.task import Step, Task
from ..drawing.canvas import ACCENT, MUTED, Canvas
from ..drawing.choices import Choice, numbered
from ..sequence.grammar import split_sentences
from .english import WORDS, meanings, words

GRAINS = 1_000_000  # into which the noise's probability is cut, so that its draws are those of whole numbers


@dataclass(frozen=True)
class WordContextState:
    """A word, and others of which one stands near it.

    Attributes:
        word: (B,) int64.
        candidates: (B, candidates) int64 a word from near it, at any place, and words that are drawn as noise.
        context: (B,) int64 the one from near it.
        guess: (B,) int64 the candidate named, -1 before.
    """

    word: Tensor
    candidates: Tensor
    context: Tensor
    guess: Tensor


class WordContext(Task[WordContextState]):
    """Say which of several words stands near a given one.

    Isolates what words tell of each other, which is what word vectors are learned from: articles stand by nouns, an
    auxiliary agrees with its noun, "by" comes with "being". A pair of words is drawn from all that are at most `window`
    places apart in the sentences of the split, in either voice; the other candidates are noise, drawn by the words'
    counts to the power 3/4, and may stand near the word elsewhere.

    Observation: MultiDiscrete(1 + candidates) of 38 words each: the word, then the candidates.
    Action: Discrete(candidates), the one that is from near the word.
    Reward: 1 for it (or another candidate that is the same word), else 0.
    Episode: terminates after one answer.
    Metrics: accuracy.
    Expert: the likeliest candidate given all of them: that of the largest p(candidate | word) / noise(candidate), times
        how often it is among them. It is what skip-gram with negatives tends to; return about 0.6 among five.
    Source: Mikolov et al. (2013) for skip-gram with negatives, Levy and Goldberg (2014) for what it tends to.

    Args:
        candidates: from 2 to 10.
        window: places apart, from 1 to 9.
        split: "train", "validation" or "test": 70, 10 and 20 % of the 14,400 sentences, the same for everyone.

    Raises:
        InvalidInput: an unknown split, or a number out of its range.
    """

    variants = ({"split": "test"}, {"candidates": 2})

    horizon = 1
    pairs: Tensor
    noise: Tensor
    ratio: Tensor

    def __init__(self, *, candidates: int = 5, window: int = 1, split: str = "train") -> None:
        super().__init__()
        self.count = integer("WordContext: candidates", candidates, 2, 10)
        window = integer("WordContext: window", window, 1, 9)
        every = meanings()
        chosen = every[split_sentences(len(every), choice("WordContext: split", split, SPLITS))]
        sentences = torch.cat([words(chosen, torch.full_like(chosen[:, 0], k, dtype=torch.bool)) for k in range(2)])
        near = pair_counts(sentences, window, len(WORDS))  # (V, V)
        noise = (negative_probabilities(near.sum(1).double()) * GRAINS).round().long()
        self.register_buffer("pairs", near.flatten().cumsum(0), persistent=False)  # (V V,)
        self.register_buffer("noise", noise.cumsum(0), persistent=False)  # (V,)
        ratio = near / near.sum(1, keepdim=True).clamp(min=1).double() / noise.clamp(min=1)
        self.register_buffer("ratio", ratio, persistent=False)  # (V, V) float64
        self.reset_noise = 2 + self.count
        self.observation_space = spaces.MultiDiscrete(np.full(1 + self.count, len(WORDS)))
        self.action_space = spaces.Discrete(self.count)

    def reset(self, noise: Tensor) -> WordContextState:
        """A pair, the place of its second word, and noise at the others."""
        pair = _drawn(self.pairs, noise[:, 0])
        place = (noise[:, 1] * self.count).long()
        word, context = pair // len(WORDS), pair % len(WORDS)
        here = torch.arange(self.count, device=noise.device) == place[:, None]
        candidates = torch.where(here, context[:, None], _drawn(self.noise, noise[:, 2:]))
        return WordContextState(word, candidates, context, torch.full_like(word, -1))

    def step(self, state: WordContextState, action: Tensor, noise: Tensor) -> Step[WordContextState]:
        """Judges the answer."""
        right = (state.candidates.gather(1, action[:, None])[:, 0] == state.context).float()
        following = WordContextState(state.word, state.candidates, state.context, action)
        return Step(following, right, torch.ones_like(action, dtype=torch.bool), {"accuracy": right})

    def observe(self, state: WordContextState) -> Tensor:
        """The word and the candidates, (B, 1 + candidates)."""
        return torch.cat([state.word[:, None], state.candidates], 1)

    def expert(self, state: WordContextState) -> Tensor:
        """The likeliest candidate, (B,)."""
        same = (state.candidates[:, :, None] == state.candidates[:, None]).sum(2)
        return (self.ratio[state.word[:, None], state.candidates] * same).argmax(1)

    def draw(self, state: WordContextState, canvas: Canvas) -> None:
        """The word and the candidates; below, how often each stands near it, and the verdict."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        middle = canvas.width // 2
        self._cards(self.observe_one(state), canvas, int(state.guess))
        ratio = self.ratio[state.word, state.candidates].cpu() * GRAINS
        canvas.text("how much commoner it is near the word than as noise (hidden)", (middle, 285), 20, MUTED, "center")
        names = [WORDS[word] for word in state.candidates.tolist()]
        canvas.bars(ratio, (30, 300, canvas.width - 60, 90), names, (MUTED,))
        guess, truth = int(state.guess), WORDS[int(state.context)]
        if guess < 0:
            canvas.text(f"from near it (hidden): {truth}", (middle, 430), 24, MUTED, "center")
            return
        canvas.verdict(names[guess] == truth, (middle - 200, 400, 400, 70))
        told = f"said: {names[guess]}   from near it: {truth}"
        canvas.text(told, (middle, 435), 24, anchor="center", max_width=330)

    def draw_seen(self, observation: Tensor, canvas: Canvas) -> None:
        """The word and the candidates."""
        self._cards(observation, canvas)
        for k, line in enumerate(("one was taken from near the word in a sentence,", "the others are any words")):
            canvas.text(line, (canvas.width // 2, 330 + 30 * k), 22, MUTED, "center")

    def _cards(self, observation: Tensor, canvas: Canvas, guess: int = -1) -> None:
        middle, (word, *candidates) = canvas.width // 2, observation.tolist()
        canvas.text("Which word stands near this one?", (middle, 35), 30, anchor="center")
        canvas.text(WORDS[word], (middle, 100), 48, ACCENT, "center")
        cards = [f"{k} {WORDS[one]}" for k, one in enumerate(candidates)]
        canvas.cards(cards, (20, 150, canvas.width - 40, 115), guess if guess >= 0 else None)

    def vocabulary(self, part: str | None = None) -> list[str]:
        """See `Task.vocabulary`."""
        return WORDS

    def choices(self) -> list[Choice]:
        """A number for each candidate."""
        return numbered([f"word {k}" for k in range(self.count)])


def pair_counts(sentences: Tensor, window: int, vocabulary: int) -> Tensor:
    """How often each word stands at most so many places from each other one.

    Args:
        sentences: (N, L) int64 words, 0 where none stands, which counts as no place.
        window: places apart, at least 1.
        vocabulary: V.

    Returns:
        (V, V) int64, symmetric; row and column 0 are 0.
    """
    packed = sentences.gather(1, (sentences == 0).int().argsort(dim=1, stable=True))  # the zeros behind
    counts = torch.zeros(vocabulary * vocabulary, dtype=torch.int64)
    for apart in range(1, min(window, packed.shape[1] - 1) + 1):
        first, second = packed[:, :-apart], packed[:, apart:]
        pair = (first * vocabulary + second)[second > 0]
        counts += torch.bincount(pair, minlength=len(counts))
    table = counts.view(vocabulary, vocabulary)
    return table + table.T


def _drawn(cumulative: Tensor, noise: Tensor) -> Tensor:
    """Indices, of the shape of the uniforms, of what has these cumulative counts (K,)."""
    return torch.searchsorted(cumulative, (noise.double() * cumulative[-1]).long(), right=True)
