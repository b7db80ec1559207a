"""Autoencoders: bottleneck, tied, denoising, sparse and masked."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InvalidInput
from ..perception.mlp import MLP
from ..sequence.positions import positions
from ..sequence.transformer import Encoder
from .pixels import check_shape


class Autoencoder(nn.Module):
    """A bottleneck: x is squeezed through a code of a few sigmoid units and rebuilt (Rumelhart et al., 1986).

    (B, *shape) in [0, 1] to the same shape in (0, 1).

    Args:
        shape: shape of x without the batch.
        code_size: units of the code.
        hidden: widths of the encoder's hidden layers; the decoder has them in reverse.

    Raises:
        InvalidInput: a code below 1 unit, or x or a code of another shape.
    """

    def __init__(self, shape: Sequence[int], code_size: int, hidden: Sequence[int] = (128,)) -> None:
        super().__init__()
        if code_size < 1:
            raise InvalidInput(f"{type(self).__name__}: code_size must be at least 1; got {code_size}")
        size = math.prod(shape)
        self.shape, self.code_size = tuple(shape), code_size
        self.encoder: nn.Module = MLP(size, hidden, code_size, activation="silu")
        self.decoder: nn.Module = MLP(code_size, list(reversed(hidden)), size, activation="silu")

    def encode(self, x: Tensor) -> Tensor:
        """x (B, *shape) to its code (B, code_size) in (0, 1)."""
        check_shape(type(self).__name__, x, self.shape)
        return torch.sigmoid(self.encoder(x.flatten(1)))

    def decode(self, code: Tensor) -> Tensor:
        """A code (B, code_size) to x (B, *shape) in (0, 1)."""
        return torch.sigmoid(self._logits(code))

    def forward(self, x: Tensor) -> Tensor:
        """x (B, *shape) to its reconstruction, of x's shape."""
        return self.decode(self.encode(x))

    def loss(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Mean cross-entropy of x (B, *shape) in [0, 1] and its reconstruction, nats per dimension."""
        return self._reconstruction_loss(x, self.encode(x))

    def _logits(self, code: Tensor) -> Tensor:
        check_shape(f"{type(self).__name__}.decode", code, (self.code_size,))
        return self.decoder(code).unflatten(1, self.shape)

    def _reconstruction_loss(self, x: Tensor, code: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(self._logits(code), x)


class TiedAutoencoder(Autoencoder):
    """One layer each way, the decoder's weights being the encoder's transposed (Vincent et al., 2010).

    Arguments and shapes as in `Autoencoder`, without hidden layers.
    """

    def __init__(self, shape: Sequence[int], code_size: int) -> None:
        super().__init__(shape, code_size, ())
        layer = nn.Linear(math.prod(shape), code_size)
        self.encoder, self.decoder = layer, Transposed(layer)


class Transposed(nn.Module):
    """The linear map of another layer's weights transposed, with a bias of its own: (..., out) to (..., in).

    Args:
        layer: the layer whose weights are used.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer
        self.bias = nn.Parameter(torch.zeros(layer.in_features))

    def forward(self, x: Tensor) -> Tensor:
        """(..., out) to (..., in)."""
        return F.linear(x, self.layer.weight.T, self.bias)


class DenoisingAutoencoder(Autoencoder):
    """Rebuilds x from a copy of which a share of dimensions is set to zero (Vincent et al., 2008).

    Args:
        shape: shape of x without the batch.
        code_size: units of the code.
        hidden: widths of the encoder's hidden layers.
        share: probability that a dimension is set to zero.
    """

    def __init__(
        self, shape: Sequence[int], code_size: int, hidden: Sequence[int] = (128,), share: float = 0.25
    ) -> None:
        super().__init__(shape, code_size, hidden)
        self.share = share

    def corrupt(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """x with each dimension set to zero with probability `share`."""
        return x * (torch.rand(x.shape, generator=generator, device=x.device) >= self.share)

    def loss(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Mean cross-entropy of the clean x (B, *shape) and the reconstruction of the corrupted, nats per dimension."""
        return self._reconstruction_loss(x, self.encode(self.corrupt(x, generator)))


class SparseAutoencoder(Autoencoder):
    """Keeps its code's units mostly silent: KL(target || mean activation) of each unit is paid for (Ng, 2011).

    Args:
        shape: shape of x without the batch.
        code_size: units of the code, which may outnumber x's dimensions.
        hidden: widths of the encoder's hidden layers.
        target: wanted mean activation of a unit over the batch, in (0, 1).
        weight: price of the divergence.

    Raises:
        InvalidInput: a target outside (0, 1).
    """

    def __init__(
        self,
        shape: Sequence[int],
        code_size: int,
        hidden: Sequence[int] = (),
        target: float = 0.05,
        weight: float = 0.1,
    ) -> None:
        super().__init__(shape, code_size, hidden)
        if not 0 < target < 1:
            raise InvalidInput(f"SparseAutoencoder: target must be in (0, 1); got {target}")
        self.target, self.weight = target, weight

    def sparsity(self, code: Tensor) -> Tensor:
        """Sum over units of KL(target || mean activation), nats, of codes (B, code_size) in (0, 1)."""
        mean, target = code.mean(0), self.target
        inactive = (1 - target) * (math.log(1 - target) - torch.log1p(-mean))
        return (target * (math.log(target) - mean.log()) + inactive).sum()

    def loss(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Mean cross-entropy of x (B, *shape) and its reconstruction plus the weighted sparsity."""
        code = self.encode(x)
        return self._reconstruction_loss(x, code) + self.weight * self.sparsity(code)


class MaskedAutoencoder(nn.Module):
    """Rebuilds an image's hidden patches from the few that are seen (MAE, He et al., 2022).

    The encoder, a transformer, reads the seen patches only; the decoder, a smaller one, reads their codes and a learned
    vector in the place of each hidden patch. (B, C, H, W) in [0, 1] to the same shape.

    Args:
        shape: (C, H, W) of an image.
        patch: side of a patch, which divides H and W.
        width: features of the encoder, a multiple of `heads`; the decoder has half of them.
        heads: attention heads.
        layers: layers of the encoder; the decoder has one.
        share: share of the patches that is hidden.

    Raises:
        InvalidInput: a patch that does not divide the image, a width that heads do not divide, a share that hides no
            patch or all, or images of another shape.
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 8, 8),
        patch: int = 2,
        width: int = 64,
        heads: int = 4,
        layers: int = 2,
        share: float = 0.75,
    ) -> None:
        super().__init__()
        if len(shape) != 3 or shape[1] % patch or shape[2] % patch:
            raise InvalidInput(f"MaskedAutoencoder: patch {patch} must divide H and W; got shape {tuple(shape)}")
        if width % (2 * heads):
            raise InvalidInput(f"MaskedAutoencoder: width must be a multiple of 2 * {heads} heads; got {width}")
        self.shape, self.patch = tuple(shape), patch
        size, count = shape[0] * patch**2, shape[1] * shape[2] // patch**2
        self.hidden = round(share * count)
        if not 0 < self.hidden < count:
            raise InvalidInput(f"MaskedAutoencoder: share must hide some of {count} patches but not all; got {share}")
        self.embed, self.place = nn.Linear(size, width), positions("learned", count, width)
        self.encoder = Encoder(width, heads, layers)
        self.narrow, self.place_out = nn.Linear(width, width // 2), positions("learned", count, width // 2)
        self.unseen = nn.Parameter(torch.zeros(width // 2))
        self.decoder = Encoder(width // 2, heads, 1)
        self.pixels = nn.Linear(width // 2, size)

    def draw_order(self, batch: int, generator: torch.Generator | None = None) -> Tensor:
        """A random order of the patches for each image, (B, patches) int64; the first are seen, the last hidden."""
        weight = self.unseen
        noise = torch.rand(batch, self.place.num_embeddings, generator=generator, device=weight.device)
        return noise.argsort(1)

    def encode(self, x: Tensor, order: Tensor) -> Tensor:
        """Codes of the seen patches, (B, seen, width), of images (B, C, H, W) and an order (B, patches)."""
        check_shape("MaskedAutoencoder", x, self.shape)
        count = self.place.num_embeddings
        if tuple(order.shape) != (len(x), count):
            raise InvalidInput(f"MaskedAutoencoder: order must have shape {(len(x), count)}; got {tuple(order.shape)}")
        seen = order[:, : count - self.hidden]  # (B, seen)
        patches = self.to_patches(x)  # (B, patches, C * patch * patch)
        patches = patches.gather(1, seen.unsqueeze(-1).expand(-1, -1, patches.shape[-1]))
        return self.encoder(self.embed(2 * patches - 1) + self.place(seen))

    def forward(self, x: Tensor, order: Tensor) -> Tensor:
        """Images (B, C, H, W) and an order (B, patches) to images as rebuilt from the seen patches, in (0, 1)."""
        return torch.sigmoid(self.from_patches(self._logits(x, order)))

    def loss(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Mean cross-entropy of the hidden patches of images (B, C, H, W) in [0, 1], nats per pixel."""
        order = self.draw_order(len(x), generator)
        each = F.binary_cross_entropy_with_logits(self._logits(x, order), self.to_patches(x), reduction="none")
        return each.mean(-1).gather(1, order[:, -self.hidden :]).mean()

    def to_patches(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) to patches (B, H * W / patch², C * patch²) in raster order."""
        return F.unfold(x, self.patch, stride=self.patch).transpose(1, 2)

    def from_patches(self, patches: Tensor) -> Tensor:
        """Patches (B, H * W / patch², C * patch²) to images (B, C, H, W)."""
        return F.fold(patches.transpose(1, 2), self.shape[1:], self.patch, stride=self.patch)

    def _logits(self, x: Tensor, order: Tensor) -> Tensor:
        codes = self.narrow(self.encode(x, order))  # (B, seen, width / 2)
        given = torch.cat([codes, self.unseen.expand(len(x), self.hidden, -1)], 1)  # in the drawn order
        back = order.argsort(1).unsqueeze(-1).expand_as(given)
        return self.pixels(self.decoder(given.gather(1, back) + self.place_out.weight))
