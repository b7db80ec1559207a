"""Variational autoencoder: Gaussian latents, three likelihoods of an image, the evidence bound and a tighter one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InvalidInput, unknown_name
from ..noise import Draws, Seed
from ..perception.mlp import MLP
from .gaussian import gaussian_kl, gaussian_log_prob
from .pixels import check_shape, discretised_logistic, quantise


def _bernoulli(x: Tensor, mean: Tensor, log_scale: Tensor, levels: int) -> Tensor:
    return -F.binary_cross_entropy_with_logits(mean, x.expand_as(mean), reduction="none")


def _gaussian(x: Tensor, mean: Tensor, log_scale: Tensor, levels: int) -> Tensor:
    return gaussian_log_prob(x, mean, log_scale)


def _discretised(x: Tensor, mean: Tensor, log_scale: Tensor, levels: int) -> Tensor:
    return discretised_logistic(quantise(x, levels), mean, log_scale, levels)


LIKELIHOODS: dict[str, Callable[[Tensor, Tensor, Tensor, int], Tensor]] = {
    "bernoulli": _bernoulli,
    "gaussian": _gaussian,
    "discretised": _discretised,
}


class VAE(nn.Module):
    """Variational autoencoder of images in [0, 1] (Kingma and Welling, 2014; beta: Higgins et al., 2017).

    Its likelihood is one of: "bernoulli", a probability for each pixel (greys count as expectations); "gaussian", a
    density with a learned deviation for each pixel; "discretised", a logistic distribution with learned scale whose
    mass in a grey's bin is the probability of that grey, so that bounds compare with other models of discrete pixels.

    Args:
        shape: (C, H, W) of an image.
        latent_size: dimensions of the latent.
        hidden: widths of the encoder's hidden layers; the decoder has them in reverse.
        likelihood: "bernoulli", "gaussian" or "discretised".
        levels: number of greys of the discretised likelihood.
        classes: number of classes, of which each has a normal prior of its own mean; 0 for none, a standard normal.

    Raises:
        InvalidInput: an unknown likelihood, a latent size below 1, or images or latents of another shape.
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 8, 8),
        latent_size: int = 16,
        hidden: Sequence[int] = (256, 256),
        *,
        likelihood: str = "bernoulli",
        levels: int = 17,
        classes: int = 0,
    ) -> None:
        super().__init__()
        if likelihood not in LIKELIHOODS:
            raise unknown_name("VAE: likelihood", likelihood, LIKELIHOODS)
        if latent_size < 1:
            raise InvalidInput(f"VAE: latent_size must be at least 1; got {latent_size}")
        self.shape, self.latent_size, self.likelihood, self.levels = tuple(shape), latent_size, likelihood, levels
        pixels = math.prod(shape)
        self.encoder = MLP(pixels, hidden, 2 * latent_size, activation="silu", output_gain=0.1)
        self.decoder = MLP(latent_size, list(reversed(hidden)), pixels, activation="silu")
        self.log_scale = nn.Parameter(torch.full(self.shape, -2.0))
        self.centres = nn.Parameter(torch.zeros(classes, latent_size)) if classes else None

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W) in [0, 1] to mean and log variance of q(z | x), each (B, latent_size)."""
        check_shape("VAE", x, self.shape)
        mean, log_variance = self.encoder(2 * x.flatten(1) - 1).chunk(2, 1)
        return mean, log_variance

    def decode(self, z: Tensor) -> Tensor:
        """Latents (..., latent_size) to the images expected of them, (..., C, H, W) in [0, 1]."""
        mean = self._mean(z)
        return torch.sigmoid(mean) if self.likelihood == "bernoulli" else mean.clamp(0, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1] to their reconstruction from the mean of q(z | x), the same shape."""
        return self.decode(self.encode(x)[0])

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """ln p(x | z) of images (B, C, H, W) in [0, 1] and latents (..., B, latent_size), nats (..., B)."""
        mean = self._mean(z)  # (..., B, C, H, W)
        each = LIKELIHOODS[self.likelihood](x, mean, self.log_scale, self.levels)
        return each.flatten(-len(self.shape)).sum(-1)

    def terms(self, x: Tensor, seed: Seed = None, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The evidence bound's terms: ln p(x | z) for one z drawn from q(z | x), and KL(q || prior), each nats (B,)."""
        mean, log_variance = self.encode(x)
        z = self._draw(mean, log_variance, 1, seed)[0]
        return self.log_likelihood(x, z), gaussian_kl(mean, log_variance, self._centre(labels)).sum(1)

    def elbo(self, x: Tensor, beta: float = 1.0, seed: Seed = None, labels: Tensor | None = None) -> Tensor:
        """ln p(x | z) - beta KL, nats (B,); with beta 1 and in expectation a lower bound on ln p(x), or ln p(x | c)."""
        reconstruction, kl = self.terms(x, seed, labels)
        return reconstruction - beta * kl

    def loss(self, x: Tensor, beta: float = 1.0, seed: Seed = None, labels: Tensor | None = None) -> Tensor:
        """Mean negative ELBO of images (B, C, H, W) in [0, 1], and classes (B,) if it has some, nats."""
        return -self.elbo(x, beta, seed, labels).mean()

    def importance_bound(self, x: Tensor, samples: int, seed: Seed = None, labels: Tensor | None = None) -> Tensor:
        """The importance-weighted lower bound on ln p(x) (Burda et al., 2016), nats (B,), tighter with more samples.

        Args:
            x: images (B, C, H, W) in [0, 1].
            samples: latents drawn for each image, K.
            seed: of the draws, see `noise`.
            labels: classes (B,), for a model with some.
        """
        mean, log_variance = self.encode(x)
        z = self._draw(mean, log_variance, samples, seed)  # (K, B, latent_size)
        log_ratio = gaussian_log_prob(z, self._centre(labels)) - gaussian_log_prob(
            z, mean, 0.5 * log_variance
        )  # prior over posterior
        log_weight = self.log_likelihood(x, z) + log_ratio.sum(-1)  # (K, B)
        return log_weight.logsumexp(0) - math.log(samples)

    @torch.no_grad()
    def sample(self, n: int, seed: Seed = None, labels: Tensor | None = None) -> Tensor:
        """The images expected of n latents drawn from the prior, (n, C, H, W) in [0, 1]; of classes (n,) if any."""
        like = self.log_scale
        noise = Draws(seed, like.device).normal(n, self.latent_size, dtype=like.dtype)
        return self.decode(noise + self._centre(labels))

    @torch.no_grad()
    def restore(self, x: Tensor, missing: Tensor, samples: int, rounds: int, seed: Seed = None) -> Tensor:
        """Images whose missing pixels are what is expected of them given the others, for a model without classes.

        The encoder reads the image with what was last expected in its gaps, `rounds` times (Rezende et al., 2014).
        Latents drawn from what it then says count by how well they explain the pixels that are there, and the less the
        likelier they were to be drawn (Mattei and Frellsen, 2019).

        Args:
            x: images (B, C, H, W) in [0, 1].
            missing: bool, of x's shape; what x holds there is where the first round begins.
            samples: latents drawn for each image, K.
            rounds: of reading what was expected.
            seed: of the draws, see `noise`.

        Returns:
            (B, C, H, W) in [0, 1].
        """
        for _ in range(rounds):
            x = torch.where(missing, self(x), x)
        mean, log_variance = self.encode(x)
        z = self._draw(mean, log_variance, samples, seed)  # (K, B, latent_size)
        log_ratio = gaussian_log_prob(z, self._centre(None)) - gaussian_log_prob(z, mean, 0.5 * log_variance)
        each = LIKELIHOODS[self.likelihood](x, self._mean(z), self.log_scale, self.levels)
        log_weight = each.masked_fill(missing, 0).flatten(2).sum(2) + log_ratio.sum(2)  # (K, B)
        expected = torch.einsum("kb,kb...->b...", log_weight.softmax(0), self.decode(z))
        return torch.where(missing, expected, x)

    def _centre(self, labels: Tensor | None) -> Tensor | float:
        """The prior's mean, (B, latent_size), or 0."""
        if (labels is None) != (self.centres is None):
            have, given = 0 if self.centres is None else len(self.centres), "none" if labels is None else "some"
            raise InvalidInput(f"VAE: labels are for a model with classes; got {given} for {have}")
        return 0.0 if self.centres is None or labels is None else self.centres[labels]

    def _mean(self, z: Tensor) -> Tensor:
        if z.shape[-1] != self.latent_size:
            raise InvalidInput(f"VAE: latents must have shape (..., {self.latent_size}); got {tuple(z.shape)}")
        return self.decoder(z).unflatten(-1, self.shape)

    def _draw(self, mean: Tensor, log_variance: Tensor, samples: int, seed: Seed) -> Tensor:
        batch, size = mean.shape
        noise = Draws(seed, mean.device).normal(batch, samples, size, dtype=mean.dtype).transpose(0, 1)
        return mean + (0.5 * log_variance).exp() * noise  # (samples, B, latent_size)
