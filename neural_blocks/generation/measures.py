"""How good generated samples are, from their features and class probabilities: four measures beside real ones."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InvalidInput


def frechet_distance(real: Tensor, made: Tensor) -> Tensor:
    """Squared Fréchet distance of the normal distributions with the means and covariances of two sets of features.

    |m - n|^2 + tr(S + T - 2 (S T)^(1/2)) (Heusel et al., 2017), computed in float64 from symmetric matrices alone.

    Args:
        real: (N, D) features of real samples, N at least 2.
        made: (M, D) features of generated ones, M at least 2.

    Returns:
        A scalar, float64; 0 where both agree.

    Raises:
        InvalidInput: features of different sizes, or fewer than two samples.
    """
    real, made = _features("frechet_distance", real, made, 2)
    apart = (real.mean(0) - made.mean(0)).square().sum()
    first, second = (torch.cov(part.T).reshape(part.shape[1], -1) for part in (real, made))
    values, vectors = torch.linalg.eigh(first)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    shared = torch.linalg.eigvalsh(root @ second @ root).clamp(min=0).sqrt().sum()  # tr (S T)^(1/2)
    return (apart + first.trace() + second.trace() - 2 * shared).clamp(min=0)


def inception_score(probabilities: Tensor) -> Tensor:
    """How sure a classifier is of each sample and how different the samples are (Salimans et al., 2016).

    The exponential of the mean divergence of p(class | sample) from p(class), from 1 to the number of classes.

    Args:
        probabilities: (M, K), each row adding up to 1.

    Returns:
        A scalar, float64.
    """
    sure = probabilities.double()
    mean = sure.mean(0)
    return (torch.xlogy(sure, sure) - torch.xlogy(sure, mean)).sum(1).mean().exp()


def neighbourhoods(real: Tensor, made: Tensor, nearest: int = 5) -> dict[str, Tensor]:
    """Fidelity and variety by balls around samples that reach to their k-th nearest neighbour of the same set.

    Args:
        real: (N, D) features of real samples, N greater than `nearest`.
        made: (M, D) features of generated ones, likewise.
        nearest: k.

    Returns:
        Scalars, float64: precision, the share of generated samples in a real one's ball; recall, that of real ones in
        a generated one's (Kynkäänniemi et al., 2019); density, in how many real balls a generated sample is, divided by
        k; coverage, the share of real balls that hold a generated one (Naeem et al., 2020).

    Raises:
        InvalidInput: features of different sizes, or too few samples.
    """
    real, made = _features("neighbourhoods", real, made, nearest + 1)
    between = torch.cdist(real, made, compute_mode="donot_use_mm_for_euclid_dist")  # (N, M)
    in_real = between <= _reach(real, nearest)[:, None]
    in_made = between <= _reach(made, nearest)
    return {
        "precision": in_real.any(0).double().mean(),
        "recall": in_made.any(1).double().mean(),
        "density": in_real.double().sum(0).mean() / nearest,
        "coverage": in_real.any(1).double().mean(),
    }


def _reach(features: Tensor, nearest: int) -> Tensor:
    """The distance (N,) of each sample's k-th nearest other sample; it is itself at distance 0, first of k + 1."""
    apart = torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")
    return apart.kthvalue(nearest + 1, dim=1).values


def _features(what: str, real: Tensor, made: Tensor, least: int) -> tuple[Tensor, Tensor]:
    """Both in float64, if their sizes agree and there are enough of them."""
    if real.ndim != 2 or made.ndim != 2 or real.shape[1] != made.shape[1] or min(len(real), len(made)) < least:
        shapes = f"{tuple(real.shape)} and {tuple(made.shape)}"
        raise InvalidInput(f"{what}: features must be (N, D) and (M, D), N and M at least {least}; got {shapes}")
    return real.double(), made.double()
