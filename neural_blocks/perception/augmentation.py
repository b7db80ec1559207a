"""Images changed at random while a network learns; the draws are counted, as those of `dropout`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InvalidInput, unknown_name
from ..noise import Seed, as_seed, keys, uniform
from .image_changes import (
    AUGMIX_WIDTH,
    PIXMIX_WIDTH,
    RANDAUGMENT_WIDTH,
    as_they_were,
    augmix,
    box,
    crop,
    cutout,
    flip,
    pixmix,
    randaugment,
    rotate,
    shift,
    speckle,
)
from .images import ImageLayout, brightest, image_layout

KINDS: dict[str, tuple[Callable[[Tensor, Tensor, float], Tensor], int | None]] = {
    "shift": (shift, 2),
    "flip": (flip, 1),
    "rotate": (rotate, 1),
    "crop": (crop, 3),
    "cutout": (cutout, 3),
    "noise": (speckle, None),
    "randaugment": (randaugment, RANDAUGMENT_WIDTH),
    "augmix": (augmix, AUGMIX_WIDTH),
    "pixmix": (pixmix, PIXMIX_WIDTH),
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
        return as_they_were(weight * images + (1 - weight) * other, images), share
    pixels = images.reshape(len(images), -1, *images.shape[-2:])
    inside = box(pixels, noise, (1 - noise[:, 2]).sqrt())
    chosen = torch.where(inside, other.reshape_as(pixels), pixels).view_as(images)
    return chosen, 1 - inside.to(noise.dtype).mean((1, 2, 3))
