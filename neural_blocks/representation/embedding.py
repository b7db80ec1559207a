"""Word vectors: skip-gram with negative sampling, GloVe, and co-occurrence with a truncated SVD."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InvalidInput
from ..noise import at_least_float32


class SkipGram(nn.Module):
    """Skip-gram with negative sampling (Mikolov et al., 2013): a word's vector predicts the words around it.

    Tokens int64 (...) to vectors (..., D). Context vectors start at zero.

    Args:
        vocabulary: V, number of words.
        dimension: D.

    Raises:
        InvalidInput: a size below 1.
    """

    def __init__(self, vocabulary: int, dimension: int) -> None:
        super().__init__()
        _check_sizes("SkipGram", vocabulary, dimension)
        self.word = nn.Embedding(vocabulary, dimension)
        self.context = nn.Embedding(vocabulary, dimension)
        nn.init.uniform_(self.word.weight, -0.5 / dimension, 0.5 / dimension)
        nn.init.zeros_(self.context.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        """(...) int64 to (..., D)."""
        return self.word(tokens)

    def loss(self, words: Tensor, contexts: Tensor, negatives: Tensor) -> Tensor:
        """Mean of -log s(u_context . v) - sum over negatives of log s(-u_negative . v), s the logistic function.

        Args:
            words: (B,) int64.
            contexts: (B,) int64, one true neighbour of each word.
            negatives: (B, K) int64, drawn by `torch.multinomial` from `negative_probabilities`.

        Raises:
            InvalidInput: batch sizes that differ.
        """
        if not words.shape == contexts.shape == negatives.shape[:1]:
            raise InvalidInput(
                "SkipGram: words and contexts must have shape (B,) and negatives (B, K); "
                f"got {tuple(words.shape)}, {tuple(contexts.shape)} and {tuple(negatives.shape)}"
            )
        vectors = self.word(words)  # (B, D)
        true = (vectors * self.context(contexts)).sum(-1)  # (B,)
        false = torch.einsum("bd,bkd->bk", vectors, self.context(negatives))
        return F.softplus(-true).mean() + F.softplus(false).sum(1).mean()

    def softmax_loss(self, words: Tensor, contexts: Tensor) -> Tensor:
        """Mean of -log softmax(u_context . v) over the whole vocabulary, what negatives stand in for: (B,), (B,) int64.

        Raises:
            InvalidInput: batch sizes that differ.
        """
        if words.shape != contexts.shape:
            shapes = f"{tuple(words.shape)} and {tuple(contexts.shape)}"
            raise InvalidInput(f"SkipGram: words and contexts must have one shape; got {shapes}")
        return F.cross_entropy(self.word(words) @ self.context.weight.T, contexts)


class SkipGramEncoder(nn.Module):
    """How well words go with the first one, by skip-gram's vectors: (N, 1 + K) int64 to (N, K).

    Serves observations of a word and others that may stand near it. Each feature is the product of the first word's
    vector with another one's context vector, as in `SkipGram`.

    Args:
        space: MultiDiscrete of 1 + K words of the same vocabulary.
    """

    dimension = 32

    def __init__(self, space: Any) -> None:
        super().__init__()
        self.output_size = len(space.nvec) - 1
        self.vectors = SkipGram(int(space.nvec[0]), self.dimension)
        nn.init.normal_(self.vectors.word.weight)  # a policy learns from its own first tries, so none start at 0
        nn.init.normal_(self.vectors.context.weight, std=self.dimension**-0.5)

    @staticmethod
    def serves(space: Any) -> bool:
        """MultiDiscrete of at least two words of one vocabulary."""
        sizes = getattr(space, "nvec", ())
        return len(sizes) > 1 and len(set(map(int, getattr(sizes, "flat", sizes)))) == 1

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1 + K) int64 to (N, K)."""
        return (self.vectors.word(x[:, :1]) * self.vectors.context(x[:, 1:])).sum(-1)


class GloVe(nn.Module):
    """Global vectors (Pennington et al., 2014): w_i . c_j + b_i + b_j fits the logarithm of the co-occurrence count.

    Tokens int64 (...) to vectors (..., D), the sum of a word's two vectors.

    Args:
        vocabulary: V, number of words.
        dimension: D.
        ceiling: the count from which on every pair weighs 1; below, (count / ceiling)^(3/4).

    Raises:
        InvalidInput: a size below 1.
    """

    def __init__(self, vocabulary: int, dimension: int, ceiling: float = 100.0) -> None:
        super().__init__()
        _check_sizes("GloVe", vocabulary, dimension)
        self.word, self.context = nn.Embedding(vocabulary, dimension), nn.Embedding(vocabulary, dimension)
        self.word_bias, self.context_bias = nn.Embedding(vocabulary, 1), nn.Embedding(vocabulary, 1)
        self.ceiling = ceiling
        for part in (self.word, self.context, self.word_bias, self.context_bias):
            nn.init.uniform_(part.weight, -0.5 / dimension, 0.5 / dimension)

    def forward(self, tokens: Tensor) -> Tensor:
        """(...) int64 to (..., D)."""
        return self.word(tokens) + self.context(tokens)

    def loss(self, words: Tensor, contexts: Tensor, counts: Tensor) -> Tensor:
        """Mean of weight (w . c + b_w + b_c - log count)^2 over pairs (B,) that co-occur `counts` > 0 times.

        Raises:
            InvalidInput: shapes that differ.
        """
        if not words.shape == contexts.shape == counts.shape:
            raise InvalidInput(
                "GloVe: words, contexts and counts must have one shape; "
                f"got {tuple(words.shape)}, {tuple(contexts.shape)} and {tuple(counts.shape)}"
            )
        fitted = (self.word(words) * self.context(contexts)).sum(-1)
        fitted = fitted + self.word_bias(words).squeeze(-1) + self.context_bias(contexts).squeeze(-1)
        weight = (counts / self.ceiling).clamp(max=1) ** 0.75
        return (weight * (fitted - counts.log()) ** 2).mean()


def context_pairs(tokens: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """Every (word, neighbour) pair at most `window` places apart, in both directions: (T,) int64 to two (P,) int64.

    Raises:
        InvalidInput: tokens that are not one sequence, or a window that is not between 1 and T - 1.
    """
    if tokens.ndim != 1 or not 1 <= window < tokens.shape[0]:
        raise InvalidInput(
            "context_pairs: tokens must have shape (T,) and window lie between 1 and T - 1; "
            f"got {tuple(tokens.shape)} and {window}"
        )
    before = torch.cat([tokens[:-distance] for distance in range(1, window + 1)])
    after = torch.cat([tokens[distance:] for distance in range(1, window + 1)])
    return torch.cat([before, after]), torch.cat([after, before])


def negative_probabilities(counts: Tensor) -> Tensor:
    """What negatives are drawn from: word counts (V,) to the 3/4 power, normalised (Mikolov et al., 2013)."""
    weights = counts**0.75
    return weights / weights.sum()


def keep_probabilities(counts: Tensor, threshold: float = 1e-3) -> Tensor:
    """Subsampling of frequent words: keep a word of frequency f with min(1, sqrt(threshold / f)), (V,) to (V,).

    A corpus is thinned by `tokens[torch.rand(T) < keep_probabilities(counts)[tokens]]`. Mikolov et al. (2013).
    """
    return (threshold * counts.sum() / counts.clamp(min=1)).sqrt().clamp(max=1)


def positive_pmi(counts: Tensor) -> Tensor:
    """Positive pointwise mutual information, max(0, log p(i, j) / (p(i) p(j))), of counts of words by words: (V, V).

    Counts of words by texts (V, N) are taken too.

    0 for a pair that never occurs. Church and Hanks (1990); Levy and Goldberg (2014).
    """
    expected = counts.sum(1, keepdim=True) * counts.sum(0, keepdim=True) / counts.sum()  # (V, V)
    return torch.where(counts > 0, (counts / expected).log(), 0.0).clamp(min=0)


def svd_vectors(matrix: Tensor, dimension: int) -> Tensor:
    """Word vectors by truncated SVD, U_D sqrt(S_D): (V, N) to (V, D).

    Args:
        matrix: counts of words by words or, for latent semantic analysis, by texts; or their `positive_pmi`.
        dimension: D.

    Deerwester et al. (1990), with the symmetric weighting of Levy et al. (2015).

    Raises:
        InvalidInput: a matrix of another shape, or a dimension that is not between 1 and the lesser of V and N.
    """
    if matrix.ndim != 2 or not 1 <= dimension <= min(matrix.shape):
        raise InvalidInput(
            "svd_vectors: matrix must have shape (V, N) and dimension lie between 1 and the lesser of them; "
            f"got {tuple(matrix.shape)} and {dimension}"
        )
    left, scales, _ = torch.linalg.svd(at_least_float32(matrix), full_matrices=False)
    return (left[:, :dimension] * scales[:dimension].sqrt()).to(matrix.dtype)


def nearest(vectors: Tensor, to: Tensor, count: int, besides: Tensor | None = None) -> Tensor:
    """The words of the largest cosines with some vectors.

    Args:
        vectors: (V, D).
        to: (N, D).
        count: of the words to be found, below V.
        besides: (N, K) int64, words that are not meant.

    Returns:
        (N, count) int64, the nearest first.
    """
    cosine = F.normalize(to, dim=-1) @ F.normalize(vectors, dim=-1).T  # (N, V)
    if besides is not None:
        cosine = cosine.scatter(1, besides, -torch.inf)
    return cosine.topk(count, 1).indices


def analogy(vectors: Tensor, first: Tensor, second: Tensor, third: Tensor) -> Tensor:
    """What is to `third` as `second` is to `first`: the word nearest to v_second - v_first + v_third.

    Vectors are brought to length 1 before, and the three words are not meant (Mikolov et al., 2013).

    Args:
        vectors: (V, D).
        first: (N,) int64.
        second: (N,) int64.
        third: (N,) int64.

    Returns:
        (N,) int64.
    """
    unit = F.normalize(vectors, dim=-1)
    return nearest(unit, unit[second] - unit[first] + unit[third], 1, torch.stack([first, second, third], 1))[:, 0]


def phrases(tokens: Tensor, vocabulary: int, count: int, discount: float = 5.0) -> Tensor:
    """Pairs of neighbours that are one word, "New York": the best by (n(a b) - discount) / (n(a) n(b)).

    A text in which each of them is a word of its own is made by replacing them; Mikolov et al. (2013).

    Args:
        tokens: (T,) int64 below V.
        vocabulary: V.
        count: pairs at most.
        discount: keeps pairs out that are seldom met; only what is met more often counts.

    Returns:
        (K, 2) int64, K at most `count`, the best first.
    """
    words = torch.bincount(tokens, minlength=vocabulary).double()
    pair, met = (tokens[:-1] * vocabulary + tokens[1:]).unique(return_counts=True)
    first, second = pair // vocabulary, pair % vocabulary
    score = (met - discount) / (words[first] * words[second])
    order = score.argsort(descending=True, stable=True)[:count]
    return torch.stack([first, second], 1)[order[score[order] > 0]]


def _check_sizes(name: str, vocabulary: int, dimension: int) -> None:
    if min(vocabulary, dimension) < 1:
        raise InvalidInput(f"{name}: sizes must be at least 1; got {vocabulary} and {dimension}")
