"""Actions that an environment does not allow now: a part of its observation says which (Huang and Ontañón, 2022)."""

from __future__ import annotations

import math
from typing import Any

import gymnasium.spaces as spaces
import torch
from torch import Tensor

from ...envs.core.task import Observation
from ...neural_blocks.errors import InvalidInput

MASK = "action_mask"


def is_masked(observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> bool:
    """Whether observations hold an `action_mask` for the choices of an action space.

    It is a Dict's part of that name, MultiBinary or a Box, with one entry for each value of a Discrete action, or for
    each value of each choice of a MultiDiscrete one, side by side; 0 where the value is not allowed.

    Raises:
        InvalidInput: a mask with another number of entries.
    """
    if not isinstance(observation_space, spaces.Dict) or MASK not in observation_space.spaces:
        return False
    if isinstance(action_space, spaces.Discrete):
        wanted = int(action_space.n)
    elif isinstance(action_space, spaces.MultiDiscrete):
        wanted = int(action_space.nvec.sum())
    else:
        return False  # of other actions there is nothing to choose from: the part is seen as any other
    found = math.prod(observation_space[MASK].shape or ())
    if found != wanted:
        raise InvalidInput(f"{MASK} must have an entry for each of {wanted} values of the action; got {found}")
    return True


def allowed(logits: Tensor, observation: Observation) -> Tensor:
    """The logits (..., n) with minus infinity where the observation's mask (..., *shape) is 0.

    A mask that allows nothing is left aside, as what follows an episode's end may have one.
    """
    assert isinstance(observation, dict)
    mask = observation[MASK].reshape(logits.shape) != 0
    return torch.where(mask | ~mask.any(-1, keepdim=True), logits, -torch.inf)
