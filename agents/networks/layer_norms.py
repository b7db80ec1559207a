"""The size of each layer's weights and of its gradient, for the report of an iteration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn


class LayerNorms:
    """The Euclidean norms of the layers of some modules.

    A layer is a module that has parameters of its own which are learned; weights and biases count together. Norms of
    gradients are those of the last step, before they were scaled down.

    Args:
        modules: by the name that comes before those of their layers.

    Attributes:
        gradients: (L,) float32, 0 where a layer has none; changed in place.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self.layers = {
            ".".join(filter(None, (prefix, name))): own
            for prefix, module in modules.items()
            for name, part in module.named_modules()
            if (own := [one for one in part.parameters(recurse=False) if one.requires_grad])
        }
        device = next((one.device for own in self.layers.values() for one in own), None)
        self.gradients = torch.zeros(len(self.layers), dtype=torch.float32, device=device)

    @torch.no_grad()
    def measure(self, parameters: Iterable[Tensor]) -> None:
        """Takes down the norms of these parameters' gradients; layers of others keep theirs."""
        stepped = {id(one) for one in parameters}
        for place, own in enumerate(self.layers.values()):
            there = [one.grad for one in own if one.grad is not None and id(one) in stepped]
            if there:
                self.gradients[place].copy_(_norm(there))

    @torch.no_grad()
    def numbers(self) -> dict[str, Tensor]:
        """``weight_norm/LAYER`` and ``gradient_norm/LAYER`` of each layer, () on the device."""
        weights = {f"weight_norm/{name}": _norm(own) for name, own in self.layers.items()}
        return weights | {f"gradient_norm/{name}": self.gradients[place] for place, name in enumerate(self.layers)}


def _norm(parts: list[Tensor]) -> Tensor:
    return torch.stack(torch._foreach_norm(parts)).norm()
