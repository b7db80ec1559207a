"""Labelled images mixed with one another."""

from __future__ import annotations

from typing import Any

import gymnasium.spaces as spaces
from torch import Tensor

from ...envs.core.task import Observation
from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.perception.augmentation import mixed
from ...neural_blocks.perception.images import image_layout


def _is_image(space: spaces.Space[Any]) -> bool:
    layout = image_layout(space)
    return layout is not None and layout.channel_first


def require_images(name: str, space: spaces.Space[Any]) -> None:
    """Raises `InvalidInput` unless the observation is an image (C, H, W), or a Dict with nothing but such images."""
    parts = list(space.values()) if isinstance(space, spaces.Dict) else [space]
    if not all(map(_is_image, parts)):
        raise InvalidInput(f"{name}: mix needs images (C, H, W) and nothing else in the observation; got {space}")


def mixed_images(
    space: spaces.Space[Any], observation: Observation, noise: Tensor, kind: str
) -> tuple[Observation, Tensor]:
    """Sequences (L, N, ...) mixed with the next one, the last with the first.

    Args:
        space: of an observation, see `require_images`.
        observation: (L, N, ...).
        noise: (N, 3) uniforms.
        kind: see `augmentation.mixed`.

    Returns:
        The mixture, and what share (N,) of each sequence is its own; of several images, that of the last.
    """
    if not isinstance(observation, dict):
        images, share = mixed(observation.movedim(1, 0), noise, kind)  # (N, L, C, H, W)
        return images.movedim(0, 1), share
    parts = {name: mixed(part.movedim(1, 0), noise, kind) for name, part in observation.items()}
    *_, (_, share) = parts.values()
    return {name: images.movedim(0, 1) for name, (images, _) in parts.items()}, share
