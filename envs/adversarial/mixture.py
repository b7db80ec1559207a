"""Points of the plane to forge: Gaussians on a ring are real, a disc is the noise; how well they can be told apart."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor, nn

from ..core.game import Opponent
from ..drawing.canvas import ACCENT, BAD, PANEL, Canvas
from .source import Source

BLUR = 0.4  # deviation of the one Gaussian of the blurred generator
RADIUS = 0.65  # of the ring
DISC = (190, 188, 182)  # colour of a Gaussian's middle
NEAR = 3.0  # deviations within which a point counts as one of a mode


class Ring(nn.Module):
    """Equally likely Gaussians of one deviation, evenly spaced on a ring around the origin.

    Args:
        modes: how many Gaussians the whole ring has.
        spread: the deviation of each.
        used: how many of them, the first ones, points come from.
        radius: of the ring; the square has half-width 1.
    """

    centres: Tensor

    def __init__(self, modes: int, spread: float, used: int, radius: float) -> None:
        super().__init__()
        angle = torch.arange(used, dtype=torch.float64) * (2 * math.pi / modes)
        centres = radius * torch.stack([angle.cos(), angle.sin()], 1)
        self.register_buffer("centres", centres.float(), persistent=False)  # (K, 2)
        self.spread = spread

    def sample(self, noise: Tensor) -> Tensor:
        """Points (B, 2) from uniforms (B, 2): the first picks the Gaussian, and what is left of it one coordinate."""
        place = noise[:, 0] * len(self.centres)
        mode = place.long()
        offset = torch.special.ndtri(torch.stack([place - mode, noise[:, 1]], 1))
        return (self.centres[mode] + self.spread * offset).clamp(-1, 1)

    def log_density(self, points: Tensor) -> Tensor:
        """(B,) of points (B, 2), in nats."""
        squared = (points[:, None] - self.centres).square().sum(2)  # (B, K)
        exponents = -squared / (2 * self.spread**2)
        return exponents.logsumexp(1) - math.log(len(self.centres) * 2 * math.pi * self.spread**2)


class Disc(nn.Module):
    """Uniform on the disc of radius 1."""

    def sample(self, noise: Tensor) -> Tensor:
        """Points (B, 2) from uniforms (B, 2): an angle and a squared radius."""
        angle = 2 * math.pi * noise[:, 0]
        return noise[:, 1:].sqrt() * torch.stack([angle.cos(), angle.sin()], 1)

    def uniforms(self, points: Tensor) -> Tensor:
        """(B, 2) from which `sample` makes these points (B, 2)."""
        angle = torch.atan2(points[:, 1], points[:, 0]) / (2 * math.pi)
        return torch.stack([angle.remainder(1), points.square().sum(1)], 1).clamp(0, 1 - 2**-24)

    def log_density(self, points: Tensor) -> Tensor:
        """(B,) of points (B, 2), in nats; the same beyond the disc, so that nothing there passes for real."""
        return torch.full_like(points[:, 0], -math.log(math.pi))


def chance(first: Ring, second: Ring | Disc, points: Tensor) -> Tensor:
    """(B, 1) how likely points (B, 2) come from the first of two sources that are equally likely a priori."""
    return 1 / (1 + (second.log_density(points) - first.log_density(points)).exp())[:, None]


class Mixture(Source):
    """Points of a mixture of equally likely Gaussians on a ring, to be made by moving points of a disc.

    Args:
        modes: how many Gaussians.
        spread: the deviation of each.
    """

    noun = "point"
    entries = ["right", "up"]  # noqa: RUF012
    real_uniforms, noise_uniforms = 2, 2

    def __init__(self, modes: int, spread: float) -> None:
        super().__init__()
        self.modes, self.spread = modes, spread
        self.ring, self.disc = Ring(modes, spread, modes, RADIUS), Disc()
        self.noise_space = self.action_space = self.sample_space = spaces.Box(-1, 1, (2,), np.float32)
        self.register_buffer("blank", torch.full((2,), torch.nan, dtype=torch.float32), persistent=False)

    def real(self, uniforms: Tensor) -> Tensor:
        """Points (B, 2) of the ring."""
        return self.ring.sample(uniforms)

    def noise(self, uniforms: Tensor) -> Tensor:
        """Points (B, 2) of the disc."""
        return self.disc.sample(uniforms)

    def make(self, noise: Tensor, action: Tensor) -> Tensor:
        """Points (B, 2) moved, at most to the edge of the square."""
        return (noise + action).clamp(-1, 1)

    def near(self, samples: Tensor) -> Tensor:
        """(B, modes) bool: which Gaussians are within three deviations."""
        return (samples[:, None] - self.ring.centres).square().sum(2) <= (NEAR * self.spread) ** 2

    def expert(self, noise: Tensor) -> Tensor:
        """(B, 2) the moves onto the ring."""
        return moved(noise, self.disc, self.ring)

    def opponents(self, player: str) -> dict[str, Callable[[], Opponent]]:
        """Generators of known density, and the discriminators that are best against them."""
        sources: dict[str, Ring | Disc] = {
            "true": self.ring,
            "collapsed": Ring(self.modes, self.spread, 1, RADIUS),
            "blurred": Ring(1, BLUR, 1, 0.0),
            "uniform": self.disc,
        }
        if player == "generator":
            return {name: partial(Forger, self.ring, self.disc, source) for name, source in sources.items()}
        return {f"against-{name}": partial(Judge, self.ring, sources[name]) for name in ("uniform", "blurred")}

    def draw(self, made: Tensor, shown: Tensor, canvas: Canvas) -> None:
        """The plane with the real Gaussians, all points made and the one shown."""
        side = 330
        area, limits = ((canvas.width - side) // 2, 66, side, side), (-1.0, 1.0, -1.0, 1.0)
        for word, colour, left, mark in (
            ("where real points lie", DISC, 60, "square"),
            ("forged", ACCENT, 250, "dot"),
            ("on trial", BAD, 345, "ring"),
        ):
            canvas.points([[0.0, 0.0]], (left - 22, 40, 16, 16), [colour], 5, limits, mark)
            canvas.text(word, (left, 48), size=22, anchor="midleft")
        canvas.points(self.ring.centres, area, [PANEL], round(NEAR * self.spread * side / 2), limits)
        canvas.points(self.ring.centres, area, [DISC], round(self.spread * side / 2), limits)
        canvas.points(made, area, [ACCENT], 4, limits)
        canvas.points(shown[None], area, [BAD], 9, limits, "ring")

    def draw_noise(self, noise: Tensor, canvas: Canvas) -> None:
        """The plane with the point of noise."""
        canvas.text("Move the point to where real points may lie", (canvas.width // 2, 40), size=28, anchor="center")
        self.draw_sample(noise, canvas)

    def draw_sample(self, shown: Tensor, canvas: Canvas) -> None:
        """The plane with the point."""
        span = (-1.0, 1.0)
        plane = canvas.axes((60, 60, 370, 400), span, span, ("x", "y"))
        canvas.points(shown[None], plane, [ACCENT], 8, (*span, *span))


def moved(noise: Tensor, disc: Disc, source: Ring | Disc) -> Tensor:
    """(B, 2) how far points of the disc (B, 2) must be moved to become samples of the source, 1 at most."""
    return (source.sample(disc.uniforms(noise)) - noise).clamp(-1, 1)


class Forger(Opponent):
    """A generator that draws from a source of known density."""

    def __init__(self, truth: Ring, disc: Disc, source: Ring | Disc) -> None:
        super().__init__()
        self.truth, self.disc, self.source = truth, disc, source

    def forward(self, observation: Tensor, noise: Tensor) -> Tensor:
        """(B, 2) how far to move the points of noise (B, 2)."""
        return moved(observation, self.disc, self.source)

    def best_response(self, observation: Any) -> Tensor:
        """(B, 1) the best discriminator's probability that the points (B, 2) are real."""
        return chance(self.truth, self.source, observation)


class Judge(Opponent):
    """The best discriminator against a generator that draws from a source of known density."""

    def __init__(self, truth: Ring, source: Ring | Disc) -> None:
        super().__init__()
        self.truth, self.source = truth, source

    def forward(self, observation: Tensor, noise: Tensor) -> Tensor:
        """(B, 1) the probability that the points (B, 2) are real."""
        return chance(self.truth, self.source, observation)
