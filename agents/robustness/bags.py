"""Which rows of a minibatch each member of an ensemble learns from."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ...envs.core.tree import leaves
from ...neural_blocks.noise import bits, keys, uniform

MOST = 7  # times that a bootstrap holds one row, at most


def fingerprints(observation: Any) -> Tensor:
    """(N,) int64, the same for equal observations (1, N, ...) wherever they stand."""
    found: Any = 0
    for place, part in enumerate(leaves(observation)):
        flat = part[0].flatten(1)
        whole = (flat.contiguous().view(torch.int32) if flat.dtype == torch.float32 else flat).long()
        start = torch.zeros((), dtype=torch.int64, device=flat.device)
        odd = bits(keys(start, place), start, flat.shape[1]).bitwise_or(1)
        found = found + (whole * odd).sum(1)  # modulo 2**64
    return found


def poisson_weights(observation: Any, seed: Tensor, members: int) -> Tensor:
    """(E, N) float32: how often each member's bootstrap of all there is holds an observation (1, N, ...).

    Poisson with mean 1, decided by seed, member and observation alone (Oza and Russell, 2001).
    """
    own = keys(fingerprints(observation) + keys(seed, 0), 0)  # (N,)
    chance = uniform(own, torch.zeros_like(own), members).T  # (E, N)
    terms = [math.exp(-1) / math.factorial(k) for k in range(MOST)]
    reached = torch.tensor(terms, dtype=torch.float32).cumsum(0).tolist()
    return torch.stack([chance >= one for one in reached]).sum(0).float()


def drawn_evenly(weights: Tensor) -> Tensor:
    """(E, N) int64: N rows for each member, each row as often as its share of the weights (E, N) says, up to rounding.

    Systematic resampling; weights of 0 alone are taken for equal ones.
    """
    count = weights.shape[1]
    reached = (weights + 1e-9).double().cumsum(1)
    ends = reached / reached[:, -1:]
    middle = (torch.arange(count, device=weights.device, dtype=torch.float64) + 0.5) / count
    return torch.searchsorted(ends, middle.expand(len(weights), count).contiguous()).clamp(max=count - 1)


def boosted(right: Tensor, hits: Tensor, misses: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weights of rows by how the members before answer them (Oza and Russell, 2001).

    Args:
        right: (E, N) bool, whether each member answers each row rightly.
        hits: (E,) running weight of the rows that each member has right.
        misses: (E,) of those that it has wrong.

    Returns:
        (E, N) weights, 1 for the first member; and by member (E,) the mean weight that it has right and wrong here.
    """
    weight = torch.ones_like(right[0], dtype=hits.dtype)  # (N,)
    weights, new = [], []
    for own, hit, miss in zip(right, hits, misses, strict=True):
        weights.append(weight)
        new.append(torch.stack([(weight * own).mean(), (weight * ~own).mean()]))
        both = hit + miss
        weight = torch.where(own, weight * both / (2 * hit.clamp(min=1e-6)), weight * both / (2 * miss.clamp(min=1e-6)))
        weight = weight / weight.mean()
    shares = torch.stack(new)  # (E, 2)
    return torch.stack(weights), shares[:, 0], shares[:, 1]
