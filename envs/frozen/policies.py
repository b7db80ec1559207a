"""Policies that environments attack: what they see in, what they do out."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...neural_blocks.perception.mlp import MLP
from ..checks.options import choice
from .classifiers import classifier
from .store import Recipe, load

FORK = "fork-policy"
BATCH, STEPS = 1024, 6000
SPEED, FARTHEST, WIDEST = 0.2, 8, 1.7  # how far the car of `Fork` moves; the longest fork in steps; offsets learned


class Driver(nn.Module):
    """Steers through the nearer gate of `Fork`: observations (B, 3) to actions (B, 1) in [-1, 1].

    What the network is asked is the same fork seen from its right side, where it may be mirrored: a driver that is as
    good to either side and that decides at the middle line.
    """

    def __init__(self) -> None:
        super().__init__()
        self.network = MLP(3, (64, 64), 1, activation="relu")

    def forward(self, observation: Tensor) -> Tensor:
        """The steering, in the dtype of the weights."""
        seen = observation.to(next(self.network.parameters()).dtype)
        side = torch.where(seen[:, :1] < 0, -1.0, 1.0).to(seen.dtype)
        return side * self.network(torch.cat([side * seen[:, :1], seen[:, 1:]], 1)).clamp(-1, 1)


class Reader(nn.Module):
    """A shipped classifier as a policy: images (B, 1, 8, 8) from 0 to 255 to logits (B, 10)."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.network = classifier(kind).double()

    def forward(self, observation: Tensor) -> Tensor:
        """The logits, float64."""
        return self.network(observation.double() / 255)


def policy(what: str, id: str) -> nn.Module:
    """The shipped policy of an environment, frozen, in double precision.

    Args:
        what: who asks, for the message.
        id: of the environment: "palaestra/Fork-v0" or "palaestra/DigitBandit-v0".

    Raises:
        InvalidInput: there is none for that environment.
    """
    return POLICIES[choice(what, id, POLICIES)]()


def _fork() -> nn.Module:
    return load(FORK, Driver()).double()


def _train_fork(network: nn.Module) -> None:
    """Cloned from who steers straight to the nearer gate, at places all over the road; Adam with one cycle."""
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=1e-5)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=STEPS)
    for _ in range(STEPS):
        offset, reach, steps = torch.rand(3, BATCH, 1)
        distance = 1 + (steps * FARTHEST).floor()
        offset, gate = WIDEST * (2 * offset - 1), 0.2 + reach * (WIDEST - 0.2)
        way = (torch.where(offset < 0, -gate, gate) - offset) / (SPEED * distance)
        seen = torch.cat([offset, gate, distance / FARTHEST], 1)
        optimiser.zero_grad()
        F.smooth_l1_loss(network(seen), way.clamp(-1, 1), beta=0.05).backward()
        optimiser.step()
        schedule.step()


POLICIES: dict[str, Any] = {
    "palaestra/Fork-v0": _fork,
    "palaestra/DigitBandit-v0": lambda: Reader("plain"),
}
RECIPES = {FORK: Recipe(Driver, _train_fork)}
