"""A recurrent network in continuous time as a memory, integrated by Euler's method."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from .memory import State
from .recurrent import Recurrent


class ContinuousTime(Recurrent):
    """Leaky units in continuous time: tau dh/dt = -h + tanh(W x + U h + b), with a time constant for each unit.

    Such networks approximate the course of any dynamical system (Funahashi and Nakamura, 1993). The input is held for
    a step, which is a unit of time and is integrated in `substeps` of Euler's; time constants are above 1 and learned.
    The memory is h, (B, H).

    Args:
        input_size: features in.
        hidden_size: H, features out.
        substeps: of a step.

    Raises:
        InvalidInput: a size or a number of substeps below 1.
    """

    gates, parts = 1, 1

    def __init__(self, input_size: int, hidden_size: int, substeps: int = 2) -> None:
        super().__init__(input_size, hidden_size)
        if substeps < 1:
            raise InvalidInput(f"ContinuousTime: substeps must be at least 1; got {substeps}")
        self.substeps = substeps
        self.leak = nn.Parameter(torch.zeros(hidden_size))  # logits of 1 / tau
        self.span(8)

    def span(self, steps: int) -> None:
        """Time constants from 4/3 to about that many steps at first."""
        with torch.no_grad():
            self.leak.copy_(torch.linspace(math.log(3), -math.log(max(steps, 2) - 1), self.hidden_size))

    def remember(self, gates: Tensor, memory: State) -> State:
        """h after the step's Euler parts of h' = h + (tanh(W x + U h + b) - h) / (tau substeps)."""
        (hidden,) = memory
        share = torch.sigmoid(self.leak) / self.substeps
        for _ in range(self.substeps):
            hidden = torch.addcmul(hidden, share, torch.tanh(gates + self.memory_gates(hidden)) - hidden)
        return (hidden,)
