"""Changed copies of few images, and votes of several networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from palaestra.neural_blocks import MLP, Ensemble
from palaestra.neural_blocks.robustness.calibration import expected_calibration_error

from ..frame import Claim, Lines
from .digits import accuracy, rows, train

ROWS, STEPS, MEMBERS = (50, 100, 400, 1200), 300, (1, 2, 5, 10)


def shifted(images: Tensor, generator: torch.Generator) -> Tensor:
    """Images (N, 1, 8, 8), each moved by -1, 0 or 1 pixel either way; what comes in is black."""
    down, right = torch.randint(-1, 2, (2, len(images)), generator=generator)
    place = torch.arange(1, 9)
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    tall = (place - down[:, None])[:, None, :, None].expand(-1, 1, -1, 10)
    wide = (place - right[:, None])[:, None, None, :].expand(-1, 1, 8, -1)
    return padded.gather(2, tall).gather(3, wide)


class Changed(nn.Module):
    """Images shifted by up to a pixel in training, then a perceptron."""

    def __init__(self, seed: int, shifts: bool) -> None:
        super().__init__()
        self.shifts, self.generator = shifts, torch.Generator().manual_seed(seed)
        self.net = MLP(64, (64,), 10, activation="relu", initialisation="he")

    def forward(self, images: Tensor) -> Tensor:
        """(N, 1, 8, 8) to (N, 10)."""
        if self.training and self.shifts:
            images = shifted(images, self.generator)
        return self.net(images.flatten(1))


def augmented(seed: int) -> Lines:
    """Accuracy by rows, with and without shifts, on held-out digits as they are and shifted too."""
    found: dict[str, dict[int, float]] = {}
    for count in ROWS:
        images, labels, others, right = rows(count, seed)
        moved = shifted(others, torch.Generator().manual_seed(seed))
        for line in ("as they are", "shifted"):
            torch.manual_seed(seed)
            net = Changed(seed, line == "shifted")
            train(net, images, labels, STEPS, seed)
            found.setdefault(f"{line}, tested as they are", {})[count] = accuracy(net, others, right)
            found.setdefault(f"{line}, tested shifted", {})[count] = accuracy(net, moved, right)
    return found


def voting(seed: int) -> Lines:
    """Accuracy and calibration error by members, each trained on the same 100 rows from other weights."""
    images, labels, others, right = rows(100, seed)
    members = []
    for member in range(max(MEMBERS)):
        torch.manual_seed(1000 * seed + member)
        net = nn.Sequential(nn.Flatten(), MLP(64, (64,), 10, activation="relu", initialisation="he"))
        train(net, images, labels, 150, 1000 * seed + member, rate=1e-2)
        members.append(net)
    found: dict[str, dict[int, float]] = {"error": {}, "mean error of its members": {}, "calibration error": {}}
    singles = [1 - accuracy(one, others, right) for one in members]
    for count in MEMBERS:
        both = Ensemble(members[:count]).eval()
        with torch.no_grad():
            share = both(others).exp()
        found["error"][count] = float((share.argmax(1) != right).float().mean())
        found["mean error of its members"][count] = sum(singles[:count]) / count
        found["calibration error"][count] = float(expected_calibration_error(share, right))
    return found


AUGMENTATION = Claim(
    title="Augmentation with few rows",
    says="Shifted copies of images teach an invariance that few rows do not show, so they help most where rows are few "
    "(Simard et al., 2003).",
    how=f"A perceptron of 64 ReLU units, {STEPS} steps of Adam on digits as they are or each shifted by up to a pixel: "
    "accuracy on 500 others, as they are and shifted.",
    measure=augmented,
    statements=(
        *(
            (
                f"with 100 rows shifts help on digits {tested}",
                lambda found, tested=tested: found.above(
                    (f"shifted, tested {tested}", 100), (f"as they are, tested {tested}", 100)
                ),
            )
            for tested in ("shifted", "as they are")
        ),
        (
            "on digits as they are they help more with 50 rows than with 1200",
            lambda found: found.contrast(
                *((f"{line}, tested as they are", n) for n in (50, 1200) for line in ("shifted", "as they are"))
            ),
        ),
    ),
    value="accuracy on held-out digits",
    across="rows",
    seeds=8,
)
ENSEMBLES = Claim(
    title="Ensembles by size",
    says="The mean of several networks' forecasts errs less than the networks do on average and is better calibrated "
    "(Hansen and Salamon, 1990; Lakshminarayanan et al., 2017).",
    how="Perceptrons of 64 ReLU units from different weights and minibatches, all on the same 100 digits: error and "
    "expected calibration error of their mean forecast on 500 others.",
    measure=voting,
    statements=(
        (
            "ten together err less than they do on average",
            lambda found: found.above(("mean error of its members", 10), ("error", 10)),
        ),
        ("ten err less than two", lambda found: found.above(("error", 2), ("error", 10))),
        (
            "ten are better calibrated than one",
            lambda found: found.above(("calibration error", 1), ("calibration error", 10)),
        ),
    ),
    value="share of 500 held-out digits",
    across="members",
)
