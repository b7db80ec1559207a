"""The proof of the universal approximation theorem as a network: one hidden layer in closed form, nothing learned."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..errors import InvalidInput


class StepNetwork(nn.Module):
    """One hidden layer of logistic units that approximates a function on an interval (Cybenko, 1989; Hornik, 1991).

    A steep logistic unit σ(w (x - b)) is all but a step at b. Two of them make a piece that is 1 between two places,
    and pieces as high as the function is there make the function. The pieces' steps at one place taken together,
    G(x) = f(a_1) + Σ (f(a_j) - f(a_{j-1})) σ(w (x - b_j)). With pieces of width δ a function whose slope is at most L
    is met within L δ / 2, but at the steps themselves; so the error falls with one over the number of units.

    Args:
        function: (N,) to (N,), on the interval.
        pieces: how many; the units are one fewer.
        low: where the interval begins.
        high: where it ends.
        steepness: w, in steps of a piece's width; infinity makes exact steps.

    Raises:
        InvalidInput: fewer pieces than 1, or an interval without length.
    """

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        pieces: int,
        low: float = 0.0,
        high: float = 1.0,
        steepness: float = 1000.0,
    ) -> None:
        super().__init__()
        if pieces < 1 or not low < high:
            wanted = "pieces must be at least 1 and low below high"
            raise InvalidInput(f"StepNetwork: {wanted}; got {pieces}, {low:g} and {high:g}")
        edges = torch.linspace(low, high, pieces + 1, dtype=torch.float64)
        self.width = (high - low) / pieces
        heights = function((edges[1:] + edges[:-1]) / 2)
        self.hidden = nn.Linear(1, pieces - 1, dtype=torch.float64)
        self.output = nn.Linear(pieces - 1, 1, dtype=torch.float64)
        self.sharp = steepness == float("inf")
        weight = 1.0 if self.sharp else steepness / self.width
        with torch.no_grad():
            self.hidden.weight.fill_(weight)
            self.hidden.bias.copy_(-weight * edges[1:-1])
            self.output.weight.copy_(heights.diff().unsqueeze(0))
            self.output.bias.copy_(heights[:1])

    def forward(self, x: Tensor) -> Tensor:
        """(N,) to (N,), float64."""
        z = self.hidden(x.double().unsqueeze(1))
        h = (z >= 0).to(z.dtype) if self.sharp else torch.sigmoid(z)
        return self.output(h).squeeze(1)
