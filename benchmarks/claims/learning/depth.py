"""Gradients and learning by depth: logistic units, ReLU, skips and normalisation."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from palaestra.neural_blocks.layers.activations import make_activation
from palaestra.neural_blocks.layers.initialisation import initialised

from ..frame import Claim, Lines
from .digits import accuracy, rows, train

WIDTH, DEPTHS, STEPS = 32, (2, 4, 8, 16, 32), 200
KINDS = {  # activation, initialisation, normalised, with skips
    "logistic": ("logistic", "xavier", False, False),
    "ReLU": ("relu", "he", False, False),
    "ReLU with skips": ("relu", "he", False, True),
    "logistic, normalised": ("logistic", "xavier", True, False),
    "ReLU, normalised, with skips": ("relu", "he", True, True),
}


class Deep(nn.Module):
    """A stack of equal layers between one in and one out."""

    def __init__(self, depth: int, activation: str, initialisation: str, normalised: bool, skips: bool) -> None:
        super().__init__()
        self.first = initialised(nn.Linear(64, WIDTH), initialisation)
        self.layers = nn.ModuleList(initialised(nn.Linear(WIDTH, WIDTH), initialisation) for _ in range(depth))
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) if normalised else nn.Identity() for _ in range(depth))
        self.last = initialised(nn.Linear(WIDTH, 10), "xavier")
        self.activation, self.skips = make_activation(activation), skips

    def forward(self, images: Tensor) -> Tensor:
        """(N, 1, 8, 8) to (N, 10)."""
        h = self.activation(self.first(images.flatten(1)))
        for layer, norm in zip(self.layers, self.norms, strict=True):
            change = layer(self.activation(norm(h))) if self.skips else self.activation(norm(layer(h)))
            h = h + change / len(self.layers) ** 0.5 if self.skips else change
        return self.last(h)


def gradients(seed: int) -> Lines:
    """The first layer's gradient as a share of the last hidden one's, of fresh networks."""
    images, labels, _, _ = rows(256, seed)
    found: dict[str, dict[int, float]] = {kind: {} for kind in KINDS}
    for kind, settings in KINDS.items():
        for depth in DEPTHS:
            torch.manual_seed(seed)
            net = Deep(depth, *settings)
            F.cross_entropy(net(images), labels).backward()
            first, last = (net.layers[place].weight.grad for place in (0, -1))
            assert isinstance(first, Tensor)
            assert isinstance(last, Tensor)
            found[kind][depth] = max(float(first.norm() / last.norm()), 1e-30)
    return found


def learned(seed: int) -> Lines:
    """Accuracy on held-out digits after a few steps."""
    images, labels, others, right = rows(1000, seed)
    found: dict[str, dict[int, float]] = {kind: {} for kind in KINDS}
    for kind, settings in KINDS.items():
        for depth in (2, 8, 32):
            torch.manual_seed(seed)
            net = Deep(depth, *settings)
            train(net, images, labels, STEPS, seed, rate=2e-3)
            found[kind][depth] = accuracy(net, others, right)
    return found


GRADIENTS = Claim(
    title="The gradient by depth",
    says="A logistic unit's slope is at most 1/4, so gradients shrink at least fourfold a layer while weights are not "
    "large (Hochreiter, 1991); ReLU with weights to match keeps them (He et al., 2015), and so do skips and "
    "normalisation (He et al., 2016; Ba et al., 2016).",
    how=f"Networks of {WIDTH} units a layer, before learning, on digits: the norm of the loss's gradient by the "
    "weights of the first hidden layer, as a share of the last one's.",
    measure=gradients,
    statements=(
        *(
            (
                f"from {shallow} to {deep} layers the logistic network's first gradient falls at least by 4 a layer",
                lambda found, a=shallow, b=deep: found.above(("logistic", a), ("logistic", b), 4.0 ** (b - a)),
            )
            for shallow, deep in pairwise(DEPTHS[:4])
        ),
        (
            "at 32 layers ReLU with He's weights keeps a tenth of it",
            lambda found: found.interval("ReLU", 32)[1] > 0.1,
        ),
        ("with skips at least a half is left", lambda found: found.interval("ReLU with skips", 32)[1] > 0.5),
        (
            "normalisation helps logistic units: at 16 layers 1000 times more is left",
            lambda found: found.above(("logistic, normalised", 16), ("logistic", 16), 1000),
        ),
    ),
    value="first gradient as a share of the last",
    across="layers",
    logarithmic=True,
)
LEARNED = Claim(
    title="Learning by depth",
    says="Deep networks of logistic units do not learn where those of ReLU, skips and normalisation do (Glorot and "
    "Bengio, 2010; He et al., 2016).",
    how=f"The networks of depth-gradients after {STEPS} steps of Adam on 1000 digits: accuracy on 500 others.",
    measure=learned,
    statements=(
        ("with 8 logistic layers accuracy stays below 0.2", lambda found: found.interval("logistic", 8)[2] < 0.2),
        ("8 layers of ReLU learn more than 8 logistic ones", lambda found: found.above(("ReLU", 8), ("logistic", 8))),
        (
            "at 32 layers skips beat the plain ReLU network",
            lambda found: found.above(("ReLU with skips", 32), ("ReLU", 32)),
        ),
        (
            "32 layers with skips and normalisation reach 0.9",
            lambda found: found.interval("ReLU, normalised, with skips", 32)[1] > 0.9,
        ),
    ),
    value="accuracy on held-out digits",
    across="layers",
    seeds=3,
)
