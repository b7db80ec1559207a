"""VQ-VAE: an autoencoder whose code is a small picture of words from a learned list, and a prior over such pictures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InvalidInput
from ..noise import Draws, Seed, at_least_float32, categorical
from .autoregressive import PixelCNN
from .pixels import check_shape, unit_scale


class VectorQuantiser(nn.Module):
    """Replaces each vector by the nearest of K learned ones (van den Oord et al., 2017).

    Args:
        codes: K.
        size: D, features of a vector.
    """

    def __init__(self, codes: int, size: int) -> None:
        super().__init__()
        self.codebook = nn.Parameter(torch.empty(codes, size).uniform_(-1 / codes, 1 / codes))

    def nearest(self, x: Tensor) -> Tensor:
        """Vectors (..., D) to the numbers of the nearest codes, (...) int64."""
        distance = self.codebook.square().sum(1) - 2 * x @ self.codebook.T  # that of x itself is the same for all
        return distance.argmin(-1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Vectors (..., D) as codes.

        Returns:
            The codes (..., D), whose gradient goes straight through to x; their numbers (...); and two mean squared
            distances, (), in which only the codes move, |sg(x) - e|^2, and only x, |x - sg(e)|^2.
        """
        number = self.nearest(x)
        code = self.codebook[number]
        to_codes, to_x = (x.detach() - code).square().mean(), (x - code.detach()).square().mean()
        return x + (code - x).detach(), number, to_codes, to_x


class VQVAE(nn.Module):
    """An autoencoder with discrete latents (van den Oord et al., 2017), of pictures in whole greys.

    A picture (B, C, H, W) becomes H / 2 x W / 2 codes, and those a distribution over the greys of each pixel. The prior
    of the codes is a PixelCNN, which learns beside: gradients of its loss do not reach the autoencoder. As the encoder
    is a function, ln p(x | its codes) + ln p(its codes) is a lower bound on ln p(x).

    Args:
        shape: (C, H, W) of a picture, H and W even.
        levels: greys of a pixel.
        codes: K, in the list.
        size: D, features of a code.
        channels: features of the hidden layers, and of the prior's, even.
        beta: weight of the distance in which the encoder commits itself to codes.
        classes: number of classes that the prior can be asked for; 0 for none.

    Raises:
        InvalidInput: odd sides, fewer than two codes, or pictures of another shape.
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 8, 8),
        levels: int = 17,
        codes: int = 32,
        size: int = 8,
        channels: int = 32,
        beta: float = 0.25,
        classes: int = 0,
    ) -> None:
        super().__init__()
        channels_in, height, width = shape
        if height % 2 or width % 2:
            raise InvalidInput(f"VQVAE: height and width must be even; got {tuple(shape)}")
        if codes < 2:
            raise InvalidInput(f"VQVAE: codes must be at least 2; got {codes}")
        self.shape, self.levels, self.beta = tuple(shape), levels, beta
        self.encoder = nn.Sequential(
            nn.Conv2d(channels_in, channels, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, size, 1),
        )
        self.quantiser = VectorQuantiser(codes, size)
        self.decoder = nn.Sequential(
            nn.Conv2d(size, channels, 3, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels_in * levels, 1),
        )
        grid = (height // 2, width // 2)
        self.prior = PixelCNN(grid, codes, channels, 2, 2 * max(grid) - 1, classes=classes)

    def encode(self, pixels: Tensor) -> Tensor:
        """Pictures (B, C, H, W) int64 to the numbers of their codes, (B, 1, H / 2, W / 2) int64."""
        return self.quantiser.nearest(self._vectors(pixels)).unsqueeze(1)

    def decode(self, numbers: Tensor) -> Tensor:
        """Numbers of codes (B, 1, H / 2, W / 2) to logits of greys, (B, C, H, W, levels)."""
        return self._logits(self.quantiser.codebook[numbers[:, 0]])

    def loss(self, pixels: Tensor) -> Tensor:
        """What the autoencoder minimises on pictures (B, C, H, W) int64: nats per pixel, and both distances."""
        code, _, to_codes, to_x = self.quantiser(self._vectors(pixels))
        reconstruction = F.cross_entropy(self._logits(code).flatten(0, -2), pixels.flatten())
        return reconstruction + to_codes + self.beta * to_x

    def prior_loss(self, pixels: Tensor, labels: Tensor | None = None) -> Tensor:
        """What the prior minimises: bits of each code of pictures (B, C, H, W) int64, of classes (B,) if any."""
        with torch.no_grad():
            numbers = self.encode(pixels)
        return self.prior.loss(numbers, labels)

    def log_prob(self, pixels: Tensor, labels: Tensor | None = None) -> Tensor:
        """A lower bound on the log probability of pictures (B, C, H, W) int64, nats (B,)."""
        numbers = self.encode(pixels)
        each = self.decode(numbers).log_softmax(-1).gather(-1, pixels.unsqueeze(-1))
        return each.flatten(1).sum(1) + self.prior.log_prob(numbers, labels)

    @torch.no_grad()
    def sample(self, n: int, seed: Seed = None, labels: Tensor | None = None) -> Tensor:
        """Draws n pictures, (n, C, H, W) int64, of classes (n,) if any: codes from the prior, then greys."""
        draws = Draws(seed, self.quantiser.codebook.device)
        logits = self.decode(self.prior.sample(n, draws.part(), labels))
        return categorical(at_least_float32(logits).softmax(-1), draws.uniform(*logits.shape[:-1]))

    def _vectors(self, pixels: Tensor) -> Tensor:
        check_shape("VQVAE", pixels, self.shape)
        greys = unit_scale(pixels, self.levels, self.quantiser.codebook.dtype)
        return self.encoder(2 * greys - 1).movedim(1, -1)  # (B, H / 2, W / 2, D)

    def _logits(self, code: Tensor) -> Tensor:
        """Codes (B, H / 2, W / 2, D) to logits (B, C, H, W, levels)."""
        return self.decoder(code.movedim(-1, 1)).unflatten(1, (self.shape[0], self.levels)).movedim(2, -1)
