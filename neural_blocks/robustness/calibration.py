"""Calibration: do a classifier's probabilities say how often it is right?"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InvalidInput


class TemperatureScaling(nn.Module):
    """One number that all logits are divided by, fitted on held-out examples (Guo et al., 2017).

    (..., K) logits to (..., K) logits; it changes how sure the classifier is, never its choice.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_temperature = nn.Parameter(torch.zeros(()))

    def forward(self, logits: Tensor) -> Tensor:
        """(..., K) to (..., K)."""
        return logits * torch.exp(-self.log_temperature)

    def fit(self, logits: Tensor, labels: Tensor) -> None:
        """Minimise the cross-entropy of held-out logits (B, K) and labels (B,) int64, by L-BFGS.

        Raises:
            InvalidInput: shapes that do not fit each other.
        """
        _check("TemperatureScaling", logits, labels)
        optimiser = torch.optim.LBFGS([self.log_temperature], max_iter=100, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimiser.zero_grad()
            with torch.enable_grad():
                loss = F.cross_entropy(self(logits.detach()), labels)
            loss.backward()
            return loss

        optimiser.step(closure)


def reliability(probabilities: Tensor, labels: Tensor, bins: int = 15) -> tuple[Tensor, Tensor, Tensor]:
    """The reliability diagram: predictions sorted by the probability of the chosen class into bins of equal width.

    Args:
        probabilities: (B, K).
        labels: (B,) int64.
        bins: M; a bin holds its lower edge, the last also 1.

    Returns:
        Mean confidence, accuracy and share of the examples in each bin, (M,) each; zeros for an empty bin.

    Raises:
        InvalidInput: shapes that do not fit each other, or fewer than one bin.
    """
    _check("reliability", probabilities, labels)
    if bins < 1:
        raise InvalidInput(f"reliability: bins must be at least 1; got {bins}")
    confidence, choice = probabilities.max(-1)  # (B,)
    edges = torch.linspace(0, 1, bins + 1, device=confidence.device, dtype=confidence.dtype)
    place = (torch.bucketize(confidence, edges, right=True) - 1).clamp(0, bins - 1)
    members = F.one_hot(place, bins).to(confidence.dtype)  # (B, M)
    count = members.sum(0)
    right = (choice == labels).to(confidence.dtype)
    filled = count.clamp(min=1)
    return confidence @ members / filled, right @ members / filled, count / labels.shape[0]


def expected_calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> Tensor:
    """ECE: the gap between confidence and accuracy, averaged over the examples' bins (Naeini et al., 2015).

    Arguments and errors as in `reliability`; a scalar.
    """
    confidence, accuracy, share = reliability(probabilities, labels, bins)
    return ((confidence - accuracy).abs() * share).sum()


def maximum_calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> Tensor:
    """MCE: the largest gap between confidence and accuracy in any bin (Naeini et al., 2015).

    Arguments and errors as in `reliability`; a scalar.
    """
    confidence, accuracy, _ = reliability(probabilities, labels, bins)
    return (confidence - accuracy).abs().max()


def brier_score(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Squared distance between the probabilities (B, K) and the one-hot truth, meaned over examples (Brier, 1950).

    0 is best, 2 the worst. Labels are (B,) int64; a scalar. Raises `InvalidInput` as `reliability` does.
    """
    _check("brier_score", probabilities, labels)
    truth = F.one_hot(labels, probabilities.shape[1])
    return (probabilities - truth).square().sum(-1).mean()


def _check(name: str, scores: Tensor, labels: Tensor) -> None:
    if scores.ndim != 2 or labels.shape != scores.shape[:1]:
        raise InvalidInput(
            f"{name}: scores must have shape (B, K) and labels (B,); "
            f"got {tuple(scores.shape)} and {tuple(labels.shape)}"
        )
