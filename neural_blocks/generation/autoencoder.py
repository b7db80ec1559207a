"""Autoencoders: bottleneck, tied, denoising, sparse and masked."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InvalidInput
from ..noise import Draws, Seed
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
        return torch.sigmoid(self._code_logits(x))

    def decode(self, code: Tensor) -> Tensor:
        """A code (B, code_size) to x (B, *shape) in (0, 1)."""
        return torch.sigmoid(self._logits(code))

    def forward(self, x: Tensor) -> Tensor:
        """x (B, *shape) to its reconstruction, of x's shape."""
        return self.decode(self.encode(x))

    def loss(self, x: Tensor, seed: Seed = None) -> Tensor:
        """Mean cross-entropy of x (B, *shape) in [0, 1] and its reconstruction, nats per dimension."""
        return self._reconstruction_loss(x, self.encode(x))

    def _code_logits(self, x: Tensor) -> Tensor:
        check_shape(type(self).__name__, x, self.shape)
        return self.encoder(x.flatten(1))

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

    def corrupt(self, x: Tensor, seed: Seed = None) -> Tensor:
        """x with each dimension set to zero with probability `share`."""
        return x.masked_fill(Draws(seed, x.device).uniform(*x.shape) < self.share, 0)

    def loss(self, x: Tensor, seed: Seed = None) -> Tensor:
        """Mean cross-entropy of the clean x (B, *shape) and the reconstruction of the corrupted, nats per dimension."""
        return self._reconstruction_loss(x, self.encode(self.corrupt(x, seed)))


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
        """Sum over units of KL(target || mean activation), nats, of codes (B, code_size) in [0, 1].

        A unit whose mean is 0 or 1 counts as one that lies as near as the dtype can tell, so the sum is finite.
        """
        limits = torch.finfo(code.dtype)
        mean = code.mean(0)
        return self._divergence(mean.clamp(min=limits.tiny).log(), (1 - mean).clamp(min=limits.eps / 2).log())

    def _divergence(self, log_mean: Tensor, log_rest: Tensor) -> Tensor:
        """The sum of `sparsity` from the logarithms of the mean activation and of 1 less it, (code_size,) each."""
        target = self.target
        inactive = (1 - target) * (math.log(1 - target) - log_rest)
        return (target * (math.log(target) - log_mean) + inactive).sum()

    def loss(self, x: Tensor, seed: Seed = None) -> Tensor:
        """Mean cross-entropy of x (B, *shape) and its reconstruction plus the weighted sparsity.

        The means are taken in logarithms, so that a saturated unit has a finite price and a gradient that frees it.
        """
        logits = self._code_logits(x)  # (B, code_size)
        log_mean, log_rest = (_log_mean_exp(F.logsigmoid(part)) for part in (logits, -logits))
        reconstruction = self._reconstruction_loss(x, torch.sigmoid(logits))
        return reconstruction + self.weight * self._divergence(log_mean, log_rest)


def _log_mean_exp(x: Tensor) -> Tensor:
    """ln of the mean of exp x over rows, (B, D) to (D,)."""
    largest = x.detach().amax(0)
    return (x - largest).exp().mean(0).log() + largest


class MaskedAutoencoder(nn.Module):
    """Rebuilds an image's hidden patches from the few that are seen (MAE, He et al., 2022).

    The encoder, a transformer, reads the seen patches only; the decoder, a smaller one, reads their codes and a learned
    vector in the place of each hidden patch. (B, C, H, W) in [0, 1] to the same shape.

    Args:
        shape: (C, H, W) of an image.
        patch: side of a patch, which divides H and W.
        d_model: features of the encoder, a multiple of 2 `n_head`; the decoder has half of them.
        n_head: attention heads.
        layers: layers of the encoder; the decoder has one.
        share: share of the patches that is hidden.

    Raises:
        InvalidInput: a patch that does not divide the image, a d_model that heads do not divide, a share that hides no
            patch or all, or images of another shape.
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 8, 8),
        patch: int = 2,
        d_model: int = 64,
        n_head: int = 4,
        layers: int = 2,
        share: float = 0.75,
    ) -> None:
        super().__init__()
        if len(shape) != 3 or shape[1] % patch or shape[2] % patch:
            raise InvalidInput(f"MaskedAutoencoder: patch {patch} must divide H and W; got shape {tuple(shape)}")
        if d_model % (2 * n_head):
            raise InvalidInput(f"MaskedAutoencoder: d_model must be a multiple of 2 * {n_head} heads; got {d_model}")
        self.shape, self.patch = tuple(shape), patch
        size, count = shape[0] * patch**2, shape[1] * shape[2] // patch**2
        self.hidden = round(share * count)
        if not 0 < self.hidden < count:
            raise InvalidInput(f"MaskedAutoencoder: share must hide some of {count} patches but not all; got {share}")
        self.embed, self.place = nn.Linear(size, d_model), positions("learned", count, d_model)
        self.encoder = Encoder(d_model, n_head, layers)
        self.narrow, self.place_out = nn.Linear(d_model, d_model // 2), positions("learned", count, d_model // 2)
        self.unseen = nn.Parameter(torch.zeros(d_model // 2))
        self.decoder = Encoder(d_model // 2, n_head, 1)
        self.pixels = nn.Linear(d_model // 2, size)

    def draw_order(self, batch: int, seed: Seed = None) -> Tensor:
        """A random order of the patches for each image, (B, patches) int64; the first are seen, the last hidden."""
        return Draws(seed, self.unseen.device).uniform(batch, self.place.num_embeddings).argsort(1)

    def encode(self, x: Tensor, order: Tensor) -> Tensor:
        """Codes of the seen patches, (B, seen, d_model), of images (B, C, H, W) and an order (B, patches)."""
        check_shape("MaskedAutoencoder", x, self.shape)
        count = self.place.num_embeddings
        if tuple(order.shape) != (x.shape[0], count):
            wanted = (x.shape[0], count)
            raise InvalidInput(f"MaskedAutoencoder: order must have shape {wanted}; got {tuple(order.shape)}")
        seen = order[:, : count - self.hidden]  # (B, seen)
        patches = self.to_patches(x)  # (B, patches, C * patch * patch)
        patches = patches.gather(1, seen.unsqueeze(-1).expand(-1, -1, patches.shape[-1]))
        return self.encoder(self.embed(2 * patches - 1) + self.place(seen))

    def forward(self, x: Tensor, order: Tensor) -> Tensor:
        """Images (B, C, H, W) and an order (B, patches) to images as rebuilt from the seen patches, in (0, 1)."""
        return torch.sigmoid(self.from_patches(self._logits(x, order)))

    def loss(self, x: Tensor, seed: Seed = None) -> Tensor:
        """Mean cross-entropy of the hidden patches of images (B, C, H, W) in [0, 1], nats per pixel."""
        order = self.draw_order(x.shape[0], seed)
        each = F.binary_cross_entropy_with_logits(self._logits(x, order), self.to_patches(x), reduction="none")
        return each.mean(-1).gather(1, order[:, -self.hidden :]).mean()

    def to_patches(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) to patches (B, H * W / patch², C * patch²) in raster order."""
        return F.unfold(x, self.patch, stride=self.patch).transpose(1, 2)

    def from_patches(self, patches: Tensor) -> Tensor:
        """Patches (B, H * W / patch², C * patch²) to images (B, C, H, W)."""
        return F.fold(patches.transpose(1, 2), self.shape[1:], self.patch, stride=self.patch)

    def _logits(self, x: Tensor, order: Tensor) -> Tensor:
        codes = self.narrow(self.encode(x, order))  # (B, seen, d_model / 2)
        given = torch.cat([codes, self.unseen.expand(x.shape[0], self.hidden, -1)], 1)  # in the drawn order
        back = order.argsort(1).unsqueeze(-1).expand_as(given)
        return self.pixels(self.decoder(given.gather(1, back) + self.place_out.weight))
