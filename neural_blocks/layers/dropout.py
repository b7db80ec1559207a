"""Dropout whose draws are counted: training resumes bit for bit, and a captured graph draws anew at each replay."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from ..noise import Seed, as_seed, keys, uniform

CHANNELS: tuple[type[nn.Module], ...] = (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
UNCOUNTED: tuple[type[nn.Module], ...] = (nn.AlphaDropout, nn.FeatureAlphaDropout, nn.RReLU)


class Dropout(nn.Module):
    """Sets each feature to zero with probability p in training and scales the others by 1 / (1 - p).

    Srivastava et al. (2014), in the form that leaves evaluation alone. (...) float to (...). What is dropped is a hash
    of the seed, the counter of forward passes in training and the position, so that row i of a batch of any size is
    treated alike. Counter and seed are buffers: they live on the module's device and in its `state_dict`.

    Args:
        p: probability of a zero, in [0, 1].
        seed: a whole number or an int64 tensor of no dimensions; None draws one from PyTorch's global generator.
        channels: drop whole channels of (B, C, ...) together (Tompson et al., 2015).

    Raises:
        InvalidInput: a p outside [0, 1], or another seed.
    """

    seed: Tensor
    counter: Tensor

    def __init__(self, p: float = 0.5, seed: Seed = None, *, channels: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise InvalidInput(f"Dropout: p must lie between 0 and 1; got {p}")
        self.p, self.channels = p, channels
        self.register_buffer("seed", as_seed(seed, torch.get_default_device()).clone())
        self.register_buffer("counter", torch.zeros_like(self.seed))

    def forward(self, x: Tensor) -> Tensor:
        """(...) to (...); x itself in evaluation mode or where p is 0."""
        if not self.training or self.p == 0:
            return x
        shape = (*x.shape[:2], *(1,) * (x.dim() - 2)) if self.channels else x.shape
        own = keys(keys(self.seed, 0) + self.counter, 0)  # a pass has a key, so that a row has its place in it
        noise = uniform(own, torch.zeros_like(own), math.prod(shape)).view(shape)
        self.counter += 1
        scale = 1 / (1 - self.p) if self.p < 1 else 0.0
        return torch.where(noise < self.p, 0.0, x * scale)

    def extra_repr(self) -> str:
        """Settings, as PyTorch shows them."""
        return f"p={self.p}" + (", channels=True" if self.channels else "")


def counted_dropout(module: nn.Module, seed: Seed = None) -> nn.Module:
    """The module with every `nn.Dropout` in it, also of whole channels, replaced in place by a `Dropout` of the same p.

    Each gets a stream of its own; one that stands in several places stays one.

    Args:
        module: such as a user's encoder.
        seed: of all of them, see `Dropout`.

    Returns:
        The module; or the new block if it was an `nn.Dropout` itself.

    Raises:
        InvalidInput: a layer that drops at random by itself, which cannot be counted: a recurrent or attention layer of
            PyTorch with `dropout` above 0, `nn.AlphaDropout`, `nn.FeatureAlphaDropout` or `nn.RReLU`.
    """
    some = next(module.parameters(), None)
    device = torch.get_default_device() if some is None else some.device
    base = as_seed(seed, device)
    for name, layer in module.named_modules():
        own = getattr(layer, "dropout", 0.0) if isinstance(layer, (nn.RNNBase, nn.MultiheadAttention)) else 0.0
        if own or isinstance(layer, UNCOUNTED):
            raise InvalidInput(
                f"counted_dropout: {type(layer).__name__} {name!r} draws by itself, which cannot be resumed; "
                "make it without dropout and put nn.Dropout beside it"
            )
    replaced: dict[nn.Module, Dropout] = {}

    def counted(layer: nn.Module) -> Dropout:
        if layer not in replaced:
            block = Dropout(layer.p, keys(base, len(replaced) + 1), channels=type(layer) in CHANNELS)  # type: ignore[arg-type]
            replaced[layer] = block.to(device).train(layer.training)
        return replaced[layer]

    kinds = (nn.Dropout, *CHANNELS)
    if type(module) in kinds:
        return counted(module)
    for parent in list(module.modules()):
        for name, child in list(parent._modules.items()):  # named_children leaves a repeated one out
            if child is not None and type(child) in kinds:
                setattr(parent, name, counted(child))
    return module
