"""The last n observations as one: what their space is, and how they begin and move on."""

from __future__ import annotations

from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ...neural_blocks.errors import InvalidInput
from ..core.task import Observation

ALONE = ("action_mask",)  # parts of a Dict that say what is so now, and are not stacked
MOST_FRAMES = 64


class Frames:
    """The last n observations of B environments side by side, the oldest first.

    Of a vector (D,) they are one of (n D,), of an image (C, H, W) one of (n C, H, W), and so on along the first axis;
    of a number, or of a Discrete observation, n of them. The parts of a Dict are stacked each by itself, but for an
    `action_mask`. An episode begins with n times its first observation (as Gymnasium's `FrameStackObservation` does).

    Args:
        space: of one observation.
        count: n.
        name: of the environment, for messages.

    Attributes:
        space: of n of them.

    Raises:
        InvalidInput: a space whose observations cannot be stacked.
    """

    def __init__(self, space: spaces.Space[Any], count: int, name: str) -> None:
        self.count, self._own = count, space
        self.space = _stacked(space, count, name)

    def begun(self, observation: Observation) -> Observation:
        """The frames (B, ...) of episodes of which this is the first observation (B, ...)."""
        return self._each(
            lambda space, one: one if space is None else torch.cat([_long(space, one)] * self.count, 1), observation
        )

    def followed(self, frames: Observation, observation: Observation) -> Observation:
        """The frames after one more observation; the oldest makes room."""

        def moved(space: Any, one: Tensor, before: Tensor) -> Tensor:
            if space is None:
                return one
            newest = _long(space, one)
            return torch.cat([before[:, newest.shape[1] :], newest], 1)

        return self._each(moved, observation, frames)

    def newest(self, frames: Observation) -> Observation:
        """The last observation alone, (B, ...), or without the axis of the environments if there is none."""

        def last(space: Any, stacked: Tensor) -> Tensor:
            if space is None:
                return stacked
            axis = stacked.ndim - max(len(space.shape or ()), 1)
            size = stacked.shape[axis] // self.count
            one = stacked.narrow(axis, stacked.shape[axis] - size, size)
            return one if space.shape else one.squeeze(axis)

        return self._each(last, frames)

    def _each(self, function: Any, *observations: Any) -> Any:
        """A function of each part's space, None for one that is not stacked, and of the parts."""
        if not isinstance(self._own, spaces.Dict):
            return function(self._own, *observations)
        return {
            name: function(None if name in ALONE else space, *(one[name] for one in observations))
            for name, space in self._own.spaces.items()
        }


def _long(space: spaces.Space[Any], one: Tensor) -> Tensor:
    """Observations (B, ...) with an axis to stack them along."""
    return one if space.shape else one.unsqueeze(1)


def _stacked(space: spaces.Space[Any], count: int, name: str) -> spaces.Space[Any]:
    """The space of so many observations of a space."""
    if isinstance(space, spaces.Dict):
        own = space.spaces.items()
        return spaces.Dict({key: part if key in ALONE else _stacked(part, count, name) for key, part in own})
    if isinstance(space, spaces.Box):
        low, high = (np.concatenate([np.atleast_1d(bound)] * count) for bound in (space.low, space.high))
        return spaces.Box(low, high, dtype=space.dtype)
    if isinstance(space, spaces.Discrete):
        return spaces.MultiDiscrete([int(space.n)] * count, start=[int(space.start)] * count)
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        return spaces.MultiDiscrete(np.tile(space.nvec, count), start=np.tile(space.start, count))
    if isinstance(space, spaces.MultiBinary) and len(space.shape) == 1:
        return spaces.MultiBinary(count * space.shape[0])
    raise InvalidInput(f"{name}: frame_stack must be 1 for observations of {space}; got {count}")
