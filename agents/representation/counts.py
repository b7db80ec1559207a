"""Words' vectors from counts: of what stands near what (GloVe, singular vectors), and of what stands in which text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.language.text import cooccurrence
from ...neural_blocks.noise import Draws
from ...neural_blocks.representation.embedding import GloVe, positive_pmi, svd_vectors
from .language import TextConfig, TextMethod
from .method import PretrainConfig


class CountsConfig(TextConfig):
    """Settings of a method that counts neighbours.

    Attributes:
        window: places to either side that count as near; a pair d places apart counts 1 / d.
        blank: a word that stands for none, such as 0 behind the end of a row; it counts as no place. Null for none.
    """

    window: int = Field(4, ge=1, le=1024)
    blank: int | None = Field(None, ge=0)


class CountsMethod(TextMethod):
    """A method that counts all that was gathered before its first step."""

    Config: ClassVar[type[PretrainConfig]] = CountsConfig

    def packed(self, everything: Tensor, start: Tensor) -> Tensor:
        """Texts (N, L) int64 without blanks; -1 follows a text's end."""
        texts = self.all_texts(everything, start)
        none = (texts < 0) if self.config.blank is None else (texts < 0) | (texts == self.config.blank)
        return texts.masked_fill(none, -1).gather(1, none.int().argsort(dim=1, stable=True))


class GloVeConfig(CountsConfig):
    """Settings of GloVe.

    Attributes:
        ceiling: count from which on a pair weighs 1 in the loss.
    """

    ceiling: float = Field(100.0, gt=0)


class GloVeMethod(CountsMethod):
    """Fits products of words' vectors to the logarithm of how often they meet (Pennington et al., 2014)."""

    name = "glove"
    Config = GloVeConfig
    pairs: Tensor
    met: Tensor

    def build(self) -> None:
        """The block; the encoder holds the sum of each word's two vectors."""
        super().build()
        self.block = GloVe(self.words, self.config.size, self.config.ceiling)
        self.encoder.requires_grad_(False)
        self.register_buffer("pairs", torch.zeros(0, 2, dtype=torch.int64), persistent=False)
        self.register_buffer("met", torch.zeros(0), persistent=False)

    def prepare(self, everything: Any, start: Tensor) -> None:
        """The pairs that meet, (P, 2), and how often, (P,)."""
        counts = cooccurrence(self.packed(everything, start), self.words, self.config.window, decay=True)
        self.pairs = counts.nonzero()
        self.met = counts[self.pairs[:, 0], self.pairs[:, 1]]
        if not len(self.pairs):
            raise InvalidInput(f"{self.name}: needs texts of at least two words")
        self.after()

    def loss(self, batch: Any, seed: Tensor) -> Tensor:
        """GloVe's loss of as many pairs as a batch has texts, drawn evenly."""
        index = (Draws(seed, self.met.device).uniform(self.config.batch_size) * len(self.pairs)).long()
        words, contexts = self.pairs[index].unbind(1)
        return self.block.loss(words, contexts, self.met[index])

    @torch.no_grad()
    def after(self) -> None:
        """The encoder follows."""
        self.encoder.table.weight[: self.words] = self.block.word.weight + self.block.context.weight


class SingularConfig(CountsConfig):
    """Settings of singular vectors.

    Attributes:
        updates: nothing is learned step by step, so one is enough.
        counted: "neighbours", words by words (Levy and Goldberg, 2014), or "texts", words by texts: latent semantic
            analysis (Deerwester et al., 1990).
        weighting: of the counts: "pmi", positive pointwise mutual information, "log", of one more, or "counts".
    """

    updates: int = Field(1, ge=1, le=10**9)
    counted: Literal["neighbours", "texts"] = "neighbours"
    weighting: Literal["pmi", "log", "counts"] = "pmi"


class SingularVectors(CountsMethod):
    """The leading singular vectors of a table of counts, found at once; see `svd_vectors`."""

    name = "svd"
    Config = SingularConfig
    vectors: Tensor
    left_over: Tensor

    def build(self) -> None:
        """An encoder that learns nothing."""
        super().build()
        self.encoder.requires_grad_(False)
        self.register_buffer("vectors", torch.zeros(self.words, self.config.size), persistent=False)
        self.register_buffer("left_over", torch.zeros(()), persistent=False)

    def prepare(self, everything: Any, start: Tensor) -> None:
        """The vectors."""
        texts = self.packed(everything, start)
        if self.config.counted == "texts":
            table = torch.zeros(len(texts), self.words + 1, device=texts.device)
            ones = torch.ones_like(texts, dtype=table.dtype)
            table = table.scatter_add(1, texts % (self.words + 1), ones)[:, :-1].T  # -1 is counted in the last column
        else:
            table = cooccurrence(texts, self.words, self.config.window, decay=True)
        kinds: dict[str, Callable[[Tensor], Tensor]]
        kinds = {"pmi": positive_pmi, "log": torch.log1p, "counts": torch.clone}
        weighted = kinds[self.config.weighting](table)
        size = min(self.config.size, *weighted.shape)  # more there are not, and the rest stays 0
        self.vectors[:, :size] = svd_vectors(weighted, size)
        told = self.vectors.square().sum(0).square().sum()  # squared singular values that are kept
        self.left_over = 1 - told / weighted.square().sum().clamp(min=1e-12)

    def loss(self, batch: Any, seed: Tensor) -> Tensor:
        """The share of the table's squares that the vectors leave over."""
        return self.left_over.clone()

    @torch.no_grad()
    def after(self) -> None:
        """The encoder takes them."""
        self.encoder.table.weight[: self.words] = self.vectors
