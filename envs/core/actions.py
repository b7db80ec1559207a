"""Actions as tensors: what a space asks for, whether a batch lies in it, and a random one."""

from __future__ import annotations

import math
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...neural_blocks.errors import InvalidInput, shown
from .noise import normal

FEW = 8  # numbers that are compared one by one sooner than all at once


class Odds(spaces.Box):
    """Box(0, 1, (n,)): weights of n alternatives, which a task divides by their sum; no weight at all means equal ones.

    It tells learners that an action is a forecast: they can make one that sums to 1, and compare two of them as such.
    """

    def __init__(self, n: int) -> None:
        super().__init__(0, 1, (n,), np.float32)


def action_shape(space: spaces.Space[Any]) -> tuple[int, ...]:
    """The shape of one environment's action."""
    return tuple(space.shape or ())


def action_dtype(space: spaces.Space[Any]) -> torch.dtype:
    """int64 for Discrete and MultiDiscrete, int8 for MultiBinary, float32 for Box."""
    if isinstance(space, spaces.Box):
        return torch.float32
    if isinstance(space, spaces.MultiBinary):
        return torch.int8
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        return torch.int64
    raise InvalidInput(f"action space must be Discrete, MultiDiscrete, MultiBinary or Box; got {space}")


def bounds(space: spaces.Space[Any]) -> tuple[Any, Any]:
    """The lowest and the highest allowed value: numbers, or arrays of the action's shape."""
    if isinstance(space, spaces.Discrete):
        return int(space.start), int(space.start + space.n - 1)
    if isinstance(space, spaces.MultiDiscrete):
        return space.start, space.start + space.nvec - 1
    if isinstance(space, spaces.MultiBinary):
        return 0, 1
    if isinstance(space, spaces.Box):
        return space.low, space.high
    raise InvalidInput(f"action space must be Discrete, MultiDiscrete, MultiBinary or Box; got {space}")


class ActionCheck:
    """Turns a batch of actions into the tensor a task takes, or raises `InvalidInput` naming the first wrong value.

    Values are checked on the CPU only: on another device a check would wait for the device at every step.

    Args:
        space: the action space of one environment.
        num_envs: B; None for the action of one environment, which comes without a batch axis and gets one.
        device: where the result lives.
        name: the environment's, for messages.
    """

    def __init__(self, space: spaces.Space[Any], num_envs: int | None, device: torch.device, name: str) -> None:
        batch = () if num_envs is None else (num_envs,)
        self.shape, self.dtype = (*batch, *action_shape(space)), action_dtype(space)
        self.device, self.name = device, name
        low, high = bounds(space)
        self._allowed = f"{self._span(low)} to {self._span(high)}"
        plain = isinstance(low, int)  # comparing with a number is quicker than with a tensor
        self._low: Any = low if plain else torch.as_tensor(low).to(self.dtype)
        self._high: Any = high if plain else torch.as_tensor(high).to(self.dtype)
        self._whole, self._batched = not self.dtype.is_floating_point, num_envs is not None
        self._limits = self._plain_limits(low, high) if device.type == "cpu" else None
        self._kind = torch.empty(0, dtype=self.dtype).numpy().dtype

    def _plain_limits(self, low: Any, high: Any) -> tuple[Any, Any] | None:
        """The two numbers between which all values lie, if there are two such numbers."""
        lowest, highest = np.unique(low), np.unique(high)
        return (lowest.item(), highest.item()) if len(lowest) == len(highest) == 1 and 0 not in self.shape else None

    @staticmethod
    def _span(bound: Any) -> str:
        values = np.unique(bound)
        return str(values[0] if len(values) == 1 else np.asarray(bound).tolist())

    def __call__(self, action: Any) -> Tensor:
        """The action as a tensor (B, ...) of the right dtype on the right device."""
        if self._batched and self._limits is not None and self.plain(action) and self.holds(action.numpy()):
            return action
        try:
            tensor = action if isinstance(action, Tensor) else torch.as_tensor(np.asarray(action))
            shape, plain = tuple(tensor.shape), tensor.layout == torch.strided and tensor.device.type != "meta"
        except Exception as error:  # no numbers, rows of different lengths, or a stranger's own complaint
            raise self._no_numbers(action) from error
        if not plain:  # sparse, nested, or without any values
            raise self._no_numbers(action)
        if shape != self.shape:
            raise InvalidInput(f"{self.name}: action must have shape {self.shape}; got {shape}")
        if self._whole and (tensor.is_floating_point() or tensor.is_complex()):
            raise InvalidInput(f"{self.name}: action must be whole numbers; got dtype {tensor.dtype}")
        if tensor.is_complex() or tensor.is_quantized:
            raise InvalidInput(f"{self.name}: action must be real numbers; got dtype {tensor.dtype}")
        if tensor.device.type == "cpu":
            given, tensor = tensor, tensor.long() if tensor.dtype in _UNSIGNED else tensor
            if not self._whole:
                tensor = tensor.to(self.dtype)  # which is what its bounds are in
            within = (tensor >= self._low) & (tensor <= self._high)
            if not bool(within.all()):
                first = (~within).nonzero()[0]
                value = given[tuple(first)].item()
                place = f" in environment {int(first[0])}" if self._batched else ""
                raise InvalidInput(f"{self.name}: action must be from {self._allowed}; got {value}{place}")
        tensor = tensor.to(device=self.device, dtype=self.dtype)
        return tensor if self._batched else tensor.unsqueeze(0)

    def plain(self, action: Any) -> bool:
        """Whether this is a batch of actions as a task takes it, but for its values: found in little time."""
        return (
            type(action) is Tensor
            and action.dtype is self.dtype
            and action.shape == self.shape
            and action.is_cpu
            and not action.requires_grad
            and action.layout is torch.strided
            and action.is_contiguous()
        )

    def within(self, action: Tensor) -> Tensor:
        """The action with its values brought into the space; NaN stays."""
        return action.clamp(self._low, self._high)

    def outside(self, action: Tensor) -> Tensor:
        """() bool: some value lies outside the space, or is NaN."""
        return ~((action >= self._low) & (action <= self._high)).all()

    def holds(self, values: NDArray[Any]) -> bool:
        """Whether an array has the right shape, dtype and values; False also where that takes a closer look."""
        if self._limits is None or values.dtype != self._kind or values.shape != self.shape:
            return False
        low, high = self._limits
        if values.size <= FEW:
            return all(low <= value <= high for value in values.ravel().tolist())
        if low == 0 and self._whole and values.dtype == np.int64:
            return bool(np.maximum.reduce(values.view(np.uint64), None) <= high)  # where negative ones are very large
        return bool(np.minimum.reduce(values, None) >= low and np.maximum.reduce(values, None) <= high)

    def _no_numbers(self, action: Any) -> InvalidInput:
        return InvalidInput(f"{self.name}: action must be numbers of shape {self.shape}; got {shown(action)}")


_UNSIGNED = (torch.uint16, torch.uint32, torch.uint64)
"""What PyTorch cannot compare; as int64 they keep their values, or turn negative where those are too large."""


def action_noise(space: spaces.Space[Any]) -> int:
    """Uniforms that `action_of` takes for one action of a space."""
    return math.prod(action_shape(space))


def action_of(space: spaces.Space[Any], noise: Tensor) -> Tensor:
    """Random actions (B, ...) of a space from uniforms (B, `action_noise`).

    Uniform over a discrete space's values and over the bounded dimensions of a Box; where a Box is open on one side an
    exponential distance from its bound, where it is open on both a standard normal number, as Gymnasium samples.
    """
    noise = noise.reshape(len(noise), *action_shape(space))
    if isinstance(space, spaces.Box):
        return box_quantile(space, noise)
    low, high = (torch.as_tensor(bound, device=noise.device) for bound in bounds(space))
    return (low + (noise * (high - low + 1)).floor()).to(action_dtype(space))


def random_action(
    space: spaces.Space[Any],
    num_envs: int,
    generator: torch.Generator | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Random actions (B, ...) of a space, see `action_of`, from a generator on that device."""
    return action_of(space, torch.rand(num_envs, action_noise(space), generator=generator, device=device))


def box_quantile(space: spaces.Box, uniforms: Tensor) -> Tensor:
    """Numbers of a Box (..., *shape) float32 from uniforms in [0, 1): each by its bounds, see `random_action`."""
    device, whole = uniforms.device, np.dtype(space.dtype).kind in "iu"
    low, high = (torch.as_tensor(bound, dtype=torch.float32, device=device) for bound in bounds(space))
    between = low * (1 - uniforms) + high * uniforms  # never beyond float32, as high - low may be
    if whole:
        between = (between + uniforms).floor()
    if space.is_bounded():
        return torch.clamp(between, low, high)
    below, above = (torch.as_tensor(side, device=device) for side in (space.bounded_below, space.bounded_above))
    tail = -torch.log1p(-uniforms)
    value = normal(uniforms)
    value = torch.where(below, low + tail, torch.where(above, high - tail, value))
    value = torch.where(below & above, between, value)
    return torch.clamp(value.round() if whole else value, low, high)
