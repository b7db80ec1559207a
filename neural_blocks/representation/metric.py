"""Metric learning: embeddings in which distance means difference, for few-shot and self-supervised learning."""

from __future__ import annotations

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InvalidInput
from ..perception.mlp import MLP
from ..robustness.ensemble import WeightAverage


def prototypical_logits(support: Tensor, labels: Tensor, query: Tensor, ways: int) -> Tensor:
    """Minus the squared distance of each query to each class's mean support embedding (Snell et al., 2017).

    Args:
        support: (B, S, D) embeddings of the labelled examples of B episodes.
        labels: (B, S) int64 in [0, ways); each class has at least one.
        query: (B, Q, D).
        ways: K, number of classes.

    Returns:
        (B, Q, K) logits.

    Raises:
        InvalidInput: shapes that do not fit each other.
    """
    _check_episode("prototypical_logits", support, labels, query)
    members = (labels.unsqueeze(-1) == torch.arange(ways, device=labels.device)).to(support.dtype)  # (B, S, K)
    prototypes = members.transpose(1, 2) @ support / members.sum(1).unsqueeze(-1)  # (B, K, D)
    return -(query.unsqueeze(2) - prototypes.unsqueeze(1)).square().sum(-1)


def matching_logits(support: Tensor, labels: Tensor, query: Tensor, ways: int, scale: float | Tensor = 1.0) -> Tensor:
    """Log-probabilities by attention over the labelled examples, softmax of cosine similarity (Vinyals et al., 2016).

    Arguments, result and errors as in `prototypical_logits`; a class without examples gets -inf. Cosines lie within
    [-1, 1], so without a `scale` the attention cannot get sharper than e^2 to 1.
    """
    _check_episode("matching_logits", support, labels, query)
    similarity = scale * F.normalize(query, dim=-1) @ F.normalize(support, dim=-1).transpose(1, 2)  # (B, Q, S)
    attention = F.log_softmax(similarity, -1).unsqueeze(-1)  # (B, Q, S, 1)
    members = (labels.unsqueeze(-1) == torch.arange(ways, device=labels.device)).unsqueeze(1)  # (B, 1, S, K)
    return torch.logsumexp(attention.masked_fill(~members, -torch.inf), 2)


class FewShotNetwork(nn.Module):
    """Few-shot classifier: compares embeddings with those of labelled examples. Subclasses say how.

    Trained by cross-entropy.

    Args:
        encoder: a module from (N, ...) examples to (N, D).
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    @abstractmethod
    def logits(self, support: Tensor, labels: Tensor, query: Tensor, ways: int) -> Tensor:
        """Embeddings (B, S, D), labels (B, S), queries (B, Q, D) to (B, Q, ways) logits."""

    def embed(self, examples: Tensor) -> Tensor:
        """(B, S, ...) examples to (B, S, D)."""
        return self.encoder(examples.flatten(0, 1)).unflatten(0, examples.shape[:2])

    def forward(self, support: Tensor, labels: Tensor, query: Tensor, ways: int) -> Tensor:
        """Examples (B, S, ...), labels (B, S), queries (B, Q, ...) to (B, Q, ways) logits."""
        return self.logits(self.embed(support), labels, self.embed(query), ways)


class PrototypicalNetwork(FewShotNetwork):
    """The class whose mean embedding is nearest (Snell et al., 2017)."""

    def logits(self, support: Tensor, labels: Tensor, query: Tensor, ways: int) -> Tensor:
        """See `prototypical_logits`."""
        return prototypical_logits(support, labels, query, ways)


class MatchingNetwork(FewShotNetwork):
    """Attention over the labelled examples (Vinyals et al., 2016), at a learned scale (Gidaris and Komodakis, 2018)."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__(encoder)
        self.log_scale = nn.Parameter(torch.tensor(10.0).log())

    def logits(self, support: Tensor, labels: Tensor, query: Tensor, ways: int) -> Tensor:
        """See `matching_logits`; these are log-probabilities."""
        return matching_logits(support, labels, query, ways, self.log_scale.exp())


class Siamese(nn.Module):
    """One encoder for both members of a pair, and the distance between their embeddings (Bromley et al., 1993).

    Args:
        encoder: a module from (B, ...) examples to (B, D).
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Two batches (B, ...) to Euclidean distances (B,)."""
        return F.pairwise_distance(self.encoder(first), self.encoder(second))

    def loss(self, first: Tensor, second: Tensor, same: Tensor, margin: float = 1.0) -> Tensor:
        """Mean of d^2 for pairs of one class and max(0, margin - d)^2 for others (Hadsell et al., 2006).

        Args:
            first: (B, ...).
            second: (B, ...).
            same: (B,) bool.
            margin: distance from which on different pairs no longer cost.

        Raises:
            InvalidInput: a `same` of another shape than the distances.
        """
        distance = self(first, second)
        if same.shape != distance.shape:
            raise InvalidInput(f"Siamese: same must have shape {tuple(distance.shape)}; got {tuple(same.shape)}")
        return torch.where(same, distance, (margin - distance).clamp(min=0)).square().mean()


def info_nce(query: Tensor, key: Tensor, temperature: float = 0.1) -> Tensor:
    """Cross-entropy of finding each query's own key among those of the batch, by cosine (van den Oord et al., 2018).

    Args:
        query: (B, D).
        key: (B, D); row i belongs to query i, the other rows are its negatives.
        temperature: divides the cosines.

    Raises:
        InvalidInput: shapes that differ.
    """
    if query.ndim != 2 or query.shape != key.shape:
        raise InvalidInput(
            f"info_nce: query and key must have one shape (B, D); got {tuple(query.shape)} and {tuple(key.shape)}"
        )
    logits = F.normalize(query, dim=-1) @ F.normalize(key, dim=-1).T / temperature  # (B, B)
    return F.cross_entropy(logits, torch.arange(query.shape[0], device=query.device))


class BYOL(nn.Module):
    """Bootstrap your own latent: predict what a slow copy of the network makes of another view (Grill et al., 2020).

    Args:
        encoder: a module from (B, ...) to (B, D).
        features: D.
        projection: width of the projected embedding.
        hidden: width of the projector's and the predictor's hidden layer.
        decay: share of the target kept at each `update_target`.

    Raises:
        InvalidInput: a decay outside [0, 1].
    """

    def __init__(
        self, encoder: nn.Module, features: int, *, projection: int = 32, hidden: int = 128, decay: float = 0.99
    ) -> None:
        super().__init__()
        self.online = nn.Sequential(encoder, _projector(features, hidden, projection))
        self.predictor = _projector(projection, hidden, projection)
        self.target = WeightAverage(self.online, decay)

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) to the encoder's features (B, D)."""
        return self.online[0](x)

    def loss(self, first: Tensor, second: Tensor) -> Tensor:
        """2 - 2 cos between the prediction of one view and the target of the other, both ways, of (B, ...) views."""
        return self._one_way(first, second) + self._one_way(second, first)

    def _one_way(self, view: Tensor, other: Tensor) -> Tensor:
        with torch.no_grad():
            target = self.target(other)
        return (2 - 2 * F.cosine_similarity(self.predictor(self.online(view)), target, dim=-1)).mean()

    def update_target(self) -> None:
        """Move the target towards the online network; to be called after each optimiser step."""
        self.target.update_parameters(self.online)


def _projector(features: int, hidden: int, output: int) -> nn.Module:
    return nn.Sequential(MLP(features, (), hidden), nn.BatchNorm1d(hidden), nn.ReLU(), MLP(hidden, (), output))


def _check_episode(name: str, support: Tensor, labels: Tensor, query: Tensor) -> None:
    fits = support.ndim == query.ndim == 3 and support.shape[::2] == query.shape[::2]
    if not fits or labels.shape != support.shape[:2]:
        raise InvalidInput(
            f"{name}: support must have shape (B, S, D), labels (B, S) and query (B, Q, D); "
            f"got {tuple(support.shape)}, {tuple(labels.shape)} and {tuple(query.shape)}"
        )
