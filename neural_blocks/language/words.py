"""Encoders of words: their vectors side by side, and what a transformer makes of a whole row of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from ..noise import Draws, Seed
from ..sequence.positions import positions
from ..sequence.recurrent import Bidirectional
from ..sequence.transformer import Encoder


def vocabulary_of(space: Any) -> int:
    """V, how many words there are in a Discrete space or, at the most in one place, in a row of MultiDiscrete.

    Raises:
        InvalidInput: another space, or one whose values do not begin at 0.
    """
    sizes = [space.n] if hasattr(space, "n") and hasattr(space, "start") else getattr(space, "nvec", [])
    starts = getattr(space, "start", 0)
    if len(sizes) == 0 or len(getattr(sizes, "shape", (1,))) != 1 or bool(torch.as_tensor(starts).any()):
        raise InvalidInput(f"observation space must be Discrete or a row of MultiDiscrete, from 0; got {space}")
    return int(max(sizes))


def has_words(space: Any) -> bool:
    """Whether a space is one of a word, or of a row of words."""
    try:
        return vocabulary_of(space) > 0
    except InvalidInput:
        return False


class _OfWords(nn.Module):
    """An encoder of words.

    Attributes:
        words: V.
        length: L, words in a row.
    """

    def __init__(self, space: Any) -> None:
        super().__init__()
        self.words = vocabulary_of(space)
        self.length = len(space.nvec) if hasattr(space, "nvec") else 1

    @staticmethod
    def serves(space: Any) -> bool:
        """A word, or a row of words."""
        return has_words(space)


class WordVectors(_OfWords):
    """A vector for each word, side by side in their order: (N,) or (N, L) int64 to (N, L size).

    Args:
        space: Discrete, or MultiDiscrete of one row.
        size: of a vector.

    Raises:
        InvalidInput: another space.
    """

    def __init__(self, space: Any, size: int = 32) -> None:
        super().__init__(space)
        self.table = nn.Embedding(self.words + 1, size)  # the last stands for the start of a text, or for a hidden word
        self.output_size = self.length * size

    def forward(self, x: Tensor) -> Tensor:
        """(N,) or (N, L) int64 to (N, L size)."""
        return self.table(x.reshape(len(x), -1)).flatten(1)


class BagOfWords(_OfWords):
    """How often each word stands in a row, in whatever order: (N,) or (N, L) int64 to (N, V).

    Args:
        space: Discrete, or MultiDiscrete of one row.

    Raises:
        InvalidInput: another space.
    """

    one: Tensor

    def __init__(self, space: Any) -> None:
        super().__init__(space)
        self.output_size = self.words
        self.register_buffer("one", torch.ones(()), persistent=False)  # of the network's dtype

    def forward(self, x: Tensor) -> Tensor:
        """(N,) or (N, L) int64 to (N, V)."""
        words = x.reshape(len(x), -1)
        return self.one.new_zeros(len(x), self.output_size).scatter_add(1, words, self.one.expand(words.shape))


class WordTransformer(_OfWords):
    """The mean of what a transformer makes of each word in its place: (N, L) int64 to (N, size).

    Args:
        space: MultiDiscrete of one row, or Discrete for a row of one.
        size: features, a multiple of `n_head`.
        n_head: attention heads.
        layers: of the transformer.
        norm: "pre" or "post", see `TransformerLayer`.
        dropout: see there.

    Raises:
        InvalidInput: another space.
    """

    def __init__(
        self, space: Any, size: int = 64, n_head: int = 4, layers: int = 2, norm: str = "pre", dropout: float = 0.0
    ) -> None:
        super().__init__(space)
        self.output_size = size
        self.table = nn.Embedding(self.words + 1, size)  # the last stands for a hidden word
        self.places = positions("learned", self.length, size)
        self.encoder = Encoder(size, n_head, layers, norm=norm, dropout=dropout)

    def states(self, x: Tensor) -> Tensor:
        """Words (N, L) int64 to what is made of each, (N, L, size)."""
        return self.encoder(self.table(x) + self.places.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(N,) or (N, L) int64 to (N, size)."""
        return self.states(x.reshape(len(x), -1)).mean(1)


class WordStates(_OfWords):
    """What a recurrent network makes of each word onward and another one backwards, side by side (ELMo).

    Peters et al. (2018), of one layer. (N,) or (N, L) int64 to (N, 2 L size).

    Args:
        space: MultiDiscrete of one row, or Discrete for a row of one.
        size: features of a word, and of each direction.

    Raises:
        InvalidInput: another space.
    """

    def __init__(self, space: Any, size: int = 32) -> None:
        super().__init__(space)
        self.output_size = 2 * self.length * size
        self.table = nn.Embedding(self.words, size)
        self.reader = Bidirectional("lstm", size, size)

    def states(self, x: Tensor) -> Tensor:
        """Words (N, L) int64 to both directions' states of each, (N, L, 2 size), the onward one first."""
        return self.reader(self.table(x).transpose(0, 1)).transpose(0, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N,) or (N, L) int64 to (N, 2 L size)."""
        return self.states(x.reshape(len(x), -1)).flatten(1)


class SiameseSentences(nn.Module):
    """Two rows of words through one transformer (Bromley et al., 1993): a Dict of two (N, L) to (N, 4 size).

    What is made of each stands beside how far they are apart, and beside their product (Conneau et al., 2017).

    Args:
        space: Dict of two equal spaces of words.
        size: features of each row.
        n_head: attention heads.
        layers: of the transformer.
        norm: "pre" or "post", see `TransformerLayer`.
        dropout: see there.

    Raises:
        InvalidInput: another space.
    """

    def __init__(
        self, space: Any, size: int = 64, n_head: int = 4, layers: int = 2, norm: str = "pre", dropout: float = 0.0
    ) -> None:
        super().__init__()
        parts = dict(getattr(space, "spaces", {}))
        rows = list(parts.values())
        if len(rows) != 2 or rows[0] != rows[1] or not has_words(rows[0]):
            raise InvalidInput(f"siamese: observation space must be a Dict of two equal rows of words; got {space}")
        self.names = list(parts)
        self.shared = WordTransformer(rows[0], size, n_head, layers, norm, dropout)
        self.output_size = 4 * size

    def forward(self, x: dict[str, Tensor]) -> Tensor:
        """Dict of (N, L) int64 to (N, 4 size)."""
        first, second = (self.shared(x[name]) for name in self.names)
        return torch.cat([first, second, (first - second).abs(), first * second], -1)


def masked_words(texts: Tensor, words: int, share: float = 0.15, seed: Seed = None) -> tuple[Tensor, Tensor]:
    """Texts of which some words are to be guessed, and which these are (BERT, Devlin et al., 2019).

    Of the chosen words eight in ten are hidden behind the word V, one in ten is another word, and one stays.

    Args:
        texts: (N, L) int64 below V.
        words: V.
        share: of the words that are chosen.
        seed: of the draws, see `noise`.

    Returns:
        Texts (N, L) int64, V where a word is hidden, and the chosen ones, (N, L) bool.
    """
    draws = Draws(seed, texts.device)
    chosen, way, other = (draws.uniform(*texts.shape) for _ in range(3))
    chosen = chosen < share
    changed = torch.where(way < 0.8, torch.full_like(texts, words), (other * words).long())
    return torch.where(chosen & (way < 0.9), changed, texts), chosen
