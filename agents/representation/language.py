"""Learning words from texts: a language model, a masked one, and skip-gram."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.language.language_model import LanguageModel
from ...neural_blocks.language.words import (
    WordStates,
    WordTransformer,
    WordVectors,
    has_words,
    masked_words,
    vocabulary_of,
)
from ...neural_blocks.noise import Draws, categorical
from ...neural_blocks.representation.embedding import SkipGram, keep_probabilities, negative_probabilities
from ..networks.pretrained import Recipe
from .method import Method, PretrainConfig, space_test


class TextConfig(PretrainConfig):
    """Settings of a method that reads texts: rows of words, or a word a step, of which a stretch is a text.

    Attributes:
        size: features of a word.
        length: words of a text where each step shows one; the end of an episode ends it sooner.
    """

    size: int = Field(32, ge=1, le=65_536)
    length: int = Field(16, ge=2, le=100_000)


class TextMethod(Method):
    """A method that reads texts (N, L); what comes after an episode's end is -1."""

    needs = "a word (Discrete) or a row of words (MultiDiscrete)"
    reads = "sequences"
    Config: ClassVar[type[PretrainConfig]] = TextConfig
    fits = space_test(has_words)

    @property
    def in_rows(self) -> bool:
        """Whether one observation is a text."""
        return hasattr(self.seen, "nvec")

    def build(self) -> None:
        """The vectors of words."""
        self.length = 1 if self.in_rows else self.config.length
        self.longest = len(self.seen.nvec) if self.in_rows else self.length  # type: ignore[attr-defined]
        self.words = vocabulary_of(self.seen)
        self.encoder = WordVectors(self.seen, self.config.size)
        self.recipe = Recipe(encoder="words", settings={"size": self.config.size}, method=self.name)

    def texts(self, batch: tuple[Any, Tensor]) -> Tensor:
        """Observed words and episode starts, each with the time first, to texts (N, L) int64."""
        seen, start = batch
        if self.in_rows:
            return seen[0]
        later = start.long().cumsum(0) > 1  # of an episode that began after the text
        return seen.masked_fill(later, -1).T

    def all_texts(self, everything: Tensor, start: Tensor) -> Tensor:
        """All that was gathered (T, B, ...) as texts (N, L) int64; -1 stands where there is none."""
        if self.in_rows:
            return everything.flatten(0, 1)
        steps = len(start) // self.length * self.length
        parts = (everything[:steps], start[:steps].long().cumsum(0))
        texts, episode = (part.T.reshape(-1, self.length) for part in parts)
        first = episode[:, :1]  # of each stretch; what begins within it is a text of its own
        return torch.cat([texts.masked_fill(episode != first + k, -1) for k in range(2)])


class LanguageModelConfig(TextConfig):
    """Settings of a language model.

    Attributes:
        layers: of the transformer.
        heads: of its attentions, which divide `size`.
    """

    size: int = Field(32, ge=2, le=65_536)
    layers: int = Field(2, ge=1, le=64)
    heads: int = Field(4, ge=1, le=1024)


class LanguageModelMethod(TextMethod):
    """Foretells each word from those before it (Radford et al., 2018); see `LanguageModel`. It keeps the words."""

    name = "language_model"
    Config = LanguageModelConfig

    def build(self) -> None:
        """The block, and an encoder that shares its words."""
        super().build()
        config = self.config
        self.block = LanguageModel(self.words, self.longest, config.size, config.heads, config.layers)
        self.block.embedding.tokens = self.encoder.table

    def loss(self, batch: tuple[Any, Tensor], seed: Tensor) -> Tensor:
        """Mean cross-entropy of a word, nats."""
        return self.block.loss(self.texts(batch))


class MaskedLanguageModelConfig(LanguageModelConfig):
    """Settings of a masked language model.

    Attributes:
        share: of the words that are to be guessed.
    """

    size: int = Field(64, ge=2, le=65_536)
    share: float = Field(0.15, gt=0, lt=1)


class MaskedLanguageModel(TextMethod):
    """Guesses hidden words from those around them (BERT, Devlin et al., 2019); all of the transformer is kept."""

    name = "masked_language_model"
    needs = "a row of words (MultiDiscrete)"
    Config = MaskedLanguageModelConfig
    fits = space_test(lambda space: has_words(space) and hasattr(space, "nvec"))

    def build(self) -> None:
        """The transformer, and what names words."""
        super().build()
        config = self.config
        settings = {"size": config.size, "n_head": config.heads, "layers": config.layers}
        self.encoder = WordTransformer(self.seen, **settings)
        self.head = torch.nn.Linear(config.size, self.words)
        self.recipe = Recipe(encoder="sentence", settings=settings, method=self.name)

    def loss(self, batch: tuple[Any, Tensor], seed: Tensor) -> Tensor:
        """Mean cross-entropy of a hidden word, nats; 0 where none is."""
        texts = self.texts(batch)
        given, hidden = masked_words(texts, self.words, self.config.share, seed)
        each = F.cross_entropy(self.head(self.encoder.states(given)).transpose(1, 2), texts, reduction="none")
        return (each * hidden).sum() / hidden.sum().clamp(min=1)


class BothWays(TextMethod):
    """Foretells each word from those before it, and from those after it, by two recurrent networks (ELMo).

    Peters et al. (2018). What is kept gives each word's states in both directions, side by side.
    """

    name = "elmo"
    needs = "a row of words (MultiDiscrete)"
    fits = space_test(lambda space: has_words(space) and hasattr(space, "nvec"))

    def build(self) -> None:
        """Both networks, and what names words, which they share."""
        super().build()
        settings = {"size": self.config.size}
        self.encoder = WordStates(self.seen, **settings)
        self.head = torch.nn.Linear(self.config.size, self.words)
        self.recipe = Recipe(encoder="word_states", settings=settings, method=self.name)

    def loss(self, batch: tuple[Any, Tensor], seed: Tensor) -> Tensor:
        """Mean cross-entropy of the next word and of the one before, nats."""
        texts = self.texts(batch)
        onward, back = self.encoder.states(texts).chunk(2, -1)  # (N, L, size) each
        following = F.cross_entropy(self.head(onward[:, :-1]).transpose(1, 2), texts[:, 1:])
        before = F.cross_entropy(self.head(back[:, 1:]).transpose(1, 2), texts[:, :-1])
        return (following + before) / 2


class SkipGramConfig(TextConfig):
    """Settings of skip-gram.

    Attributes:
        window: words to either side that are foretold.
        objective: "negatives", a few words drawn instead of all, or "softmax", over all words.
        negatives: words drawn for each that are not.
        thinning: a word of frequency f stays in a text with probability sqrt(thinning / f), so that common ones make
            room; null keeps all.
    """

    window: int = Field(2, ge=1, le=1024)
    objective: Literal["negatives", "softmax"] = "negatives"
    negatives: int = Field(5, ge=1, le=1024)
    thinning: float | None = Field(None, gt=0, le=1)


class SkipGramMethod(TextMethod):
    """Foretells from a word those near it (Mikolov et al., 2013); see `SkipGram`. Negatives are of the batch."""

    name = "skip_gram"
    Config = SkipGramConfig
    keep: Tensor

    def build(self) -> None:
        """The block, and an encoder that shares its words."""
        super().build()
        self.block = SkipGram(self.words + 1, self.config.size)
        self.encoder.table = self.block.word
        self.register_buffer("keep", torch.ones(self.words), persistent=False)  # with which each word stays

    def prepare(self, everything: Any, start: Tensor) -> None:
        """How common each word is."""
        if self.config.thinning is not None:
            texts = self.all_texts(everything, start)
            self.keep = keep_probabilities(
                torch.bincount(texts[texts >= 0], minlength=self.words), self.config.thinning
            )

    def loss(self, batch: tuple[Any, Tensor], seed: Tensor) -> Tensor:
        """Skip-gram's loss with a word and one near it from each text, both drawn."""
        texts, draws = self.texts(batch), Draws(seed, batch[1].device)
        if self.config.thinning is not None:
            stays = (draws.uniform(*texts.shape) < self.keep[texts.clamp(min=0)]) & (texts >= 0)
            texts = texts.masked_fill(~stays, -1).gather(1, (~stays).int().argsort(dim=1, stable=True))
        count = (texts >= 0).sum(1)  # (N,) words; what comes after them is padding
        kept = (count > 1).nonzero().squeeze(1)
        if len(kept) == 0:
            raise InvalidInput("skip_gram: needs texts of at least two words")
        texts, count = texts[kept], count[kept]
        place = (draws.uniform(len(texts)) * count).long()
        low, high = (place - self.config.window).clamp(min=0), (place + self.config.window).minimum(count - 1)
        other = low + (draws.uniform(len(texts)) * (high - low)).long()
        other = other + (other >= place)  # near the word, and not the word
        words, near = (texts.gather(1, at.unsqueeze(1)).squeeze(1) for at in (place, other))
        if self.config.objective == "softmax":
            return self.block.softmax_loss(words, near)
        there = (texts >= 0).flatten()
        counts = torch.zeros(self.words + 1, device=texts.device)
        counts = counts.index_add(0, texts.clamp(min=0).flatten(), there.to(counts.dtype))
        chances = negative_probabilities(counts).expand(len(texts), self.config.negatives, -1)
        drawn = categorical(chances, draws.uniform(len(texts), self.config.negatives))
        return self.block.loss(words, near, drawn)
