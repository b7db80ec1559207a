"""A gradient held against central differences of the loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class GradientCheck:
    """How far a gradient is from the differences.

    Attributes:
        relative: |gradient - differences| / (|gradient| + |differences|), of all parameters together; two zeros agree.
        worst: the largest difference of a single number.
        differences: of each parameter, its shape.
    """

    relative: float
    worst: float
    differences: list[Tensor]


@torch.no_grad()
def difference_quotients(loss: Callable[[], Tensor], parameters: Sequence[Tensor], step: float = 1e-5) -> list[Tensor]:
    """(E(θ + Δ) - E(θ - Δ)) / 2 Δ of every single number θ; what is left of the error falls with Δ squared.

    Args:
        loss: computes E from the parameters as they stand.
        parameters: changed in place, and put back.
        step: Δ.
    """
    found = []
    for parameter in parameters:
        flat, quotients = parameter.view(-1), torch.empty_like(parameter)
        for place in range(len(flat)):
            before = flat[place].item()
            ends = []
            for way in (step, -step):
                flat[place] = before + way
                ends.append(float(loss()))
            flat[place] = before
            quotients.view(-1)[place] = (ends[0] - ends[1]) / (2 * step)
        found.append(quotients)
    return found


def check_gradient(
    loss: Callable[[], Tensor], parameters: Sequence[Tensor], gradients: Sequence[Tensor], step: float = 1e-5
) -> GradientCheck:
    """Holds gradients, one for each parameter, against `difference_quotients`.

    In float64 with the step of 1e-5 a right gradient is off by about 1e-9, a wrong one by some share of its size.
    """
    quotients = difference_quotients(loss, parameters, step)
    ours, theirs = (torch.cat([one.detach().flatten() for one in many]) for many in (gradients, quotients))
    size = float(ours.norm() + theirs.norm())
    apart = (ours - theirs).abs()
    return GradientCheck(float(apart.norm()) / size if size else 0.0, float(apart.max()), quotients)
