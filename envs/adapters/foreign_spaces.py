"""Somebody else's spaces as this suite has them: observations as tensors, actions as the environment takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...neural_blocks.errors import InvalidInput, shown
from ...neural_blocks.perception.images import image_layout
from ..core.actions import ActionCheck, bounds

Place = Callable[[int], str]  # from a row to where and when it is, for messages


class Leaf:
    """A part of an observation that is one array.

    A Box becomes float32 or stays uint8, an image in it channel first; Discrete and MultiDiscrete become int64 and
    MultiBinary int8.

    Args:
        space: the environment's.
        path: of the part within the observation, for messages.

    Attributes:
        space: this suite's.
    """

    def __init__(self, space: spaces.Space[Any], path: str) -> None:
        self.path, self.shape = path, tuple(space.shape or ())
        self.layout = image_layout(space, foreign=True)
        self.dtype: Any = np.int64
        if isinstance(space, spaces.Box):
            self.dtype = np.uint8 if space.dtype == np.uint8 else np.float32
        elif isinstance(space, spaces.MultiBinary):
            self.dtype = np.int8
        self.low: Any
        self.high: Any
        self.low, self.high = (0, 255) if isinstance(space, spaces.Box) else bounds(space)
        self.space: spaces.Space[Any] = self._box(space) if isinstance(space, spaces.Box) else space

    def _box(self, space: spaces.Box) -> spaces.Box:
        with np.errstate(over="ignore"):  # bounds beyond float32 are none
            low, high = space.low.astype(self.dtype), space.high.astype(self.dtype)
        if self.layout is not None:
            low, high = self.layout.array(low), self.layout.array(high)
        return spaces.Box(low, high, dtype=self.dtype)

    def __call__(self, values: list[Any], place: Place) -> Tensor:
        """One value a row as a tensor (N, ...).

        Raises:
            InvalidInput: a value of another shape or kind, one that is not finite, or one outside a space of whole
                numbers; with its place.
        """
        try:
            array = np.stack([np.asarray(value) for value in values])
        except (ValueError, TypeError):
            array = np.empty(0)
        if array.shape[1:] != self.shape or len(array) != len(values) or array.dtype.kind not in "biuf":
            raise self._misshapen(values, place)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise self._wrong(array, ~np.isfinite(array), "finite", place)
        if self.dtype == np.float32:
            with np.errstate(over="ignore"):
                single = array.astype(np.float32)
            if array.dtype.itemsize > 4 and not np.isfinite(single).all():
                raise self._wrong(array, ~np.isfinite(single), "of float32's range", place)
        else:
            single = self._whole(array, place)
        tensor = torch.from_numpy(np.ascontiguousarray(single))
        return tensor if self.layout is None else self.layout(tensor).contiguous()

    def _whole(self, array: NDArray[Any], place: Place) -> NDArray[Any]:
        if array.dtype == self.dtype == np.uint8:
            return array
        outside = (array < self.low) | (array > self.high)
        if array.dtype.kind == "f":
            outside |= array != np.rint(array)
        if outside.any():
            low, high = (np.unique(bound).tolist() for bound in (self.low, self.high))
            span = f"from {low[0]} to {high[-1]}"
            raise self._wrong(array, outside, f"whole numbers {span}", place)
        return array.astype(self.dtype)

    def _misshapen(self, values: list[Any], place: Place) -> InvalidInput:
        for row, value in enumerate(values):
            try:
                array = np.asarray(value)
            except (ValueError, TypeError):  # rows of different lengths
                array = np.empty((), dtype=object)
            if array.shape != self.shape or array.dtype.kind not in "biuf":
                kind = f"{array.dtype} {array.shape}" if array.dtype != object else type(value).__name__
                got = kind if array.dtype.kind in "biuf" else f"{kind} {shown(value)}"
                return self._error(f"numbers of shape {self.shape}; got {got} {place(row)}")
        return self._error(f"of one kind in all environments; got {shown(values)} {place(0)}")

    def _error(self, wanted: str) -> InvalidInput:
        return InvalidInput(f"observation{self.path} must be {wanted}")

    def _wrong(self, array: NDArray[Any], wrong: NDArray[Any], wanted: str, place: Place) -> InvalidInput:
        row, *index = (int(i) for i in np.argwhere(wrong)[0])
        at = f" at {tuple(index)}" if index else ""
        return self._error(f"{wanted}; got {array[row][tuple(index)]}{at} {place(row)}")


class Parts:
    """The parts of a Dict, or of a Tuple, which becomes a Dict with the keys "0", "1" and so on.

    Attributes:
        space: this suite's.
    """

    def __init__(self, space: spaces.Dict | spaces.Tuple, path: str) -> None:
        self.path = path
        self.keys: dict[Any, Any] = {}  # from this suite's keys to the environment's own
        own = space.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
        self.parts: dict[str, Leaf | Parts] = {}
        for key, part in own:
            self.keys[str(key)] = key
            self.parts[str(key)] = reader(part, f"{path}[{key!r}]")
        if len(self.keys) < len(space.spaces) or not self.keys:
            raise InvalidInput(f"observation space{path} must have parts with different names; got {shown(space)}")
        self.space: spaces.Space[Any] = spaces.Dict({name: part.space for name, part in self.parts.items()})

    def __call__(self, values: list[Any], place: Place) -> dict[str, Any]:
        """One value a row as a dict of tensors (N, ...). Raises as `Leaf`."""
        return {name: part(list(self._each(name, values, place)), place) for name, part in self.parts.items()}

    def _each(self, name: str, values: list[Any], place: Place) -> Iterator[Any]:
        for row, value in enumerate(values):
            try:
                yield value[self.keys[name]]
            except (KeyError, IndexError, TypeError) as error:
                raise InvalidInput(
                    f"observation{self.path} must have a part {self.keys[name]!r}; got {shown(value)} {place(row)}"
                ) from error


def reader(space: spaces.Space[Any], path: str = "") -> Leaf | Parts:
    """What turns a list of an environment's observations into tensors; its `space` is what they are in.

    Raises:
        InvalidInput: a space, or a part of one, that is neither Box, Discrete, MultiDiscrete nor MultiBinary, nor a
            Dict or Tuple of these.
    """
    if isinstance(space, spaces.Dict | spaces.Tuple):
        return Parts(space, path)
    if isinstance(space, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
        return Leaf(space, path)
    raise InvalidInput(
        f"observation space{path} must be Box, Discrete, MultiDiscrete, MultiBinary, or a Dict or Tuple of these; "
        f"got {shown(space)}"
    )


class Actions:
    """From actions as tensors to what the environment takes: ints for Discrete, else arrays of the space's own dtype.

    What a policy gives in float32 for a Box is rounded to the space's dtype, and lies within its bounds.

    Args:
        space: the environment's.
        num_envs: B.
        name: the environment's, for messages.
    """

    def __init__(self, space: spaces.Space[Any], num_envs: int, name: str) -> None:
        self.space = space
        try:
            self.check = ActionCheck(space, num_envs, torch.device("cpu"), name)
        except InvalidInput as error:
            raise InvalidInput(f"{name}: {error}") from None

    def __call__(self, action: Any) -> NDArray[Any]:
        """Actions (B, ...) of the space's dtype. Raises `InvalidInput` for another shape, kind or value."""
        given = action.detach().cpu() if isinstance(action, Tensor) else np.asarray(action)
        checked = self.check(given)
        if not isinstance(self.space, spaces.Box):
            return checked.numpy().astype(self.space.dtype)
        return boxed(np.asarray(given), self.space)

    def one(self, action: Any) -> Any:
        """What ``env.step`` gets of one row of these."""
        return int(action) if isinstance(self.space, spaces.Discrete) else np.array(action, self.space.dtype)

    def stored(self, actions: list[Any]) -> Tensor:
        """Actions of T steps as a tensor (T, ...) of the space's dtype."""
        return torch.from_numpy(np.array(actions, self.space.dtype).reshape(len(actions), *(self.space.shape or ())))


def boxed(values: NDArray[Any], space: spaces.Box) -> NDArray[Any]:
    """Values (..., *shape) in a Box's own dtype and within its bounds: for whole numbers the nearest ones."""
    dtype: Any = space.dtype
    if dtype.kind == "f":
        return np.clip(values.astype(dtype), space.low, space.high)
    if values.dtype.kind != "f":
        return np.clip(values, space.low, space.high).astype(dtype)
    near = np.rint(values.astype(np.float64))
    low, high = space.low.astype(np.float64), space.high.astype(np.float64)  # may round beyond the dtype's range
    inside = np.where((near > low) & (near < high), near, 0).astype(dtype)
    return np.where(near >= high, space.high, np.where(near <= low, space.low, inside)).astype(dtype)
