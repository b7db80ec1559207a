"""Losses of learning without labels that compare views, moments or copies of a network with each other."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InvalidInput


def nt_xent(first: Tensor, second: Tensor, temperature: float = 0.5) -> Tensor:
    """Cross-entropy of finding each view's partner among all other views, by cosine (SimCLR, Chen et al., 2020).

    Args:
        first: (B, D).
        second: (B, D); row i is the other view of row i.
        temperature: divides the cosines.

    Raises:
        InvalidInput: shapes that differ.
    """
    _check_pair("nt_xent", first, second)
    count = len(first)
    views = F.normalize(torch.cat([first, second]), dim=-1)  # (2 B, D)
    logits = views @ views.T / temperature
    itself = torch.eye(2 * count, dtype=torch.bool, device=views.device)
    partner = torch.arange(2 * count, device=views.device).roll(count)
    return F.cross_entropy(logits.masked_fill(itself, -torch.inf), partner)


def queue_contrast(query: Tensor, key: Tensor, queue: Tensor, temperature: float = 0.07) -> Tensor:
    """Cross-entropy of finding each query's own key among it and a queue of others, by cosine (MoCo, He et al., 2020).

    Args:
        query: (B, D).
        key: (B, D); row i belongs to query i.
        queue: (K, D) keys of other examples.
        temperature: divides the cosines.

    Raises:
        InvalidInput: shapes that do not fit each other.
    """
    _check_pair("queue_contrast", query, key)
    query, key, queue = (F.normalize(part, dim=-1) for part in (query, key, queue))
    logits = torch.cat([(query * key).sum(-1, keepdim=True), query @ queue.T], 1) / temperature  # (B, 1 + K)
    return F.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.int64))


def dino_loss(
    student: Tensor, teacher: Tensor, centre: Tensor, temperature: float = 0.1, sharp: float = 0.04
) -> Tensor:
    """Cross-entropy of a student's distribution with a teacher's, centred and sharpened (DINO, Caron et al., 2021).

    Args:
        student: (B, D) logits.
        teacher: (B, D) logits, of which no gradient is taken.
        centre: (D,) that is taken off the teacher's.
        temperature: of the student's softmax.
        sharp: temperature of the teacher's.

    Raises:
        InvalidInput: shapes that differ.
    """
    _check_pair("dino_loss", student, teacher)
    wanted = ((teacher.detach() - centre) / sharp).softmax(-1)
    return -(wanted * (student / temperature).log_softmax(-1)).sum(-1).mean()


def predictive_contrast(foretold: Tensor, seen: Tensor, counts: Tensor, temperature: float = 0.1) -> Tensor:
    """Cross-entropy of finding what came among what came in other sequences then (CPC, van den Oord et al., 2018).

    Args:
        foretold: (T, B, D) what was said of each moment.
        seen: (T, B, D) what came.
        counts: (T, B) bool, which moments count; the others are negatives all the same.
        temperature: divides the cosines.

    Returns:
        The mean over those that count; 0 where none does.

    Raises:
        InvalidInput: shapes that do not fit each other.
    """
    if foretold.ndim != 3 or foretold.shape != seen.shape or counts.shape != seen.shape[:2]:
        raise InvalidInput(
            "predictive_contrast: foretold and seen must have one shape (T, B, D) and counts (T, B); "
            f"got {tuple(foretold.shape)}, {tuple(seen.shape)} and {tuple(counts.shape)}"
        )
    logits = F.normalize(foretold, dim=-1) @ F.normalize(seen, dim=-1).transpose(1, 2) / temperature  # (T, B, B)
    each = -logits.log_softmax(-1).diagonal(dim1=1, dim2=2)  # (T, B)
    return (each * counts).sum() / counts.sum().clamp(min=1)


def _check_pair(name: str, first: Tensor, second: Tensor) -> None:
    if first.ndim != 2 or first.shape != second.shape:
        raise InvalidInput(
            f"{name}: both must have one shape (B, D); got {tuple(first.shape)} and {tuple(second.shape)}"
        )
