"""Few rows against many, and what holds a network back from fitting noise: decay, dropout, stopping early."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from palaestra.envs.classification.sources.curves import curve, draw_rows
from palaestra.neural_blocks import MLP

from ..frame import Claim, Lines

STEPS, DEGREE, NOISE = 600, 4, 0.1
WAYS: dict[str, tuple[int, float, float]] = {  # rows, weight decay, dropout
    "6 rows": (6, 0.0, 0.0),
    "6 rows, weight decay": (6, 1.0, 0.0),
    "6 rows, dropout": (6, 0.0, 0.2),
    "300 rows": (300, 0.0, 0.0),
}


def drawn(count: int, split: str) -> tuple[Tensor, Tensor, Tensor]:
    """Dose's curve: x, y and the curve itself, (N, 1) each."""
    found = draw_rows(curve(DEGREE), count, split, NOISE, growing=False, outliers=0.0)
    x, y, mean = (torch.from_numpy(part).float().unsqueeze(1) for part in found)
    return x, y, mean


def measure(seed: int) -> Lines:
    """Squared errors on the training rows and from the curve, and the weights' squared norm, of each way."""
    x_test, _, mean = drawn(1000, "test")
    lines: dict[str, dict[str, float]] = {"training rows": {}, "held-out curve": {}, "held-out curve, best step": {}}
    for name, (count, decay, dropout) in WAYS.items():
        x, y, _ = drawn(count, f"claim {seed}")
        torch.manual_seed(seed)
        net = MLP(1, (250, 250), 1, activation="relu", initialisation="fan_in", dropout=dropout)
        optimiser = torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=decay)
        errors = []
        for step in range(STEPS):
            net.train()
            optimiser.zero_grad()
            F.mse_loss(net(x), y).backward()
            optimiser.step()
            if step % 20 == 19:
                net.eval()
                with torch.no_grad():
                    errors.append(float(F.mse_loss(net(x_test), mean)))
        with torch.no_grad():
            lines["training rows"][name] = float(F.mse_loss(net(x), y))
        lines["held-out curve"][name], lines["held-out curve, best step"][name] = errors[-1], min(errors)
    return lines


CLAIM = Claim(
    title="Over-fitting on Dose, and what holds it back",
    says="A flexible network fits few rows to the noise and errs elsewhere; more rows, weight decay, dropout "
    "(Srivastava et al., 2014) and stopping in time lower the error on what it has not seen.",
    how=f"1-250-250-1 ReLU networks, {STEPS} full-batch steps of Adam on rows of a curve of degree {DEGREE} with noise "
    f"of {NOISE}; squared error on the rows, and from the curve at 1000 places, at the end and at the best step. "
    "Weight decay is decoupled, at 1.0; dropout 0.2.",
    measure=measure,
    statements=(
        (
            "with 6 rows the error on the curve is more than 10 times that on the rows",
            lambda found: found.above(("held-out curve", "6 rows"), ("training rows", "6 rows"), 10),
        ),
        (
            "300 rows lower it more than 5 times",
            lambda found: found.above(("held-out curve", "6 rows"), ("held-out curve", "300 rows"), 5),
        ),
        (
            "weight decay lowers it",
            lambda found: found.above(("held-out curve", "6 rows"), ("held-out curve", "6 rows, weight decay")),
        ),
        (
            "dropout lowers it",
            lambda found: found.above(("held-out curve", "6 rows"), ("held-out curve", "6 rows, dropout")),
        ),
        (
            "stopping at the best step lowers it",
            lambda found: found.above(("held-out curve", "6 rows"), ("held-out curve, best step", "6 rows")),
        ),
    ),
    value="squared error",
    logarithmic=True,
    seeds=8,
)
