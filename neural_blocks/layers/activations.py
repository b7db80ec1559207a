"""Activations by name."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import unknown_name

SLOPE = 5.0  # of the threshold's stand-in where it is differentiated


class Arctan(nn.Module):
    """The arc tangent, within ±π / 2: (...) to (...)."""

    def forward(self, x: Tensor) -> Tensor:
        """(...) to (...)."""
        return torch.atan(x)


class Threshold(nn.Module):
    """A neuron that fires or does not (McCulloch and Pitts, 1943): 1 above 0, else 0; (...) to (...).

    Its gradient is that of a fast sigmoid, 1 / (1 + 5 |x|)^2 (Zenke and Ganguli, 2018): its own is 0.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(...) to (...)."""
        soft = x / (1 + SLOPE * x.abs())
        return (x > 0).to(x.dtype) + (soft - soft.detach())


ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "logistic": nn.Sigmoid,
    "arctan": Arctan,
    "threshold": Threshold,
}


def make_activation(name: str) -> nn.Module:
    """The activation module of a name. Raises `InvalidInput` with the nearest right name."""
    if name not in ACTIVATIONS:
        raise unknown_name("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]()
