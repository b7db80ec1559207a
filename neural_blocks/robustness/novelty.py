"""Is an input of the classes that a classifier knows? Scores read off after training, and how well they rank."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from .ensemble import mean_probability

SHRINKAGE = 0.01  # share of a covariance that is even in all directions


def max_softmax(logits: Tensor) -> Tensor:
    """Strangeness (...) of logits (..., K): minus the largest probability (Hendrycks and Gimpel, 2017)."""
    return -logits.softmax(-1).amax(-1)


def free_energy(logits: Tensor) -> Tensor:
    """Strangeness (...) of logits (..., K): minus the logarithm of the sum of their exponentials (Liu et al., 2020)."""
    return -logits.logsumexp(-1)


def disagreement(predictions: Tensor, share: Tensor) -> Tensor:
    """Strangeness by how much models disagree: the entropy of their mean less the mean of their entropies, nats.

    It is what the answer tells of which model is right (Depeweg et al., 2018), and 0 where all say the same, however
    unsure (Lakshminarayanan et al., 2017).

    Args:
        predictions: (E, ..., K) log-probabilities of each model.
        share: (E,) of each in the mean; they sum to 1.

    Returns:
        (...).
    """
    mean = mean_probability(predictions, share)
    return entropy_of(mean) - torch.tensordot(share, entropy_of(predictions), 1)


def entropy_of(log_probabilities: Tensor) -> Tensor:
    """(..., K) log-probabilities to their entropy (...), nats; what is impossible adds nothing."""
    sizes = log_probabilities.clamp(min=torch.finfo(log_probabilities.dtype).min)
    return -(log_probabilities.exp() * sizes).sum(-1)


class Mahalanobis(nn.Module):
    """Strangeness by the distance of features to the nearest class, in its inner deviation (Lee et al., 2018).

    (B, D) features to (B,) squared distances to the nearest class mean; the covariance is one for all classes.

    Args:
        features: D.
        classes: K.

    Attributes:
        means: (K, D).
        precision: (D, D), the inverse of the covariance, of which one hundredth is even in all directions.
        met: (K,) bool, classes that there were examples of.
    """

    means: Tensor
    met: Tensor
    precision: Tensor

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("means", torch.zeros(classes, features))
        self.register_buffer("precision", torch.eye(features))
        self.register_buffer("met", torch.ones(classes, dtype=torch.bool))

    @torch.no_grad()
    def fit(self, features: Tensor, labels: Tensor) -> None:
        """Takes means and covariance of features (B, D) of classes (B,) int64; a class without any is never near.

        Raises:
            InvalidInput: shapes that do not fit.
        """
        if features.ndim != 2 or features.shape[1] != self.means.shape[1] or labels.shape != features.shape[:1]:
            raise InvalidInput(
                f"Mahalanobis: features must have shape (B, {self.means.shape[1]}) and labels (B,); "
                f"got {tuple(features.shape)} and {tuple(labels.shape)}"
            )
        member = (labels.unsqueeze(1) == torch.arange(len(self.means), device=labels.device)).double()  # (B, K)
        x, count = features.double(), member.sum(0)
        means = member.T @ x / count.clamp(min=1).unsqueeze(1)
        apart = x - means[labels]
        covariance = apart.T @ apart / max(1, len(x))
        size = covariance.diagonal().mean().clamp(min=1e-12)
        even = size * torch.eye(len(covariance), dtype=x.dtype, device=x.device)
        self.precision.copy_(torch.linalg.inv((1 - SHRINKAGE) * covariance + SHRINKAGE * even))
        self.means.copy_(means)
        self.met.copy_(count > 0)

    def forward(self, features: Tensor) -> Tensor:
        """(B, D) to (B,)."""
        apart = features.unsqueeze(1) - self.means  # (B, K, D)
        return ((apart @ self.precision) * apart).sum(-1).masked_fill(~self.met, torch.inf).amin(-1)


def area_under_roc(scores: Tensor, positive: Tensor) -> Tensor:
    """The probability that a positive example scores above another one, ties counting half (Hanley and McNeil, 1982).

    Args:
        scores: (B,).
        positive: (B,) bool.

    Returns:
        A scalar; NaN where all are positive or none is.

    Raises:
        InvalidInput: shapes that differ.
    """
    if scores.ndim != 1 or scores.shape != positive.shape:
        raise InvalidInput(
            "area_under_roc: scores and positive must have one shape (B,); "
            f"got {tuple(scores.shape)} and {tuple(positive.shape)}"
        )
    scores = scores.contiguous()
    ordered = scores.sort().values
    below = torch.searchsorted(ordered, scores)
    above = torch.searchsorted(ordered, scores, right=True)
    rank = (below + above + 1).double() / 2  # (B,) of each score among all, ties at their mean
    count = positive.sum().double()
    others = len(scores) - count
    return (rank[positive].sum() - count * (count + 1) / 2) / (count * others)
