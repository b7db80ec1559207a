"""Distribution shift: training that carries over to another domain, to rare groups and between examples."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InvalidInput
from ..perception.mlp import MLP


def coral(
    source: Tensor, target: Tensor, source_weight: Tensor | None = None, target_weight: Tensor | None = None
) -> Tensor:
    """Deep CORAL: squared Frobenius distance of the domains' feature covariances over 4 D^2 (Sun and Saenko, 2016).

    Args:
        source: (B, D) features of the labelled domain.
        target: (C, D) features of the other; at least two rows each.
        source_weight: (B,) how often each row counts, such as 0 for those of another domain; None for once. Rows that
            count less than twice in all have no covariance.
        target_weight: (C,) likewise.

    Raises:
        InvalidInput: features that are not (B, D) of one D with at least two rows.
    """
    if (
        source.ndim != 2
        or target.ndim != 2
        or source.shape[1] != target.shape[1]
        or min(source.shape[0], target.shape[0]) < 2
    ):
        raise InvalidInput(
            "coral: source and target must have shapes (B, D) and (C, D) with at least two rows; "
            f"got {tuple(source.shape)} and {tuple(target.shape)}"
        )
    difference = _covariance(source, source_weight) - _covariance(target, target_weight)  # (D, D)
    return difference.square().sum() / (4 * source.shape[1] ** 2)


def reverse_gradient(x: Tensor, strength: float = 1.0) -> Tensor:
    """x itself, whose gradient is multiplied by -strength on the way back: (...) to (...). Ganin et al. (2016)."""
    fixed = x.detach()
    return fixed - strength * (x - fixed)


class DomainDiscriminator(nn.Module):
    """Tells domains apart, and teaches the features before it to hide them (Ganin et al., 2016).

    Args:
        features: D.
        domains: K.
        hidden: width of each hidden layer.
        strength: weight of the reversed gradient.

    Raises:
        InvalidInput: fewer than two domains.
    """

    def __init__(
        self, features: int, domains: int = 2, *, hidden: tuple[int, ...] = (64,), strength: float = 1.0
    ) -> None:
        super().__init__()
        if domains < 2:
            raise InvalidInput(f"DomainDiscriminator: domains must be at least 2; got {domains}")
        self.strength = strength
        self.classifier = MLP(features, hidden, domains, activation="relu")

    def forward(self, features: Tensor) -> Tensor:
        """(B, D) to (B, K) logits, through the gradient reversal."""
        return self.classifier(reverse_gradient(features, self.strength))

    def loss(self, features: Tensor, domain: Tensor) -> Tensor:
        """Cross-entropy of the domain (B,) int64; minimised, it improves the discriminator and worsens the features.

        Raises:
            InvalidInput: domains of another shape than (B,).
        """
        if features.ndim != 2 or domain.shape != features.shape[:1]:
            raise InvalidInput(
                "DomainDiscriminator: features must have shape (B, D) and domain (B,); "
                f"got {tuple(features.shape)} and {tuple(domain.shape)}"
            )
        return F.cross_entropy(self(features), domain)


class GroupDRO(nn.Module):
    """Group distributionally robust loss: groups with a high loss gain weight exponentially (Sagawa et al., 2020).

    Args:
        groups: G.
        step_size: of the exponentiated gradient on the weights.

    Raises:
        InvalidInput: fewer than one group.
    """

    def __init__(self, groups: int, step_size: float = 0.01) -> None:
        super().__init__()
        if groups < 1:
            raise InvalidInput(f"GroupDRO: groups must be at least 1; got {groups}")
        self.groups, self.step_size = groups, step_size
        self.weights: Tensor
        self.register_buffer("weights", torch.full((groups,), 1 / groups))

    def forward(self, losses: Tensor, group: Tensor) -> Tensor:
        """The weighted loss, after an update of the weights in training mode.

        Args:
            losses: (B,) of each example.
            group: (B,) int64 in [0, G).

        Returns:
            Scalar, sum over groups of weight times mean loss; a group without examples counts as loss 0.

        Raises:
            InvalidInput: shapes that differ.
        """
        if losses.ndim != 1 or losses.shape != group.shape:
            raise InvalidInput(
                "GroupDRO: losses and group must have one shape (B,); "
                f"got {tuple(losses.shape)} and {tuple(group.shape)}"
            )
        own = torch.arange(self.groups, device=group.device)
        members = (group.unsqueeze(1) == own).to(losses.dtype)  # (B, G); one_hot would ask the device
        means = (losses.unsqueeze(1) * members).sum(0) / members.sum(0).clamp(min=1)  # (G,)
        return (self.following(means) * means).sum()

    @torch.no_grad()
    def following(self, means: Tensor) -> Tensor:
        """The weights (G,), which in training mode follow the mean losses (G,) first."""
        if self.training:
            self.weights.copy_(torch.softmax(self.weights.log() + self.step_size * means, 0))
        return self.weights.clone()  # a later update must not reach into a loss's graph


def mixup(x: Tensor, targets: Tensor, share: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
    """Each example blended with another, and their targets likewise (Zhang et al., 2018).

    Args:
        x: (B, ...).
        targets: (B, K) probabilities.
        share: (B,) of the first example, drawn from Beta(alpha, alpha) by `torch.distributions.Beta`.
        order: (B,) int64, which example joins each, by `torch.randperm`.

    Returns:
        Inputs (B, ...) and targets (B, K).

    Raises:
        InvalidInput: batch sizes that differ.
    """
    if not targets.shape[:1] == share.shape == order.shape == x.shape[:1]:
        raise InvalidInput(
            "mixup: x and targets must have B rows, share and order shape (B,); got "
            f"{tuple(x.shape)}, {tuple(targets.shape)}, {tuple(share.shape)} and {tuple(order.shape)}"
        )
    blended = torch.lerp(x[order], x, share.view(-1, *[1] * (x.ndim - 1)))
    return blended, torch.lerp(targets[order], targets, share.unsqueeze(1))


def _covariance(features: Tensor, weight: Tensor | None = None) -> Tensor:
    if weight is None:
        centred = features - features.mean(0)
        return centred.T @ centred / (features.shape[0] - 1)
    count = weight.sum()
    centred = features - (weight.unsqueeze(1) * features).sum(0) / count.clamp(min=1)
    return (centred.T * weight) @ centred / (count - 1).clamp(min=1)
