"""Spaces as plain values and tensors, as a checkpoint can hold them, and back."""

from __future__ import annotations

from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ...envs.core.actions import Odds
from ...neural_blocks.errors import InvalidInput


def describe(space: spaces.Space[Any]) -> dict[str, Any]:
    """A space as plain values and tensors. Raises `InvalidInput` for a kind that no agent serves."""
    kind = type(space).__name__
    if isinstance(space, spaces.Box):
        low, high = (torch.from_numpy(np.array(bound)) for bound in (space.low, space.high))
        return {"kind": kind, "low": low, "high": high, "dtype": np.dtype(space.dtype).name}
    if isinstance(space, spaces.Discrete):
        return {"kind": kind, "n": int(space.n), "start": int(space.start)}
    if isinstance(space, spaces.MultiDiscrete):
        sizes, start = (torch.from_numpy(np.array(part, dtype=np.int64)) for part in (space.nvec, space.start))
        return {"kind": kind, "nvec": sizes, "start": start}
    if isinstance(space, spaces.MultiBinary):
        return {"kind": kind, "n": int(space.n) if isinstance(space.n, int | np.integer) else list(space.shape)}
    if isinstance(space, spaces.Dict):
        return {"kind": kind, "parts": {name: describe(part) for name, part in space.items()}}
    raise InvalidInput(f"space must be Box, Discrete, MultiDiscrete, MultiBinary or a Dict of these; got {space}")


def space_of(described: dict[str, Any]) -> spaces.Space[Any]:
    """The space that `describe` was given. Raises `InvalidInput` for what it did not write."""
    try:
        kind = described["kind"]
        if kind == "Odds":
            return Odds(len(described["low"]))
        if kind == "Box":
            low, high = (_array(described[bound]) for bound in ("low", "high"))
            return spaces.Box(low, high, dtype=np.dtype(described["dtype"]).type)
        if kind == "Discrete":
            return spaces.Discrete(described["n"], start=described["start"])
        if kind == "MultiDiscrete":
            return spaces.MultiDiscrete(_array(described["nvec"]), start=_array(described["start"]))
        if kind == "MultiBinary":
            return spaces.MultiBinary(described["n"])
        if kind == "Dict":
            return spaces.Dict({name: space_of(part) for name, part in described["parts"].items()})
    except (KeyError, TypeError, ValueError, AttributeError, AssertionError) as error:
        raise InvalidInput(f"a space must be described by its own parts; got {described!r:.80}") from error
    raise InvalidInput(f"a space must be Box, Discrete, MultiDiscrete, MultiBinary or Dict; got {kind!r:.80}")


def tensors_of(space: spaces.Space[Any], observation: Any) -> Any:
    """One NumPy observation as tensors with a batch axis of 1, (1, ...); a dict of them for a Dict space.

    Raises:
        InvalidInput: an observation of another shape.
    """
    if isinstance(space, spaces.Dict):
        return {name: tensors_of(part, observation[name]) for name, part in space.items()}
    array = np.asarray(observation)
    if array.shape != space.shape:
        raise InvalidInput(f"observation must have shape {space.shape}; got {array.shape}")
    if isinstance(space, spaces.Box):
        dtype = torch.uint8 if space.dtype == np.uint8 else torch.float32
    else:
        dtype = torch.int8 if isinstance(space, spaces.MultiBinary) else torch.int64
    return torch.as_tensor(array, dtype=dtype).unsqueeze(0)


def _array(tensor: Tensor) -> Any:
    return tensor.cpu().numpy()
