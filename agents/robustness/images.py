"""What of an observation an attack can move, as numbers: its images, or a row of measurements."""

from __future__ import annotations

import math
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ...envs.core.task import Observation
from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.perception.images import image_layout


class ImageRows:
    """The images of an observation side by side, each value as a share of its range: 0 is black and 1 white.

    An observation that is one row of numbers without bounds, as of a table, stands for itself, in its own unit.

    Args:
        name: who asks, for messages.
        space: of one observation: an image, see `image_layout`, or a Dict in which there is one, where all else is left
            as it is; or a Box of one axis.

    Raises:
        InvalidInput: there is no image and no row, or values without a common range.

    Attributes:
        bounds: of what an attack may make of a value.
    """

    def __init__(self, name: str, space: spaces.Space[Any]) -> None:
        parts = dict(space.spaces) if isinstance(space, spaces.Dict) else {"": space}
        images = {key: part for key, part in parts.items() if image_layout(part) is not None}
        if not images and isinstance(space, spaces.Box) and space.shape is not None and len(space.shape) == 1:
            images = {"": space}
        if not images:
            raise InvalidInput(f"{name}: an attack needs an image in the observation; got {space}")
        self.ranges = {key: _range(name, part) for key, part in images.items()}
        unbounded = self.ranges.get("") == (-math.inf, math.inf)
        self.bounds = (-math.inf, math.inf) if unbounded else (0.0, 1.0)
        self.ranges = {"": (0.0, 1.0)} if unbounded else self.ranges
        self.sizes = [math.prod(part.shape or ()) for part in images.values()]

    def rows(self, observation: Observation) -> Tensor:
        """Observations (N, ...) to (N, D) float32, all images flattened one after the other."""
        parts = observation if isinstance(observation, dict) else {"": observation}
        shares = [(parts[key].flatten(1).float() - low) / (high - low) for key, (low, high) in self.ranges.items()]
        return shares[0] if len(shares) == 1 else torch.cat(shares, 1)

    def replaced(self, observation: Observation, rows: Tensor) -> Observation:
        """Observations (N, ...) with images of such rows (N, D) in their place, as float32."""
        own = rows.split(self.sizes, 1) if len(self.sizes) > 1 else (rows,)
        parts = observation if isinstance(observation, dict) else {"": observation}
        images = {
            key: (low + share * (high - low)).view(parts[key].shape)
            for (key, (low, high)), share in zip(self.ranges.items(), own, strict=True)
        }
        return {**observation, **images} if isinstance(observation, dict) else images[""]


def _range(name: str, image: Any) -> tuple[float, float]:
    low, high = float(np.min(image.low)), float(np.max(image.high))
    if len(image.shape) == 1 and np.all(np.isinf(image.low)) and np.all(np.isinf(image.high)):
        return low, high
    even = bool(np.all(image.low == low) and np.all(image.high == high))
    if not even or not math.isfinite(high - low) or low == high:
        raise InvalidInput(f"{name}: an attack needs an image whose values have one finite range; got {image}")
    return low, high
