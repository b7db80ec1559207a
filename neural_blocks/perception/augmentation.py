"""Images changed at random while a network learns; the draws are counted, as those of `dropout`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InvalidInput, unknown_name
from ..noise import Seed, as_seed, keys, uniform
from .images import ImageLayout, brightest, image_layout

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
    return _as(images + SPREAD * brightness * normal, images)


KINDS: dict[str, tuple[Callable[[Tensor, Tensor, float], Tensor], int | None]] = {
    "shift": (shift, 2),
    "flip": (flip, 1),
    "rotate": (rotate, 1),
    "crop": (crop, 3),
    "cutout": (cutout, 3),
    "noise": (speckle, None),
}
"""What changes images (N, C, H, W), and the uniforms (N, ...) it takes for each; None for one a value."""


class Augmentation(nn.Module):
    """The images of an observation changed at random in training, and as they are in evaluation: (N, ...) to (N, ...).

    All else is left alone. Each kind has draws of its own, hashed from a seed and a count of the passes, both buffers.

    Args:
        space: of an observation: `shape`, `dtype`, and bounds are read, or `spaces` of a Dict.
        kinds: names of `KINDS`, one after the other.
        seed: see `dropout.Dropout`.

    Raises:
        InvalidInput: an unknown kind, or an observation without an image.
    """

    seed: Tensor
    counter: Tensor

    def __init__(self, space: Any, kinds: Sequence[str], seed: Seed = None) -> None:
        super().__init__()
        for kind in kinds:
            if kind not in KINDS:
                raise unknown_name("augment", kind, KINDS)
        self.kinds = tuple(kinds)
        parts = dict(space.spaces) if hasattr(space, "spaces") else {"": space}
        layouts = {name: image_layout(part) for name, part in parts.items()}
        self.images = {
            name: (layout, parts[name].shape, brightest(parts[name]))
            for name, layout in layouts.items()
            if layout is not None
        }
        if not self.images:
            raise InvalidInput(f"augment needs an image in the observation; got {space}")
        self.register_buffer("seed", as_seed(seed, torch.get_default_device()).clone())
        self.register_buffer("counter", torch.zeros_like(self.seed))

    def forward(self, observation: Any) -> Any:
        """(N, ...) to (N, ...)."""
        if not self.training:
            return observation
        if isinstance(observation, dict):
            changed: Any = {
                name: self._changed(part, name) if name in self.images else part for name, part in observation.items()
            }
        else:
            changed = self._changed(observation, "")
        self.counter += 1
        return changed

    def _changed(self, observation: Tensor, name: str) -> Tensor:
        layout, shape, brightness = self.images[name]
        images = layout(observation)
        for place, kind in enumerate(self.kinds):
            change, width = KINDS[kind]
            stream = 1 + place + len(self.kinds) * list(self.images).index(name)
            own = keys(keys(self.seed, 0) + self.counter, stream)  # a pass has a key, so that a row has its place in it
            size = (len(images), images[0].numel() if width is None else width)
            images = change(images, uniform(own, torch.zeros_like(own), math.prod(size)).view(size), brightness)
        return restored(images, layout, shape)


def restored(images: Tensor, layout: ImageLayout, shape: tuple[int, ...]) -> Tensor:
    """Images (N, C, H, W) with the axes that they had before `layout`, (N, *shape)."""
    if layout.channel_first:
        return images
    back = sorted(range(len(shape)), key=layout.axes.__getitem__)
    apart = images.reshape(-1, *(shape[axis] for axis in layout.axes))
    return apart.permute(0, *(place + 1 for place in back))


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


def mixed(images: Tensor, noise: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    """Each image with something of the next one, and what share (N,) of it is still its own.

    Args:
        images: (N, ...), of which "cutmix" takes the last two axes for H and W.
        noise: (N, 3) uniforms.
        kind: "mixup", the mean with that share (Zhang et al., 2018), or "cutmix", a box of the next one in it (Yun et
            al., 2019).
    """
    other = images.roll(-1, 0)
    if kind == "mixup":
        share = noise[:, 2]
        weight = share.view(-1, *[1] * (images.ndim - 1))
        return _as(weight * images + (1 - weight) * other, images), share
    pixels = images.reshape(len(images), -1, *images.shape[-2:])
    inside = box(pixels, noise, (1 - noise[:, 2]).sqrt())
    chosen = torch.where(inside, other.reshape_as(pixels), pixels).view_as(images)
    return chosen, 1 - inside.to(noise.dtype).mean((1, 2, 3))


def _sampled(images: Tensor, matrix: Tensor) -> Tensor:
    """Images read at the places that affine maps (N, 2, 3) lead to, in a grid from -1 to 1; edges are repeated."""
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    read = F.grid_sample(images.to(matrix.dtype), grid, padding_mode="border", align_corners=False)
    return _as(read, images)


def _as(values: Tensor, images: Tensor) -> Tensor:
    """Values of the images' dtype; bytes are rounded."""
    return values.round().clamp(0, 255).to(torch.uint8) if images.dtype == torch.uint8 else values.to(images.dtype)
