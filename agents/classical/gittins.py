"""The Gittins index of a Bernoulli arm over the pulls that are left, and the bandit agent that follows it."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ..core.config import AgentConfig
from .bandit import BanditAgent, Record

CHARGES = 401  # prices of a pull that the dynamic programme tries; the index is interpolated between them


class GittinsConfig(AgentConfig):
    """Settings of the Gittins index.

    Attributes:
        horizon: pulls of a trial. After them the arm with the best mean is pulled.
    """

    horizon: int = Field(10, ge=1, le=200)


class Gittins(BanditAgent):
    """The arm of the highest Gittins index for a Beta(1, 1) prior and a finite horizon (Gittins, 1979).

    The index is undiscounted and exact for the number of pulls that are left: the finite-horizon index, which is
    near to optimal for several arms, where the discounted one is optimal over an endless horizon. It is found once by
    dynamic programming, not by the closed-form approximation of Brezzi and Lai (2002).
    """

    name = "gittins"
    Config: ClassVar[type[AgentConfig]] = GittinsConfig

    def build(self) -> None:
        """Computes the table of indices."""
        super().build()
        self.table = gittins_index(self.config.horizon).float().to(self.device)

    def index(self, record: Record) -> Tensor:
        """The index of each arm with the pulls that are left."""
        horizon, left = self.config.horizon, self.config.horizon - record.pulls.sum(1, keepdim=True).long()
        pulls, wins = (counts.long().clamp(max=horizon - 1) for counts in (record.pulls, record.wins))
        return torch.where(left > 0, self.table[left.clamp(min=1), pulls, wins], record.mean)


def gittins_index(horizon: int, discount: float = 1.0) -> Tensor:
    """The Gittins indices of a Bernoulli arm with a Beta(1, 1) prior.

    The index is the charge per pull at which an optimal player, who may stop at any time, just breaks even. For a grid
    of charges at once, backwards from the last pull, this finds what the player wins; for each record of the arm the
    index is where that crosses 0, to about 1e-5.

    Args:
        horizon: H, pulls in all.
        discount: of each further pull.

    Returns:
        (H + 1, H, H) float64: by pulls left (from 1), the arm's pulls and its wins; 0 where the two exceed what
        can have been pulled.
    """
    charge = torch.linspace(0, 1, CHARGES, dtype=torch.float64)
    table = torch.zeros(horizon + 1, horizon, horizon, dtype=torch.float64)
    value = torch.zeros(horizon + 1, horizon + 1, CHARGES, dtype=torch.float64)  # by pulls, wins and charge
    for left in range(1, horizon + 1):
        size = horizon - left + 1  # 0 to horizon - left pulls so far
        pulls, wins = torch.arange(size)[:, None], torch.arange(size)
        mean = ((wins + 1) / (pulls + 2)).double()[..., None]
        further = mean * value[1 : size + 1, 1 : size + 1] + (1 - mean) * value[1 : size + 1, :size]
        gain = mean - charge + discount * further  # of pulling once more, falling with the charge
        value = gain.clamp(min=0)
        above = (gain > 0).sum(-1, keepdim=True).clamp(1, CHARGES - 1)  # the first charge that does not pay
        low, high = gain.gather(-1, above - 1), gain.gather(-1, above)
        index = charge[above - 1] + low / (low - high) / (CHARGES - 1)
        table[left, :size, :size] = index[..., 0].where(wins <= pulls, 0.0)
    return table
