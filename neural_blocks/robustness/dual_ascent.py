"""The smallest change that fools a classifier, by ascent on the multiplier of being fooled."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InvalidInput
from .adversarial import Model

RATE, SPRING = 0.1, 1.0  # of a step; SPRING times it for the multiplier, which goes a little too far and comes back


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """(B,) the label's logit less the largest other one: (B, K) and (B,) int64."""
    own = logits.gather(1, labels.unsqueeze(1))
    others = logits.scatter(1, labels.unsqueeze(1), -torch.inf).amax(1, keepdim=True)
    return (own - others).squeeze(1)


def dual_ascent(
    model: Model,
    x: Tensor,
    labels: Tensor,
    *,
    steps: int = 100,
    confidence: float = 0.01,
    targeted: bool = False,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Tensor:
    """The smallest change in Euclidean length with which a model errs (Carlini and Wagner, 2017, by dual ascent).

    What is solved is min |d|² / 2 subject to a margin of at most -confidence. A step goes down the Lagrangian by the
    change d and up by its multiplier, which so grows while the model is not fooled and falls where it is by more than
    need be. The margin counts in units of its slope at x, so that one rate fits all models.

    Args:
        model: (B, ...) to (B, K) logits.
        x: (B, ...).
        labels: (B,) int64: the true classes, or with `targeted` those that the model should say.
        steps: gradients that are asked for.
        confidence: by how much, in logits, another class is to lie above the true one; above 0, as the boundary is
            neared from one side.
        targeted: have the model say `labels`.
        bounds: range of a valid input.

    Returns:
        (B, ...) inputs: of those that fooled the model the nearest to x, else the last.

    Raises:
        InvalidInput: labels of the wrong shape, a number of steps below 1, or a confidence that is not above 0.
    """
    if labels.shape != x.shape[:1]:
        raise InvalidInput(f"dual_ascent: labels must have shape {tuple(x.shape[:1])}; got {tuple(labels.shape)}")
    if steps < 1 or confidence <= 0:
        raise InvalidInput(
            f"dual_ascent: steps must be at least 1 and confidence above 0; got {steps} and {confidence}"
        )
    x, sign = x.detach(), -1.0 if targeted else 1.0
    wide = (-1, *[1] * (x.ndim - 1))

    def left(inputs: Tensor) -> tuple[Tensor, Tensor]:
        found = sign * margin(model(inputs), labels) + confidence
        return found.sum(), found

    change, multiplier = torch.zeros_like(x), x.new_zeros(len(x))
    unit = best = shortest = None
    for _ in range(steps + 1):
        with torch.no_grad():  # no second graph through the model's parameters
            slope, found = torch.func.grad(left, has_aux=True)(x + change)
        if unit is None or best is None or shortest is None:
            unit = slope.flatten(1).norm(dim=1).clamp(min=1e-12)
            best, shortest = change, torch.full_like(unit, torch.inf)
        length = change.flatten(1).norm(dim=1)
        better = (found < confidence) & (length < shortest)  # the margin itself is below 0
        best, shortest = torch.where(better.view(wide), change, best), torch.where(better, length, shortest)
        multiplier = (multiplier + RATE * SPRING * found / unit).clamp(min=0)
        moved = change - RATE * (change + (multiplier / unit).view(wide) * slope)
        change = (x + moved).clamp(*bounds) - x
    assert best is not None
    assert shortest is not None
    return x + torch.where(shortest.isfinite().view(wide), best, change)
