"""Multi-layer perceptron."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InvalidInput, unknown_name

INITIALISATIONS = ("orthogonal", "fan_in")
ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU, "silu": nn.SiLU, "gelu": nn.GELU}


def make_activation(name: str) -> nn.Module:
    """The activation module of a name. Raises `InvalidInput` with the nearest right name."""
    if name not in ACTIVATIONS:
        raise unknown_name("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]()


def orthogonal(layer: Any, gain: float = math.sqrt(2)) -> Any:
    """The linear or convolution layer with orthogonal weights of that gain and zero bias (Saxe et al., 2014)."""
    nn.init.orthogonal_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class MLP(nn.Module):
    """Linear layers with an activation after each but, if `output_size` is given, the last.

    (..., input_size) float to (..., output_size), or to (..., hidden[-1]) without an output layer.

    Args:
        input_size: features in.
        hidden: width of each hidden layer; may be empty.
        output_size: features out of a last layer without activation; None leaves it away.
        activation: "tanh", "relu", "silu" or "gelu".
        output_gain: gain of the last layer's orthogonal weights; small for a policy, 1 for a value.
        initialisation: "orthogonal" weights and no bias (Saxe et al., 2014), or "fan_in", weights and biases uniform
            within 1 / √fan_in as PyTorch has them (LeCun et al., 1998).

    Raises:
        InvalidInput: a size below 1, an unknown activation or initialisation.
    """

    def __init__(
        self,
        input_size: int,
        hidden: Sequence[int] = (64, 64),
        output_size: int | None = None,
        *,
        activation: str = "tanh",
        output_gain: float = 1.0,
        initialisation: str = "orthogonal",
    ) -> None:
        super().__init__()
        if initialisation not in INITIALISATIONS:
            raise unknown_name("MLP: initialisation", initialisation, INITIALISATIONS)
        begin: Any = orthogonal if initialisation == "orthogonal" else (lambda layer, gain=None: layer)
        sizes = [input_size, *hidden]
        if min(*sizes, 1 if output_size is None else output_size) < 1:
            raise InvalidInput(f"MLP: sizes must be at least 1; got {sizes} and output {output_size}")
        layers: list[nn.Module] = []
        for size, width in itertools.pairwise(sizes):
            layers += [begin(nn.Linear(size, width)), make_activation(activation)]
        if output_size is not None:
            layers.append(begin(nn.Linear(sizes[-1], output_size), output_gain))
        self.layers = nn.Sequential(*layers)
        self.output_size = sizes[-1] if output_size is None else output_size

    def forward(self, x: Tensor) -> Tensor:
        """(..., input_size) to (..., output_size)."""
        return self.layers(x)

    def each(self, weights: dict[str, Tensor], x: Tensor) -> Tensor:
        """N perceptrons of this shape at once, each on its own rows: (N, S, input_size) to (N, S, output_size).

        Args:
            weights: by the parameters' names, each (N, ...).
            x: (N, S, input_size).
        """
        for place, layer in enumerate(self.layers):
            if isinstance(layer, nn.Linear):
                weight, bias = weights[f"layers.{place}.weight"], weights[f"layers.{place}.bias"]
                x = torch.baddbmm(bias.unsqueeze(1), x, weight.mT)
            else:
                x = layer(x)
        return x
