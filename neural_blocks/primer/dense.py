"""A dense layer with its backward rule written out: three products of matrices."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InvalidInput, unknown_name

SLOPES = {  # of what comes out, given what comes out
    "identity": torch.ones_like,
    "logistic": lambda h: h * (1 - h),
    "tanh": lambda h: 1 - h * h,
    "relu": lambda h: (h > 0).to(h.dtype),
}
FUNCTIONS = {"identity": lambda z: z, "logistic": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu}


@dataclass(frozen=True)
class DenseGradients:
    """What goes back through a layer: the loss's derivatives by its input (B, D), weight (D, H) and bias (H,)."""

    x: Tensor
    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class DenseLayer:
    """h = f(x W + b), and how a loss's derivatives pass back through it (Rumelhart, Hinton and Williams, 1986).

    With δ = ∂E/∂h ⊙ f'(z) the derivatives are ∂E/∂x = δ Wᵀ, ∂E/∂W = xᵀ δ and ∂E/∂b = the sum of δ over rows. The bias
    is one more weight, of an input that is always 1.

    Args:
        weight: W, (D, H).
        bias: b, (H,).
        activation: f, "identity", "logistic", "tanh" or "relu".

    Raises:
        InvalidInput: an unknown activation, or shapes that do not fit.
    """

    weight: Tensor
    bias: Tensor
    activation: str = "logistic"

    def __post_init__(self) -> None:
        if self.activation not in FUNCTIONS:
            raise unknown_name("DenseLayer: activation", self.activation, FUNCTIONS)
        if self.weight.ndim != 2 or self.bias.shape != self.weight.shape[1:]:
            shapes = f"{tuple(self.weight.shape)} and {tuple(self.bias.shape)}"
            raise InvalidInput(f"DenseLayer: weight and bias must have shapes (D, H) and (H,); got {shapes}")

    def forward(self, x: Tensor) -> Tensor:
        """(B, D) to (B, H)."""
        h: Tensor = FUNCTIONS[self.activation](x @ self.weight + self.bias)
        return h

    def backward(self, x: Tensor, h: Tensor, sensitivity: Tensor) -> DenseGradients:
        """From ∂E/∂h, (B, H), to the derivatives by all that h was made of.

        Args:
            x: (B, D), what `forward` was given.
            h: (B, H), what it gave.
            sensitivity: ∂E/∂h.
        """
        delta = sensitivity * SLOPES[self.activation](h)
        return DenseGradients(delta @ self.weight.T, x.T @ delta, delta.sum(0))


def backpropagate(layers: list[DenseLayer], x: Tensor, target: Tensor) -> tuple[Tensor, list[DenseGradients]]:
    """Half the squared error of a stack of layers, summed over rows, and its derivatives layer by layer.

    Args:
        layers: the first one first.
        x: (B, D).
        target: (B, H) of the last layer.

    Returns:
        The error, a scalar, and each layer's gradients.
    """
    seen = [x]
    for layer in layers:
        seen.append(layer.forward(seen[-1]))
    sensitivity, found = seen[-1] - target, []
    for place in reversed(range(len(layers))):
        found.append(layers[place].backward(seen[place], seen[place + 1], sensitivity))
        sensitivity = found[-1].x
    return (seen[-1] - target).square().sum() / 2, found[::-1]
