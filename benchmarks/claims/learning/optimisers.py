"""Gradient descent, momentum and Adam on quadratics by their condition number."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..frame import Claim, Lines

SIZE, SHRINK, MOST = 16, 1e-6, 5_000
CONDITIONS = (4, 16, 64, 256, 1024)
RATES = tuple(10 ** (k / 3 - 2.5) for k in (4, 5, 6, 3, 7, 2, 8, 1, 0))  # the likely ones first
Maker = Callable[[list[Tensor]], torch.optim.Optimizer]


def steps(curvature: Tensor, start: Tensor, turn: Tensor, make: Maker, most: int) -> int:
    """Steps until the loss, half the weighted squares of the turned parameters, is `SHRINK` of its start; or `most`."""
    own = (turn.T @ start).requires_grad_()
    optimiser = make([own])
    goal = SHRINK * float((curvature * start**2).sum())
    for step in range(1, most + 1):
        at = turn @ own.detach()
        if not math.isfinite(loss := float((curvature * at**2).sum())):
            return most
        if loss <= goal:
            return step
        own.grad = turn.T @ (curvature * at)
        optimiser.step()
    return most


def measure(seed: int) -> Lines:
    """Steps by condition number, of each optimiser on the same quadratics."""
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(SIZE, generator=generator, dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(SIZE, SIZE, generator=generator, dtype=torch.float64)).Q
    straight = torch.eye(SIZE, dtype=torch.float64)
    found: dict[str, dict[int, float]] = {}
    for condition in CONDITIONS:
        curvature = torch.logspace(0, -math.log10(condition), SIZE, dtype=torch.float64)  # the largest is 1
        root = math.sqrt(condition)
        rate, beta = 4 / (1 + 1 / root) ** 2, ((root - 1) / (root + 1)) ** 2
        ways: dict[str, tuple[Tensor, list[Maker]]] = {
            "gradient descent": (turn, [lambda own, c=condition: torch.optim.SGD(own, 2 / (1 + 1 / c))]),  # type: ignore[misc]
            "momentum": (turn, [lambda own, r=rate, b=beta: torch.optim.SGD(own, r, momentum=b)]),  # type: ignore[misc]
            "Adam": (turn, [lambda own, r=r: torch.optim.Adam(own, r) for r in RATES]),  # type: ignore[misc]
            "Adam, axes along the curvature": (straight, [lambda own, r=r: torch.optim.Adam(own, r) for r in RATES]),  # type: ignore[misc]
        }
        for name, (frame, makers) in ways.items():
            fewest = MOST
            for make in makers:
                fewest = steps(curvature, start, frame, make, fewest)
            found.setdefault(name, {})[condition] = fewest
    return found


CLAIM = Claim(
    title="Optimisers on ill-conditioned quadratics",
    says="Gradient descent needs steps in proportion to the condition number, momentum to its square root "
    "(Polyak, 1964). Adam scales each parameter by itself (Kingma and Ba, 2015), which helps where curvature lies "
    "along the axes and not where the axes are turned.",
    how=f"{SIZE} parameters, curvatures evenly spread on a logarithmic scale; steps until the loss is {SHRINK:g} of "
    "its start. Gradient descent and momentum have the rates that theory says are best, Adam the best of a grid.",
    measure=measure,
    statements=(
        (
            "steps of gradient descent grow with an exponent of 1 (its interval within 0.8 and 1.2)",
            lambda found: found.slope("gradient descent")[1] > 0.8 and found.slope("gradient descent")[2] < 1.2,
        ),
        (
            "those of momentum with an exponent of 1/2 (within 0.35 and 0.65)",
            lambda found: found.slope("momentum")[1] > 0.35 and found.slope("momentum")[2] < 0.65,
        ),
        (
            "at a condition of 1024 gradient descent needs more than 5 times the steps of momentum",
            lambda found: found.above(("gradient descent", 1024), ("momentum", 1024), 5),
        ),
        (
            "at a condition of 1024 Adam needs more steps in a turned frame than along the axes",
            lambda found: found.above(("Adam", 1024), ("Adam, axes along the curvature", 1024)),
        ),
    ),
    value="steps",
    across="condition number",
    logarithmic=True,
)
