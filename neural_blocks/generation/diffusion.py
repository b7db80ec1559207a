"""Denoising diffusion: noise is added to an image in many small steps, and a network learns to take it away."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..errors import InvalidInput, unknown_name
from ..layers.initialisation import orthogonal
from ..noise import Draws, Seed
from ..sequence.positions import sinusoidal
from .gaussian import gaussian_kl
from .pixels import check_shape

SCHEDULES = ("linear", "cosine")


def noise_schedule(name: str, steps: int) -> Tensor:
    """The variance that each forward step adds, beta_1 to beta_T, float64 (steps,).

    "linear" is that of Ho et al. (2020), 1e-4 to 0.02 in 1000 steps, stretched to any number of steps; "cosine" that
    of Nichol and Dhariwal (2021).

    Raises:
        InvalidInput: an unknown name, or fewer than 2 steps.
    """
    if name not in SCHEDULES:
        raise unknown_name("noise schedule", name, SCHEDULES)
    if steps < 2:
        raise InvalidInput(f"noise schedule: steps must be at least 2; got {steps}")
    if name == "linear":
        return torch.linspace(0.1 / steps, 20 / steps, steps, dtype=torch.float64).clamp(max=0.999)
    time = torch.arange(steps + 1, dtype=torch.float64) / steps
    signal = torch.cos((time + 0.008) / 1.008 * math.pi / 2).square()
    return (1 - signal[1:] / signal[:-1]).clamp(max=0.999)


class Denoiser(nn.Module):
    """What a small noisy image says about the greys of the clean one: residual perceptron blocks told the step.

    (B, *shape) float and steps (B,) int64 to logits (B, *shape, levels).

    Args:
        shape: shape of one image.
        levels: number of greys a pixel can have.
        steps: number of diffusion steps, T.
        width: features of the hidden layers, even.
        blocks: number of residual blocks.
        classes: number of classes it may be told; 0 for none.

    Raises:
        InvalidInput: a width that is odd or below 2.
    """

    table: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        levels: int,
        steps: int,
        width: int = 128,
        blocks: int = 3,
        classes: int = 0,
    ) -> None:
        super().__init__()
        if width < 2 or width % 2:
            raise InvalidInput(f"Denoiser: width must be even; got {width}")
        size = math.prod(shape)
        self.output_shape = (*shape, levels)
        self.register_buffer("table", sinusoidal(torch.arange(steps), width), persistent=False)
        self.first = orthogonal(nn.Linear(size, width))
        self.time = nn.ModuleList(orthogonal(nn.Linear(width, width)) for _ in range(blocks))
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width),
                orthogonal(nn.Linear(width, width)),
                nn.SiLU(),
                orthogonal(nn.Linear(width, width)),
            )
            for _ in range(blocks)
        )
        self.last = nn.Sequential(nn.LayerNorm(width), orthogonal(nn.Linear(width, size * levels), 0.0))
        self.label = nn.Embedding(classes + 1, width) if classes else None  # the last row is for none
        if self.label is not None:
            nn.init.zeros_(self.label.weight)

    def features(self, x: Tensor, step: Tensor, labels: Tensor | None = None) -> Tensor:
        """What the last layer reads, (B, width), of noisy images, steps and classes as `forward` takes them."""
        # Fewer images than steps: only theirs are projected. A compiler takes one way, for a batch of any size.
        few = not torch.compiler.is_compiling() and step.shape[0] < self.table.shape[0]
        hidden = self.first(x.flatten(1))
        if self.label is not None:
            hidden = hidden + (self.label.weight[-1] if labels is None else self.label(labels))
        for project, block in zip(self.time, self.blocks, strict=True):
            time = project(self.table[step]) if few else project(self.table)[step]
            hidden = hidden + block(hidden + time)
        return self.last[0](hidden)

    def forward(self, x: Tensor, step: Tensor, labels: Tensor | None = None) -> Tensor:
        """What is known of the greys of clean images.

        Args:
            x: noisy images (B, *shape).
            step: (B,) int64, 0 the least noisy.
            labels: (B,) int64, their classes; the number of classes, or None for all, for no class.

        Returns:
            Logits (B, *shape, levels).

        Raises:
            InvalidInput: labels for a denoiser without classes.
        """
        if labels is not None and self.label is None:
            raise InvalidInput("Denoiser: labels are for a denoiser with classes; got some for 0")
        return self.last[1](self.features(x, step, labels)).unflatten(1, self.output_shape)


class Diffusion(nn.Module):
    """Denoising diffusion probabilistic model (Ho et al., 2020) with ancestral and DDIM sampling (Song et al., 2021).

    Images are (B, *shape) in [0, 1] outside and [-1, 1] inside; x_t stands for an image after t + 1 noising steps,
    t in 0 .. T - 1. The denoiser gives logits of each pixel's grey from the rest; multiplied by the pixel's own exact
    likelihood N(x_t; sqrt(a) grey, 1 - a) they give its posterior, as Kingma et al. (2021) do at t = 0. The expected
    grey is the clean image, and the noise is what remains: an untrained denoiser is already right where greys are
    independent and uniform, and a pixel whose noise is smaller than the distance of greys is left as it is.

    With classes it is one model of images of a class and of any, as `drop` leaves out the class of some it learns from.
    Guidance w then takes, as expected clean image, any + w (class - any) (Ho and Salimans, 2022): 0 asks for no class,
    1 for the class, more than 1 for what tells it from the others.

    Args:
        shape: shape of one image.
        levels: number of greys a pixel can have.
        steps: number of diffusion steps, T.
        schedule: "linear" or "cosine".
        width: features of the denoiser's hidden layers, even.
        blocks: number of the denoiser's residual blocks.
        classes: number of classes it can be asked for; 0 for none.

    Raises:
        InvalidInput: an unknown schedule, fewer than 2 steps, an odd width, or images of another shape.
    """

    greys: Tensor
    signal: Tensor
    deviation: Tensor
    clean_weight: Tensor
    noisy_weight: Tensor
    variance: Tensor

    def __init__(
        self,
        shape: Sequence[int] = (1, 8, 8),
        levels: int = 17,
        steps: int = 50,
        schedule: str = "cosine",
        width: int = 128,
        blocks: int = 3,
        classes: int = 0,
    ) -> None:
        super().__init__()
        beta = noise_schedule(schedule, steps)
        self.shape, self.levels, self.steps, self.classes = tuple(shape), levels, steps, classes
        self.denoiser = Denoiser(shape, levels, steps, width, blocks, classes)
        kept = torch.cumprod(1 - beta, 0)  # alpha bar, the share of x_t's variance that is still image
        before = torch.cat([torch.ones(1, dtype=torch.float64), kept[:-1]])
        tables = {
            "greys": torch.linspace(-1, 1, levels),
            "signal": kept.sqrt(),
            "deviation": (1 - kept).sqrt(),
            "clean_weight": before.sqrt() * beta / (1 - kept),
            "noisy_weight": (1 - beta).sqrt() * (1 - before) / (1 - kept),
            "variance": beta * (1 - before) / (1 - kept),
        }
        for name, table in tables.items():  # in float64 until here: 1 - alpha bar is tiny at first
            self.register_buffer(name, table.float(), persistent=False)

    def diffuse(self, x: Tensor, step: Tensor, noise: Tensor) -> Tensor:
        """x_t in closed form: sqrt(a) x + sqrt(1 - a) noise, a being alpha bar at t.

        Args:
            x: clean images (B, *shape) in [-1, 1].
            step: t (B,) int64.
            noise: standard normal, of x's shape.
        """
        return self._at(self.signal, step, x) * x + self._at(self.deviation, step, x) * noise

    def grey_logits(self, x: Tensor, step: Tensor, labels: Tensor | None = None) -> Tensor:
        """Logits of each clean pixel's grey given x_t (B, *shape) at t (B,), of classes (B,): (B, *shape, levels)."""
        expected = self._at(self.signal, step, x).unsqueeze(-1) * self.greys  # (B, 1, .., levels)
        distance = (x.unsqueeze(-1) - expected) / self._at(self.deviation, step, x).unsqueeze(-1)
        return self.denoiser(x, step, labels) - 0.5 * distance.square()

    def clean(self, x: Tensor, step: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and variance of the clean image behind x_t (B, *shape) at t (B,), each of x's shape."""
        probabilities = self.grey_logits(x, step, labels).softmax(-1)
        mean = probabilities @ self.greys
        return mean, (probabilities @ self.greys.square() - mean.square()).clamp(min=0)

    def guided(self, x: Tensor, step: Tensor, labels: Tensor | None, guidance: float = 1.0) -> tuple[Tensor, Tensor]:
        """As `clean`, with guidance towards the classes (B,); the mean stays between black and white."""
        if labels is None:
            return self.clean(x, step)
        mean, variance = self.clean(x, step, labels)
        if guidance == 1:
            return mean, variance
        freely, _ = self.clean(x, step)
        return (freely + guidance * (mean - freely)).clamp(-1, 1), variance

    def noise(self, x: Tensor, step: Tensor, labels: Tensor | None = None) -> Tensor:
        """The expected noise in x_t (B, *shape) at t (B,), of x's shape."""
        clean = self._expected(x, step, labels)
        return (x - self._at(self.signal, step, x) * clean) / self._at(self.deviation, step, x)

    def _expected(self, x: Tensor, step: Tensor, labels: Tensor | None) -> Tensor:
        return (self.clean(x, step) if labels is None else self.clean(x, step, labels))[0]

    def posterior(
        self, clean: Tensor, x: Tensor, step: Tensor, clean_variance: Tensor | float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """Mean and variance of the image one step before x_t: of q(x_{t-1} | x_t, x) if the clean image x is known.

        A clean image known only by mean and variance adds the latter's share, the best variance of a Gaussian reverse
        step (Bao et al., 2022).

        Args:
            clean: (mean of the) clean image (B, *shape) in [-1, 1].
            x: x_t (B, *shape).
            step: t (B,) int64.
            clean_variance: variance of the clean image, broadcastable to it.
        """
        weight = self._at(self.clean_weight, step, x)
        mean = weight * clean + self._at(self.noisy_weight, step, x) * x
        return mean, self._at(self.variance, step, x) + weight.square() * clean_variance

    def reverse(
        self, x: Tensor, step: Tensor, noise: Tensor, labels: Tensor | None = None, guidance: float = 1.0
    ) -> Tensor:
        """One ancestral step: x_t (B, *shape), t (B,) and standard normal noise to x_{t-1}; at t = 0 the clean mean."""
        clean, clean_variance = self.guided(x, step, labels, guidance)
        mean, variance = self.posterior(clean, x, step, clean_variance)
        return mean + (step > 0).view(-1, *(1,) * (x.dim() - 1)) * variance.sqrt() * noise

    def loss(self, images: Tensor, seed: Seed = None, labels: Tensor | None = None, drop: float = 0.1) -> Tensor:
        """Mean squared error of the predicted noise at random steps.

        Args:
            images: (B, *shape) in [0, 1].
            seed: of steps and noise, see `noise`.
            labels: (B,) int64 their classes, if it has some.
            drop: probability that an image's class is left out.
        """
        check_shape("Diffusion", images, self.shape)
        draws = Draws(seed, images.device)
        step = (draws.uniform(images.shape[0]) * self.steps).long().clamp(max=self.steps - 1)
        noise = draws.normal(*images.shape, dtype=images.dtype)
        if labels is not None:
            labels = labels.masked_fill(draws.uniform(len(labels)) < drop, self.classes)
        return (self.noise(self.diffuse(2 * images - 1, step, noise), step, labels) - noise).square().mean()

    def bound(self, pixels: Tensor, seed: Seed = None, labels: Tensor | None = None) -> Tensor:
        """The variational lower bound on the log probability of discrete pixels, from one noisy image for each step.

        Less the divergences of the last step from the prior and of the true from the modelled reverse steps, plus the
        log probability of the greys at the first step (Ho et al., 2020, equation 5).

        Args:
            pixels: (B, *shape) int64 in 0 .. levels - 1.
            seed: of the noise, see `noise`.
            labels: (B,) int64 their classes, for the log probability given these.

        Returns:
            Nats (B,).
        """
        check_shape("Diffusion", pixels, self.shape)
        x, draws = self.greys[pixels], Draws(seed, pixels.device)
        bound = -gaussian_kl(self.signal[-1] * x, 2 * self.deviation[-1].log()).flatten(1).sum(1)
        for t in range(self.steps):
            step = torch.full((x.shape[0],), t, device=x.device)
            noisy = self.diffuse(x, step, self._draw(x.shape[0], draws))
            if t == 0:
                log_prob = self.grey_logits(noisy, step, labels).log_softmax(-1).gather(-1, pixels.unsqueeze(-1))
                bound = bound + log_prob.flatten(1).sum(1)
            else:
                true, variance = self.posterior(x, noisy, step)
                clean, clean_variance = self.guided(noisy, step, labels)
                modelled, wider = self.posterior(clean, noisy, step, clean_variance)
                bound = bound - gaussian_kl(true, variance.log(), modelled, wider.log()).flatten(1).sum(1)
        return bound

    @torch.no_grad()
    def sample(self, n: int, seed: Seed = None, labels: Tensor | None = None, guidance: float = 1.0) -> Tensor:
        """Draws n images, of classes (n,) if any, by all ancestral steps, (n, *shape) in [0, 1]; see `noise`."""
        draws = Draws(seed, self.greys.device)
        x = self._draw(n, draws)
        for t in reversed(range(self.steps)):
            x = self.reverse(x, torch.full((n,), t, device=x.device), self._draw(n, draws), labels, guidance)
        return (x + 1) / 2

    @torch.no_grad()
    def sample_ddim(
        self, n: int, steps: int, seed: Seed = None, labels: Tensor | None = None, guidance: float = 1.0
    ) -> Tensor:
        """Draws n images by `steps` deterministic steps from noise (Song et al., 2021, eta 0), (n, *shape) in [0, 1].

        Raises:
            InvalidInput: steps not in 1 .. T.
        """
        if not 1 <= steps <= self.steps:
            raise InvalidInput(f"Diffusion: DDIM steps must be in 1 .. {self.steps}; got {steps}")
        x = self._draw(n, Draws(seed, self.greys.device))
        times = [round(k * self.steps / steps) - 1 for k in range(steps, 0, -1)]  # T - 1, ..., evenly down to above -1
        for t, before in zip(times, [*times[1:], -1], strict=True):
            clean, _ = self.guided(x, torch.full((n,), t, device=x.device), labels, guidance)
            noise = (x - self.signal[t] * clean) / self.deviation[t]
            x = clean if before < 0 else self.signal[before] * clean + self.deviation[before] * noise
        return (x + 1) / 2

    @torch.no_grad()
    def restore(
        self, images: Tensor, missing: Tensor, particles: int = 1, resampling: int = 1, seed: Seed = None
    ) -> Tensor:
        """Images whose missing pixels are drawn to suit the others (RePaint, Lugmayr et al., 2022).

        All ancestral steps, before each of which the pixels that are there are put in as noisy as the rest; with
        resampling each step is gone back and taken again, so that the rest has time to suit them.

        Args:
            images: (B, *shape) in [0, 1].
            missing: bool, of the images' shape.
            particles: images drawn for each, of which the mean is given.
            resampling: how often each step is taken.
            seed: of the noise, see `noise`.

        Returns:
            (B, *shape) in [0, 1].
        """
        draws = Draws(seed, images.device)
        kept, gaps = (one.repeat_interleave(particles, 0) for one in (2 * images - 1, missing))  # (B K, *shape)
        n = len(kept)
        x = self._draw(n, draws)
        for t in reversed(range(self.steps)):
            step = torch.full((n,), t, device=x.device)
            for again in reversed(range(resampling)):
                noisy = self.diffuse(kept, step, self._draw(n, draws))
                x = self.reverse(torch.where(gaps, x, noisy), step, self._draw(n, draws))
                if again and t:
                    share = self.signal[t] / self.signal[t - 1]
                    x = share * x + (1 - share.square()).sqrt() * self._draw(n, draws)
        expected = x.view(len(images), particles, *self.shape).mean(1)
        return torch.where(missing, (expected + 1) / 2, images).clamp(0, 1)

    def _draw(self, n: int, draws: Draws) -> Tensor:
        return draws.normal(n, *self.shape, dtype=self.greys.dtype)

    def _at(self, table: Tensor, step: Tensor, x: Tensor) -> Tensor:
        return table[step].view(-1, *(1,) * (x.dim() - 1))  # (B, 1, ..) against (B, *shape)
