"""Encoders of words: their vectors side by side, and what a transformer makes of a whole row of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from ..noise import Draws, Seed
from ..sequence.positions import positions
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


class WordVectors(nn.Module):
    """A vector for each word, side by side in their order: (N,) or (N, L) int64 to (N, L size).

    Args:
        space: Discrete, or MultiDiscrete of one row.
        size: of a vector.

    Raises:
        InvalidInput: another space.
    """

    def __init__(self, space: Any, size: int = 32) -> None:
        super().__init__()
        words = vocabulary_of(space)
        self.table = nn.Embedding(words + 1, size)  # the last stands for the start of a text, or for a hidden word
        self.output_size = size * (len(space.nvec) if hasattr(space, "nvec") else 1)

    @staticmethod
    def serves(space: Any) -> bool:
        """A word, or a row of words."""
        return has_words(space)

    def forward(self, x: Tensor) -> Tensor:
        """(N,) or (N, L) int64 to (N, L size)."""
        return self.table(x.reshape(len(x), -1)).flatten(1)


class WordTransformer(nn.Module):
    """The mean of what a transformer makes of each word in its place: (N, L) int64 to (N, size).

    Args:
        space: MultiDiscrete of one row, or Discrete for a row of one.
        size: features, a multiple of `n_head`.
        n_head: attention heads.
        layers: of the transformer.

    Raises:
        InvalidInput: another space.
    """

    def __init__(self, space: Any, size: int = 64, n_head: int = 4, layers: int = 2) -> None:
        super().__init__()
        self.words = vocabulary_of(space)
        self.length, self.output_size = len(space.nvec) if hasattr(space, "nvec") else 1, size
        self.table = nn.Embedding(self.words + 1, size)  # the last stands for a hidden word
        self.places = positions("learned", self.length, size)
        self.encoder = Encoder(size, n_head, layers)

    @staticmethod
    def serves(space: Any) -> bool:
        """A word, or a row of words."""
        return has_words(space)

    def states(self, x: Tensor) -> Tensor:
        """Words (N, L) int64 to what is made of each, (N, L, size)."""
        return self.encoder(self.table(x) + self.places.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(N,) or (N, L) int64 to (N, size)."""
        return self.states(x.reshape(len(x), -1)).mean(1)


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
