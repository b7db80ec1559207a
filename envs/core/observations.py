"""Observations and metrics on their way from torch to NumPy."""

from __future__ import annotations

from typing import Any

import gymnasium.spaces as spaces
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .task import Observation


def batched_observation(observation: Observation) -> Any:
    """(B, ...) NumPy arrays of their own memory, so that who changes them does not change the state."""
    if isinstance(observation, dict):
        return {name: batched_observation(tensor) for name, tensor in observation.items()}
    return observation.cpu().numpy().copy()


def row_of(observations: Any, row: int) -> Any:
    """One environment's part of what `batched_observation` gives."""
    if isinstance(observations, dict):
        return {name: values[row] for name, values in observations.items()}
    return observations[row]


def single_observation(observation: Observation, space: spaces.Space[Any]) -> Any:
    """The only row of a batch of one, as the space has it: an array of its own memory, or an int64 for Discrete."""
    if isinstance(observation, dict):
        assert isinstance(space, spaces.Dict)
        return {name: single_observation(tensor, space[name]) for name, tensor in observation.items()}
    row = observation[0].cpu().numpy()
    return row[()] if isinstance(space, spaces.Discrete) else row.astype(space.dtype)


def metric_values(metrics: dict[str, Tensor]) -> dict[str, NDArray[np.float32]]:
    """(B,) NumPy arrays; a metric that no row has at this step (NaN everywhere) is left out."""
    arrays = {name: tensor.cpu().numpy() for name, tensor in metrics.items()}
    return {name: values for name, values in arrays.items() if not np.isnan(values).all()}
