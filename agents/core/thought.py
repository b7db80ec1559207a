"""What an agent makes of a situation, for those who watch it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Thought:
    """What lies behind an action; what an agent has not is None.

    Attributes:
        probabilities: (B, n) of the actions of a Discrete space, or of a one in each entry of a MultiBinary one.
        action_values: (B, n) what it expects each action of a Discrete space to be worth.
        value: (B,) what it expects the rest of the episode to be worth.
    """

    probabilities: Tensor | None = None
    action_values: Tensor | None = None
    value: Tensor | None = None
