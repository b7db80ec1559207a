"""Somebody else's goals: what an environment's `compute_reward` says of tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...neural_blocks.errors import InvalidInput, shown


class GoalJudge:
    """What a goal environment of Gymnasium's convention says of goals: `compute_reward` and `compute_terminated`.

    Both are asked once for all goals; one that takes single goals only is asked for each.

    Args:
        env: the environment without its wrappers.
        name: for messages.
    """

    def __init__(self, env: Any, name: str) -> None:
        self.env, self.name = env, name

    def __call__(self, achieved: Tensor, desired: Tensor) -> tuple[Tensor, Tensor | None]:
        """Rewards (N,) float32 and terminations (N,) bool, or None, of goals (N, ...).

        Raises:
            InvalidInput: what the environment raises, or rewards that are not finite numbers.
        """
        reward = self._asked("compute_reward", achieved, desired)
        if not np.isfinite(reward.astype(np.float64)).all():
            raise InvalidInput(f"{self.name}: compute_reward must give finite numbers; got {shown(reward)}")
        ends = None
        if hasattr(self.env, "compute_terminated"):
            ends = torch.from_numpy(self._asked("compute_terminated", achieved, desired).astype(np.bool_))
        given = torch.from_numpy(reward.astype(np.float32)).to(achieved.device)
        return given, None if ends is None else ends.to(achieved.device)

    def _asked(self, method: str, achieved: Tensor, desired: Tensor) -> Any:
        """(N,) what a method gives."""
        ask, goals = getattr(self.env, method), (achieved.cpu().numpy(), desired.cpu().numpy())
        try:
            found = np.asarray(ask(*goals, {}))
        except Exception:  # it may take single goals only
            found = np.empty(0)
        if found.shape == (len(achieved),) and found.dtype.kind in "biuf":
            return found
        try:
            found = np.stack([np.asarray(ask(one, other, {})) for one, other in zip(*goals, strict=True)])
        except Exception as error:  # a stranger's code raises what it likes
            raise InvalidInput(f"{self.name}: {method}() raised {type(error).__name__}: {error}") from error
        if found.shape != (len(achieved),) or found.dtype.kind not in "biuf":
            raise InvalidInput(f"{self.name}: {method}() must give a number for each goal; got {shown(found)}")
        return found
