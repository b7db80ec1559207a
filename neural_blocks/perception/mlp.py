"""Multi-layer perceptron."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from ..layers.activations import make_activation
from ..layers.dropout import Dropout
from ..layers.initialisation import initialised
from ..layers.normalisation import make_normalisation


class MLP(nn.Module):
    """Linear layers with an activation after each but, if `output_size` is given, the last.

    (..., input_size) float to (..., output_size), or to (..., hidden[-1]) without an output layer.

    Args:
        input_size: features in.
        hidden: width of each hidden layer; may be empty.
        output_size: features out of a last layer without activation; None leaves it away.
        activation: a name of `activations.ACTIVATIONS`.
        output_gain: gain of the last layer's weights; small for a policy, 1 for a value.
        initialisation: a name of `initialisation.INITIALISATIONS`.
        normalisation: of each hidden layer before its activation, see `make_normalisation`; None for none.
        dropout: probability with which a feature is zero behind each activation, in training.

    Raises:
        InvalidInput: a size below 1, an unknown activation, initialisation or normalisation, another dropout.
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
        normalisation: str | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        sizes = [input_size, *hidden]
        if min(*sizes, 1 if output_size is None else output_size) < 1:
            raise InvalidInput(f"MLP: sizes must be at least 1; got {sizes} and output {output_size}")
        layers: list[nn.Module] = []
        for size, width in itertools.pairwise(sizes):
            layers.append(initialised(nn.Linear(size, width), initialisation))
            if normalisation is not None:
                layers.append(make_normalisation(normalisation, width))
            layers.append(make_activation(activation))
            if dropout:
                layers.append(Dropout(dropout))
        if output_size is not None:
            layers.append(initialised(nn.Linear(sizes[-1], output_size), initialisation, output_gain))
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
