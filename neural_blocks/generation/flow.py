"""Normalising flows: invertible networks whose density is exact (NICE, Real-NVP), and their use on discrete pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InvalidInput
from ..noise import Draws, Seed, at_least_float32
from ..perception.mlp import MLP
from .gaussian import gaussian_log_prob
from .pixels import bits_per_dimension, check_shape, dequantise


class Coupling(nn.Module):
    """Changes one half of x by an amount read from the other half, which it keeps.

    Additive, y = x + t (Dinh et al., 2015), or affine, y = x exp(s) + t with s = a tanh(s'), a learned (Dinh et al.,
    2017); the network sees the kept half and zeros.

    Args:
        mask: ones where x is kept, zeros where it changes; of x's shape without the batch.
        network: (B, *shape) to t of the same shape, or for an affine coupling to s' and t, doubled along axis 1.
        affine: whether the coupling scales as well as shifts.
    """

    mask: Tensor

    def __init__(self, mask: Tensor, network: nn.Module, *, affine: bool) -> None:
        super().__init__()
        self.register_buffer("mask", mask, persistent=False)
        self.network, self.affine = network, affine
        if affine:
            self.scale = nn.Parameter(torch.ones(mask.shape))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, *shape) to y of its shape and the log-determinant of the Jacobian (B,)."""
        log_scale, shift = self._change(x)
        return x * log_scale.exp() + shift, log_scale.flatten(1).sum(1)

    def inverse(self, y: Tensor) -> Tensor:
        """y (B, *shape) to the x that is mapped to it."""
        log_scale, shift = self._change(y)
        return (y - shift) * (-log_scale).exp()

    def _change(self, x: Tensor) -> tuple[Tensor, Tensor]:
        free = 1 - self.mask
        if not self.affine:
            shift = self.network(x * self.mask) * free
            return torch.zeros_like(shift), shift
        log_scale, shift = self.network(x * self.mask).chunk(2, 1)
        return self.scale * torch.tanh(log_scale) * free, shift * free


class Rescaling(nn.Module):
    """Scales each dimension by a learned factor, y = x exp(s), with which NICE closes (Dinh et al., 2015).

    What matters little to the data is scaled up, so that its latent takes a small share of the prior.

    Args:
        shape: shape of x without the batch.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(*shape))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, *shape) to y of its shape and the log-determinant of the Jacobian (B,)."""
        return x * self.log_scale.exp(), self.log_scale.sum().expand(x.shape[0])

    def inverse(self, y: Tensor) -> Tensor:
        """y (B, *shape) to the x that is mapped to it."""
        return y * (-self.log_scale).exp()


class MarginalGaussianisation(nn.Module):
    """Makes each dimension of x in [0, 1) Gaussian on its own: a piecewise linear distribution function, then probit.

    After Chen and Gopinath (2000). With one bin for each grey and the bins' frequencies as masses, dequantised pixels
    get the density of independent pixels; couplings after it need to learn only how pixels depend on each other.

    Args:
        shape: shape of x without the batch.
        bins: number of equally wide pieces.
    """

    smallest = 1e-5  # mass that a bin has at least, and distance that a probability keeps from 0 and 1 times ten

    def __init__(self, shape: Sequence[int], bins: int) -> None:
        super().__init__()
        self.bins = bins
        self.logits = nn.Parameter(torch.zeros(*shape, bins))

    def fit(self, pixels: Tensor) -> None:
        """Sets the masses to the frequencies of pixels (N, *shape) int64, a tenth added to each count."""
        with torch.no_grad():
            self.logits.copy_((F.one_hot(pixels, self.bins).sum(0) + 0.1).log())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, *shape) in [0, 1) to z of its shape and the log-determinant of the Jacobian (B,)."""
        mass, before = self._masses()
        position = at_least_float32(x).to(mass.dtype) * self.bins
        bin = position.detach().floor().clamp(0, self.bins - 1)
        mass, before = self._pick(mass, bin), self._pick(before, bin)
        u = (before + mass * (position - bin)).clamp(self.smallest / 10, 1 - self.smallest / 10)
        z = torch.special.ndtri(u)
        log_det = (mass * self.bins).log() - gaussian_log_prob(z)
        return z.to(self.logits.dtype), log_det.flatten(1).sum(1).to(self.logits.dtype)

    def inverse(self, z: Tensor) -> Tensor:
        """z (B, *shape) to the x in [0, 1), at least float32, that is mapped to it."""
        mass, before = self._masses()
        u = torch.special.ndtr(at_least_float32(z).to(mass.dtype))
        bin = ((before <= u.unsqueeze(-1)).sum(-1) - 1).clamp(0, self.bins - 1)
        x = (bin + (u - self._pick(before, bin)) / self._pick(mass, bin)) / self.bins
        return x.clamp(0, 1 - 1e-6)

    def _masses(self) -> tuple[Tensor, Tensor]:
        mass = at_least_float32(self.logits).softmax(-1) * (1 - self.bins * self.smallest) + self.smallest
        return mass, mass.cumsum(-1) - mass  # (*shape, bins)

    def _pick(self, table: Tensor, bin: Tensor) -> Tensor:
        return table.expand(*bin.shape, self.bins).gather(-1, bin.long().unsqueeze(-1)).squeeze(-1)


class Flow(nn.Module):
    """Invertible layers in a row, to a normal distribution: the standard one, or for each class one of its own mean.

    Args:
        layers: modules with `forward` to (y, log-determinant (B,)) and `inverse`.
        shape: shape of x without the batch.
        classes: number of classes, each a normal distribution of latents (Izmailov et al., 2020); 0 for none.
    """

    def __init__(self, layers: Sequence[nn.Module], shape: Sequence[int], classes: int = 0) -> None:
        super().__init__()
        self.layers, self.shape = nn.ModuleList(layers), tuple(shape)
        self.dimensions = math.prod(shape)
        self.centres = nn.Parameter(torch.zeros(classes, *shape)) if classes else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, *shape) to its latent of the same shape and the log-determinant of the Jacobian (B,)."""
        check_shape(type(self).__name__, x, self.shape)
        log_det = x.new_zeros(x.shape[0])
        for layer in self.layers:
            x, change = layer(x)
            log_det = log_det + change
        return x, log_det

    def inverse(self, z: Tensor) -> Tensor:
        """Latents (B, *shape) to the x that are mapped to them."""
        check_shape(type(self).__name__, z, self.shape)
        for layer in reversed(self.layers):
            inverse: Callable[[Tensor], Tensor] = layer.inverse  # type: ignore[assignment]
            z = inverse(z)
        return z

    def log_prob(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Log density of x (B, *shape), of the classes (B,) if it has some, nats (B,)."""
        z, log_det = self(x)
        return log_det + gaussian_log_prob(z, self._centre(labels)).flatten(1).sum(1)

    def loss(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Mean negative log density of x (B, *shape), nats."""
        return -self.log_prob(x, labels).mean()

    @torch.no_grad()
    def sample(self, n: int, seed: Seed = None, labels: Tensor | None = None) -> Tensor:
        """Draws n points, (n, *shape), of the classes (n,) if it has some."""
        like = next(self.parameters())
        noise = Draws(seed, like.device).normal(n, *self.shape, dtype=like.dtype)
        return self.inverse(noise + self._centre(labels))

    def _centre(self, labels: Tensor | None) -> Tensor | float:
        if (labels is None) != (self.centres is None):
            have, given = 0 if self.centres is None else len(self.centres), "none" if labels is None else "some"
            raise InvalidInput(f"{type(self).__name__}: labels are for a flow with classes; got {given} for {have}")
        return 0.0 if self.centres is None or labels is None else self.centres[labels]


class NICE(Flow):
    """NICE: additive couplings of multi-layer perceptrons, which preserve volume (Dinh et al., 2015).

    Without the paper's closing diagonal scaling, `rescale`, the determinant of its Jacobian is 1, and it wants data of
    about unit variance.

    Args:
        shape: shape of x without the batch; an even number of dimensions.
        couplings: number of coupling layers, which keep the even and the odd half in turn.
        hidden: widths of each coupling's network.
        rescale: whether each dimension of the latent is scaled by a learned factor.
        classes: number of classes, see `Flow`; 0 for none.

    Raises:
        InvalidInput: an odd number of dimensions, fewer than two couplings, or x of another shape.
    """

    def __init__(
        self,
        shape: Sequence[int],
        couplings: int = 4,
        hidden: Sequence[int] = (128, 128),
        rescale: bool = False,
        classes: int = 0,
    ) -> None:
        layers = _couplings("NICE", shape, couplings, hidden, affine=False)
        super().__init__([*layers, Rescaling(shape)] if rescale else layers, shape, classes)


class RealNVP(Flow):
    """Real-NVP: affine couplings of multi-layer perceptrons (Dinh et al., 2017).

    Args:
        shape: shape of x without the batch; an even number of dimensions. Pictures are halved as a checkerboard.
        couplings: number of coupling layers, which keep the even and the odd half in turn.
        hidden: widths of each coupling's network.
        classes: number of classes, see `Flow`; 0 for none.

    Raises:
        InvalidInput: an odd number of dimensions, fewer than two couplings, or x of another shape.
    """

    def __init__(
        self,
        shape: Sequence[int],
        couplings: int = 6,
        hidden: Sequence[int] = (128, 128),
        classes: int = 0,
    ) -> None:
        layers = _couplings("RealNVP", shape, couplings, hidden, affine=True)
        super().__init__(layers, shape, classes)


class PixelFlow(nn.Module):
    """A density of discrete pictures: dequantised, each pixel made Gaussian, then Real-NVP or NICE.

    Args:
        shape: (C, H, W) of a picture.
        levels: number of greys a pixel can have.
        couplings: number of coupling layers.
        hidden: widths of each coupling's network.
        affine: whether couplings scale as well as shift, Real-NVP; else it is NICE with its closing scaling.
        classes: number of classes, see `Flow`; 0 for none.

    Raises:
        InvalidInput: an odd number of pixels, or pictures of another shape.
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 8, 8),
        levels: int = 17,
        couplings: int = 6,
        hidden: Sequence[int] = (128, 128),
        affine: bool = True,
        classes: int = 0,
    ) -> None:
        super().__init__()
        self.levels = levels
        self.marginals = MarginalGaussianisation(shape, levels)
        self.flow: Flow = (
            RealNVP(shape, couplings, hidden, classes)
            if affine
            else NICE(shape, couplings, hidden, rescale=True, classes=classes)
        )

    def log_prob(self, pixels: Tensor, seed: Seed = None, labels: Tensor | None = None) -> Tensor:
        """A lower bound on the log probability of pictures (B, C, H, W) int64, nats (B,), from one noise each."""
        check_shape("PixelFlow", pixels, self.flow.shape)
        x, log_det = self.marginals(
            dequantise(pixels, self.levels, seed, at_least_float32(self.marginals.logits).dtype)
        )
        return self.flow.log_prob(x, labels) + log_det - self.flow.dimensions * math.log(self.levels)

    def loss(self, pixels: Tensor, seed: Seed = None, labels: Tensor | None = None) -> Tensor:
        """Mean negative bound on the log probability of pictures (B, C, H, W) int64, bits per pixel."""
        return bits_per_dimension(self.log_prob(pixels, seed, labels), self.flow.dimensions).mean()

    @torch.no_grad()
    def sample(self, n: int, seed: Seed = None, labels: Tensor | None = None) -> Tensor:
        """Draws n pictures, (n, C, H, W) int64, of the classes (n,) if it has some."""
        return (self.marginals.inverse(self.flow.sample(n, seed, labels)) * self.levels).long()


def _couplings(
    name: str, shape: Sequence[int], couplings: int, hidden: Sequence[int], *, affine: bool
) -> list[nn.Module]:
    dimensions = math.prod(shape)
    if dimensions < 2 or dimensions % 2:
        raise InvalidInput(f"{name}: an even number of dimensions is halved; got {dimensions}, shape {tuple(shape)}")
    if couplings < 2:
        raise InvalidInput(f"{name}: couplings must be at least 2 to change both halves; got {couplings}")
    coordinates = torch.meshgrid(*(torch.arange(size) for size in shape), indexing="ij")
    even = (torch.stack(coordinates).sum(0) + 1) % 2
    parts = 2 if affine else 1
    return [
        Coupling(
            (even if k % 2 == 0 else 1 - even).float(),
            nn.Sequential(
                nn.Flatten(),
                MLP(dimensions, hidden, parts * dimensions, activation="silu", output_gain=0.0),
                nn.Unflatten(1, (parts * shape[0], *shape[1:])),
            ),
            affine=affine,
        )
        for k in range(couplings)
    ]
