"""Translate: read a sentence of one invented language, write it in another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.language.text import sentence_bleu
from ..checks.options import choice, integer
from ..core.splits import SPLITS
from ..core.task import Step, Task
from ..core.tracing import judged_at_end
from ..drawing.canvas import BAD, GOOD, MUTED, PANEL, Canvas
from ..drawing.choices import DIGITS, LETTERS, Choice
from .grammar import NOUNS, all_sentences, split_sentences


@dataclass(frozen=True)
class TranslateState:
    """The sentence and its translation so far.

    Attributes:
        row: (B,) int64 the sentence's row among those of the split.
        written: (B, 8) int64 the words written, 0 where none is.
        time: (B,) int64 words written, the end mark included.
    """

    row: Tensor
    written: Tensor
    time: Tensor


class Translate(Task[TranslateState]):
    """Translate a sentence word by word into another word order.

    Translate a sentence of 3 to 7 words into a language with another word order, articles and agreement.

    Isolates the mapping of one structure to another: verbs move to the end, adjectives behind their nouns, articles
    and endings follow a gender that the source does not show, and test sentences are new combinations of known words.

    Observation: Dict of ``source``, MultiDiscrete of 7 words of 3 * words + 1, 0 behind the last one, and ``written``,
        MultiDiscrete of 8 words of 5 * words + 4, 0 where none is written yet.
    Action: Discrete(5 * words + 5), the next word of the translation; 0 ends it.
    Reward: for "bleu", at the end, the translation's BLEU (up to 4-grams, 0.1 for those without a match); for "token",
        at each step, 1 / (words of the right translation + 1) if the word, or the end, is the right one at its place.
    Episode: terminates with the end mark, or after 8 words.
    Metrics: bleu and exact (1 if not a word is wrong) of each finished translation.
    Expert: the right translation's word at this place, whatever was written before; return 1. A random translation
        returns about 0.03 with either reward.
    Source: synchronous grammars of Aho and Ullman (1969); BLEU of Papineni et al. (2002).

    Args:
        words: how many nouns, adjectives and verbs each language has, from 2 to 6.
        reward: "bleu" or "token".
        split: "train", "validation" or "test", 70, 10 and 20 % of all sentences (6,400 for words 4),
            the same for everyone.
        shortest: words of the shortest source sentences that are shown, from 3 to 7.
        longest: words of the longest ones.

    Raises:
        InvalidInput: an unknown reward or split, a number out of its range, or a split without such sentences.
    """

    variants = (
        {"split": "test"},
        {"reward": "token"},
        {"words": 6, "reward": "token", "split": "test"},
        {"shortest": 7, "split": "test"},
    )

    reset_noise = 1
    source: Tensor
    target: Tensor
    places: Tensor

    def __init__(
        self, *, words: int = 4, reward: str = "bleu", split: str = "train", shortest: int = 3, longest: int = 7
    ) -> None:
        super().__init__()
        integer("Translate: words", words, 2, len(NOUNS))
        self.by_token = choice("Translate: reward", reward, ("bleu", "token")) == "token"
        choice("Translate: split", split, SPLITS)
        language = all_sentences(words)
        self.source_words, self.target_words = language.source_words, language.target_words
        integer("Translate: shortest", shortest, 3, 7)
        integer("Translate: longest", longest, shortest, 7)
        rows = split_sentences(len(language.source), split)
        length = (language.source[rows] > 0).sum(1)
        rows = rows[(shortest <= length) & (length <= longest)]
        if not len(rows):
            raise InvalidInput(f"Translate: no {split} sentence (words {words}) is {shortest} to {longest} words long")
        self.register_buffer("source", language.source[rows], persistent=False)  # (N, 7)
        self.register_buffer("target", language.target[rows], persistent=False)  # (N, 8)
        self.horizon = self.target.shape[1]
        self.register_buffer("places", torch.arange(self.horizon), persistent=False)
        source_size, target_size = len(self.source_words), len(self.target_words)
        self.observation_space = spaces.Dict(
            {
                "source": spaces.MultiDiscrete(np.full(self.source.shape[1], source_size)),
                "written": spaces.MultiDiscrete(np.full(self.horizon, target_size)),
            }
        )
        self.action_space = spaces.Discrete(target_size)

    def reset(self, noise: Tensor) -> TranslateState:
        """A sentence drawn uniformly, nothing written."""
        row = (noise[:, 0] * len(self.source)).long()
        return TranslateState(row, row.new_zeros(len(row), self.horizon), torch.zeros_like(row))

    def step(self, state: TranslateState, action: Tensor, noise: Tensor) -> Step[TranslateState]:
        """Writes the word and, at the end, judges the translation."""
        reference, time = self.target.index_select(0, state.row), state.time + 1  # (B, 8), (B,)
        written = torch.where(self.places == state.time[:, None], action[:, None], state.written)
        ended = (action == 0) | (time >= self.horizon)
        bleu, exact = judged_at_end(ended, _judged, written, reference).unbind(1)
        if self.by_token:
            length = (reference > 0).sum(1)
            right = (self._word(state) == action) & (state.time <= length)
            reward = right.float() / (length + 1)
        else:
            reward = torch.where(ended, bleu, 0)
        return Step(TranslateState(state.row, written, time), reward, ended, {"bleu": bleu, "exact": exact})

    def _word(self, state: TranslateState) -> Tensor:
        """The right translation's word at the next place, (B,); 0 behind its last one."""
        return self.target[state.row, state.time.clamp(max=self.horizon - 1)]

    def observe(self, state: TranslateState) -> dict[str, Tensor]:
        """The source sentence and what is written."""
        return {"source": self.source.index_select(0, state.row), "written": state.written}

    def expert(self, state: TranslateState) -> Tensor:
        """The right translation's word at this place."""
        return self._word(state)

    def draw(self, state: TranslateState, canvas: Canvas) -> None:
        """The sentence, the translation with each word right or wrong at its place, and at the end the right one."""
        if not canvas.spectator:
            return self.draw_seen(self.observe_one(state), canvas)
        time, width, middle = int(state.time), canvas.width, canvas.width // 2
        source, reference = self.source[state.row].tolist(), self.target[state.row].tolist()
        written = state.written.tolist()
        words = [self.target_words[word] for word in written[:time] if word]
        ended = time > 0 and (time == self.horizon or len(words) < time)
        canvas.text("Translate this sentence", (middle, 35), size=30, anchor="center")
        canvas.cards([self.source_words[word] for word in source if word], (20, 65, width - 40, 90))
        canvas.text("translation, with a tick where the word is right", (middle, 190), size=22, anchor="center")
        blank = [" " * 10] * (self.horizon - len(words))
        verdicts = [written[place] == reference[place] for place in range(len(words))] + [None] * len(blank)
        colours = [PANEL if correct is None else GOOD if correct else BAD for correct in verdicts]
        canvas.cards([*words, *blank], (20, 210, width - 40, 100), None if ended else time, colours, verdicts)
        if not ended:
            canvas.text(f"word {time + 1} of at most {self.horizon}", (middle, 360), size=24, anchor="center")
            return
        bleu = float(_bleu(state.written[None], self.target[state.row][None].cpu()))
        right = [self.target_words[word] for word in reference if word]
        canvas.verdict(written == reference, (20, 335, width - 40, 125))
        canvas.text(f"BLEU {bleu:.2f}", (middle, 362), size=28, anchor="center")
        canvas.text("the right one:", (middle, 397), size=22, anchor="center")
        canvas.text(" ".join(right), (middle, 430), size=26, anchor="center", max_width=width - 60)

    def draw_seen(self, observation: Any, canvas: Canvas) -> None:
        """The sentence, and what is written of the translation."""
        width, middle = canvas.width, canvas.width // 2
        source, written = observation["source"].tolist(), observation["written"].tolist()
        words = [self.target_words[word] for word in written if word]
        blank = [" " * 10] * (self.horizon - len(words))
        canvas.text("Translate this sentence", (middle, 40), size=30, anchor="center")
        canvas.cards([self.source_words[word] for word in source if word], (20, 70, width - 40, 110))
        canvas.text("its translation, as far as it is written", (middle, 220), size=22, anchor="center")
        canvas.cards([*words, *blank], (20, 240, width - 40, 110), highlight=len(words))
        told = "choose the next word; the point ends the sentence"
        canvas.text(told, (middle, 400), size=22, colour=MUTED, anchor="center")

    def vocabulary(self, part: str | None = None) -> list[str]:
        """See `Task.vocabulary`."""
        return list(self.source_words if part == "source" else self.target_words)

    def choices(self) -> list[Choice]:
        """A letter for each word of the translation (numbers behind z), the point for its end."""
        keys = LETTERS + DIGITS
        words = [Choice(keys[word - 1], name, word) for word, name in enumerate(self.target_words) if word]
        return [*words, Choice(".", "end", 0)]


def _judged(written: Tensor, reference: Tensor) -> Tensor:
    """BLEU of each row of words (B, 8) against its reference (B, 8), and whether it is the very same: (B, 2)."""
    return torch.stack([_bleu(written, reference), (written == reference).all(1).float()], 1)


def _bleu(written: Tensor, reference: Tensor) -> Tensor:
    """BLEU of each row of words (B, 8), 0 where there is none, against its reference (B, 8): (B,)."""
    narrow = (words.to(torch.int16) for words in (written, reference[:, :-1]))  # compared faster than int64
    hypothesis, only = (words.masked_fill(words == 0, -1) for words in narrow)
    return sentence_bleu(hypothesis, only[:, None], smoothing="epsilon")
