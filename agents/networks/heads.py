"""The policy of an action space, by the name of its kind."""

from __future__ import annotations

from typing import Any

import gymnasium.spaces as spaces

from ...envs.core.actions import Odds
from ...neural_blocks.errors import InvalidInput
from .autoregressive import AutoregressiveBernoulli, AutoregressiveCategorical, AutoregressiveGaussian
from .distributions import Bernoulli, Categorical, DiagonalGaussian, GaussianMixture, LogisticNormal, MultiCategorical
from .state_dependent import StateDependentGaussian

IN_A_CHAIN = {
    spaces.MultiDiscrete: AutoregressiveCategorical,
    spaces.MultiBinary: AutoregressiveBernoulli,
    spaces.Box: AutoregressiveGaussian,
}


def distribution(space: spaces.Space[Any], head: str = "gaussian", components: int = 5, features: int = 16) -> Any:
    """The policy for an action space: Discrete, MultiDiscrete, MultiBinary, `Odds` or another Box.

    Args:
        space: of the actions.
        head: "gaussian" for each space's plain policy; of a Box "mixture" or "state_dependent"; of a MultiDiscrete
            space, a MultiBinary one or a Box "autoregressive".
        components: of a mixture.
        features: of a state-dependent exploration.

    Raises:
        InvalidInput: another space, or a head that a space does not have.
    """
    odds = isinstance(space, Odds)
    if head == "autoregressive" and not odds and type(space) in IN_A_CHAIN:
        return IN_A_CHAIN[type(space)](space)
    if head == "mixture" and isinstance(space, spaces.Box) and not odds:
        return GaussianMixture(space, components)
    if head == "state_dependent" and isinstance(space, spaces.Box) and not odds:
        return StateDependentGaussian(space, features)
    if head == "autoregressive":
        raise InvalidInput(f"head must be 'gaussian' where an action is no row of choices; got {head!r} and {space}")
    if head != "gaussian":
        raise InvalidInput(f"head must be 'gaussian' where actions are no plain Box; got {head!r} and {space}")
    if isinstance(space, spaces.Discrete):
        return Categorical(space)
    if isinstance(space, spaces.MultiDiscrete):
        return MultiCategorical(space)
    if isinstance(space, spaces.MultiBinary):
        return Bernoulli(space)
    if isinstance(space, spaces.Box):
        return LogisticNormal(space) if odds else DiagonalGaussian(space)
    raise InvalidInput(f"action space must be Discrete, MultiDiscrete, MultiBinary or Box; got {space}")
