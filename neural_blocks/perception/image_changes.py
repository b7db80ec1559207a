"""Changes of images by uniforms: of geometry, of brightness, and mixtures of several of them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

REACH = 0.125  # of a side, that an image is shifted at most
TURN = math.pi / 12  # that it is turned at most
SMALLEST = 0.8  # of a side, that a crop has at least
HOLE = 0.5  # of a side, that a cut-out has at most
SPREAD = 0.05  # of the brightest value, deviation of the noise


def shift(images: Tensor, noise: Tensor, brightness: float) -> Tensor:
    """Whole pixels up to an eighth of a side along both axes; edges are repeated (Yarats et al., 2021)."""
    for axis, draw in ((2, noise[:, 0]), (3, noise[:, 1])):
        side = images.shape[axis]
        most = max(1, round(REACH * side))
        by = (draw * (2 * most + 1)).long() - most
        place = (torch.arange(side, device=images.device) + by.unsqueeze(1)).clamp(0, side - 1)  # (N, side)
        index = place[:, None, :, None] if axis == 2 else place[:, None, None, :]
        images = images.gather(axis, index.expand_as(images))
    return images


def flip(images: Tensor, noise: Tensor, brightness: float) -> Tensor:
    """Left for right, every other time."""
    return torch.where(noise[:, 0].view(-1, 1, 1, 1) < 0.5, images.flip(3), images)


def rotate(images: Tensor, noise: Tensor, brightness: float) -> Tensor:
    """About the middle by up to 15 degrees either way; edges are repeated."""
    angle = (2 * noise[:, 0] - 1) * TURN
    ratio = images.shape[2] / images.shape[3]  # of a grid's unit along the columns to one along the rows
    cos, sin = angle.cos(), angle.sin()
    rows = torch.stack([cos, -sin * ratio, torch.zeros_like(cos)], 1)
    return _sampled(images, torch.stack([rows, torch.stack([sin / ratio, cos, torch.zeros_like(cos)], 1)], 1))


def crop(images: Tensor, noise: Tensor, brightness: float) -> Tensor:
    """A part of at least four fifths of both sides, stretched to the image's size (Szegedy et al., 2015)."""
    part = SMALLEST + (1 - SMALLEST) * noise[:, 0]
    middle = (2 * noise[:, 1:3] - 1) * (1 - part).unsqueeze(1)
    none = torch.zeros_like(part)
    rows = torch.stack([part, none, middle[:, 0]], 1)
    return _sampled(images, torch.stack([rows, torch.stack([none, part, middle[:, 1]], 1)], 1))


def cutout(images: Tensor, noise: Tensor, brightness: float) -> Tensor:
    """A hole of up to half of each side is 0 (DeVries and Taylor, 2017)."""
    return torch.where(box(images, noise, HOLE * noise[:, 2]), torch.zeros_like(images), images)


def speckle(images: Tensor, noise: Tensor, brightness: float) -> Tensor:
    """Every value with a normal deviation of a twentieth of the brightest."""
    normal = torch.special.ndtri(noise.clamp(1e-7, 1 - 1e-7)).view(images.shape)
    return as_they_were(images + SPREAD * brightness * normal, images)


def posterise(images: Tensor, noise: Tensor, brightness: float) -> Tensor:
    """From 3 to 10 levels of brightness instead of all."""
    steps = (2 + (8 * noise[:, 0]).long()).view(-1, 1, 1, 1)
    return as_they_were((images.float() / brightness * steps).round() / steps * brightness, images)


def solarise(images: Tensor, noise: Tensor, brightness: float) -> Tensor:
    """What is brighter than some limit, of at least half the brightest, is turned to its opposite."""
    limit = ((1 + noise[:, 0]) / 2 * brightness).view(-1, 1, 1, 1)
    values = images.float()
    return as_they_were(torch.where(values > limit, brightness - values, values), images)


SMALL = (shift, rotate, crop, posterise, solarise)
"""Of which mixtures are made: changes that leave a picture what it is."""
NEEDED = 4  # uniforms of one of them: which it is, and three of its own
CHAINS, LONGEST = 3, 2  # of AugMix: chains, and changes in each
ROUNDS, WAVES = 2, 8  # of PixMix: how often something is mixed in, and waves in a pattern
RANDAUGMENT_WIDTH = 2 * NEEDED
AUGMIX_WIDTH = CHAINS * (1 + LONGEST * (NEEDED + 1)) + 1
PIXMIX_WIDTH = NEEDED + 4 * WAVES + 4 * ROUNDS


def one_of(images: Tensor, noise: Tensor, brightness: float) -> Tensor:
    """One of `SMALL`, drawn for each image (N, C, H, W) by the first of its uniforms (N, 4)."""
    which = (noise[:, 0] * len(SMALL)).long().view(-1, 1, 1, 1)
    changed = images
    for place, change in enumerate(SMALL):
        changed = torch.where(which == place, change(images, noise[:, 1:], brightness), changed)
    return changed


def randaugment(images: Tensor, noise: Tensor, brightness: float) -> Tensor:
    """Two of `SMALL`, drawn for each image, one after the other (RandAugment, Cubuk et al., 2020)."""
    for draws in noise.split(NEEDED, 1):
        images = one_of(images, draws, brightness)
    return images


def augmix(images: Tensor, noise: Tensor, brightness: float) -> Tensor:
    """The image and the mean of three chains of one or two changes of it, mixed (AugMix, Hendrycks et al., 2020).

    Chains weigh as Dirichlet(1, 1, 1) has it, and their mean a share that is even between 0 and 1.
    """
    plain = images.float()
    weights = -noise[:, :CHAINS].clamp(min=1e-7).log()  # exponential, so their shares are Dirichlet's
    weights = weights / weights.sum(1, keepdim=True)
    total = torch.zeros_like(plain)
    for chain, draws in enumerate(noise[:, CHAINS:-1].chunk(CHAINS, 1)):
        changed = plain
        for place, own in enumerate(draws.split(NEEDED + 1, 1)):
            goes_on = (own[:, 0] < 0.5).view(-1, 1, 1, 1) if place else torch.ones_like(plain[:, :1, :1, :1]).bool()
            changed = torch.where(goes_on, one_of(changed, own[:, 1:], brightness), changed)
        total = total + weights[:, chain].view(-1, 1, 1, 1) * changed
    share = noise[:, -1].view(-1, 1, 1, 1)
    return as_they_were((1 - share) * plain + share * total, images)


def pixmix(images: Tensor, noise: Tensor, brightness: float) -> Tensor:
    """The image with a pattern, or a change of itself, added to or multiplied into it twice (Hendrycks et al., 2022).

    Patterns are sums of waves in all directions whose height falls with their frequency, a kind of cloud.
    """
    own, waves, rounds = noise.split([NEEDED, 4 * WAVES, 4 * ROUNDS], 1)
    plain = images.float() / brightness
    changed, pattern = one_of(plain, own, 1.0), clouds(waves, plain.shape[2], plain.shape[3])
    mixed = plain
    for draws in rounds.split(4, 1):
        draws = draws.view(-1, 4, 1, 1, 1)
        other = torch.where(draws[:, 0] < 0.5, pattern.expand_as(plain), changed)
        share = draws[:, 1] / 2  # no more than half of it
        added = (1 - share) * mixed + share * other
        times = mixed * (1 - share + 2 * share * other)
        following = torch.where(draws[:, 2] < 0.5, added, times).clamp(-1, 1)
        mixed = torch.where(draws[:, 3] < 0.8, following, mixed)
    return as_they_were(mixed * brightness, images)


def clouds(noise: Tensor, height: int, width: int) -> Tensor:
    """Grey patterns (N, 1, height, width) from 0 to 1.

    Args:
        noise: (N, 4 W) uniforms: of each wave its direction, frequency, phase and height.
        height: H.
        width: W.
    """
    direction, frequency, phase, size = noise.unflatten(1, (-1, 4)).unbind(2)  # (N, waves) each
    angle, cycles = math.pi * direction, 2 ** (3 * frequency)  # from 1 to 8 over a side
    down = (torch.arange(height, device=noise.device) + 0.5).view(-1, 1) / height
    right = (torch.arange(width, device=noise.device) + 0.5) / width
    along = angle.sin()[:, :, None, None] * down + angle.cos()[:, :, None, None] * right
    waves = (2 * math.pi * (cycles[:, :, None, None] * along + phase[:, :, None, None])).sin()
    total = (waves * ((0.5 + size) / cycles)[:, :, None, None]).sum(1, keepdim=True)
    low, high = total.amin((1, 2, 3), keepdim=True), total.amax((1, 2, 3), keepdim=True)
    return (total - low) / (high - low).clamp(min=1e-6)


def box(images: Tensor, noise: Tensor, share: Tensor) -> Tensor:
    """(N, 1, H, W) bool, a box in each image.

    Args:
        images: (N, C, H, W).
        noise: (N, 2 or more) uniforms, for its middle.
        share: (N,) of each side.
    """
    inside = []
    for axis in (0, 1):
        side = images.shape[2 + axis]
        middle = noise[:, axis, None] * side
        pixel = torch.arange(side, device=images.device) + 0.5
        inside.append((pixel - middle).abs() <= share.unsqueeze(1) * side / 2)  # (N, side)
    return inside[0][:, None, :, None] & inside[1][:, None, None, :]


def _sampled(images: Tensor, matrix: Tensor) -> Tensor:
    """Images read at the places that affine maps (N, 2, 3) lead to, in a grid from -1 to 1; edges are repeated."""
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    read = F.grid_sample(images.to(matrix.dtype), grid, padding_mode="border", align_corners=False)
    return as_they_were(read, images)


def as_they_were(values: Tensor, images: Tensor) -> Tensor:
    """Values of the images' dtype; bytes are rounded."""
    return values.round().clamp(0, 255).to(torch.uint8) if images.dtype == torch.uint8 else values.to(images.dtype)
