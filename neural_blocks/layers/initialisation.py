"""Where learning starts: the first weights of a layer, by name."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from ..errors import unknown_name

INITIALISATIONS = ("orthogonal", "fan_in", "xavier", "he", "gaussian", "zeros")
DEVIATION = 0.01  # of gaussian weights


def orthogonal(layer: Any, gain: float = math.sqrt(2)) -> Any:
    """The linear or convolution layer with orthogonal weights of that gain and zero bias (Saxe et al., 2014)."""
    nn.init.orthogonal_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def initialised(layer: Any, name: str, output_gain: float | None = None) -> Any:
    """A linear layer with its first weights.

    Args:
        layer: linear; all but "fan_in" set its bias to 0.
        name: "orthogonal" (Saxe et al., 2014), of gain √2; "fan_in", as PyTorch has made it (LeCun et al., 1998);
            "xavier", uniform with variance 2 / (inputs + outputs) (Glorot and Bengio, 2010); "he", normal with variance
            2 / inputs (He et al., 2015); "gaussian", normal with a deviation of 0.01 (Krizhevsky et al., 2012);
            "zeros", with which no two units of a layer ever differ.
        output_gain: of a last layer: the gain of orthogonal weights, a factor on all others but "fan_in".

    Raises:
        InvalidInput: another name.
    """
    if name not in INITIALISATIONS:
        raise unknown_name("MLP: initialisation", name, INITIALISATIONS)
    if name == "orthogonal":
        return orthogonal(layer) if output_gain is None else orthogonal(layer, output_gain)
    if name == "fan_in":
        return layer
    if name == "xavier":
        nn.init.xavier_uniform_(layer.weight)
    elif name == "he":
        nn.init.kaiming_normal_(layer.weight)
    elif name == "gaussian":
        nn.init.normal_(layer.weight, std=DEVIATION)
    else:
        nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    with torch.no_grad():
        layer.weight.mul_(1.0 if output_gain is None else output_gain)
    return layer
