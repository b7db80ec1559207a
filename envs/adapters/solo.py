"""One environment compiled to work in place: a step allocates no tensor, and NumPy sees the memory it works in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor

from ..core.actions import ActionCheck, bounds
from ..core.batch import Advance, Batch
from ..core.program import own_copy
from ..core.tree import leaves, tree_map
from .in_place import InPlace

Reader = Callable[[], Any]


class Solo:
    """Steps and resets of a batch of one without autoreset, with what `SingleEnv` gives as their results.

    Args:
        advance: the rules.
        batch: where to begin; it is copied.
        check: turns an action into a tensor (1, ...), or raises.
        backend: of the compiler; see `InPlace`.

    Attributes:
        batch: all that changes, in tensors that each step overwrites.
    """

    def __init__(self, advance: Advance, batch: Batch, check: ActionCheck, backend: str = "inductor") -> None:
        task, self.check = advance.task, check
        self.batch: Batch = tree_map(own_copy, batch)
        self.action = torch.zeros(1, *check.shape, dtype=check.dtype)
        self._play = InPlace(advance.play, task.name, self.batch, self.action, backend=backend)
        self._begin = InPlace(advance.begin, task.name, self.batch, backend=backend)
        self._observation_space, self._action_space = task.observation_space, task.action_space
        self._look()

    def _look(self) -> None:
        """NumPy's views of the memory."""
        step = self._play.outputs
        self._observe = _reader(self.batch.observation, self._observation_space)
        self._reward, self._terminated, self._truncated = (
            cast(Any, memoryview(part.numpy())) for part in (step.reward, step.terminated, step.truncated)
        )
        self._over = cast(Any, self.batch.ended.numpy())
        self._metrics = [(name, part.numpy()) for name, part in step.metrics.items()]
        self._given, self._discrete = self.action.numpy(), isinstance(self._action_space, spaces.Discrete)
        self._low, self._high = bounds(self._action_space)

    @property
    def over(self) -> bool:
        """Whether the episode has ended and no other has begun."""
        return bool(self._over[0])

    def enter(self, batch: Batch) -> None:
        """Goes on from another batch."""
        for own, other in zip(leaves(self.batch), leaves(batch), strict=True):
            own.copy_(other)

    def reset(self) -> Any:
        """Starts the next episode; its first observation."""
        self._begin.run()
        return self._observe()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One step: observation, reward, terminated, truncated, and the metrics that it has."""
        if isinstance(action, int | np.int64):  # the common kinds, judged without a tensor
            plain = self._discrete and self._low <= action <= self._high
        else:
            plain = isinstance(action, np.ndarray) and self.check.holds(action)
        if plain:
            self._given[0] = action
        else:
            self.action.copy_(self.check(action))
        self._play.run()
        info = {name: values[0] for name, values in self._metrics if values[0] == values[0]}  # NaN: there is none
        return self._observe(), self._reward[0], self._terminated[0], self._truncated[0], info

    def __getstate__(self) -> dict[str, Any]:
        """The memory, without NumPy's views of it."""
        views = ("_observe", "_over", "_reward", "_terminated", "_truncated", "_metrics", "_given")
        return {name: value for name, value in self.__dict__.items() if name not in views}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._look()


def _reader(observation: Tensor | dict[str, Tensor], space: spaces.Space[Any]) -> Reader:
    """What gives the only row, as `single_observation` does, from the memory that holds it now."""
    if isinstance(observation, dict):
        assert isinstance(space, spaces.Dict)
        parts = [(name, _reader(tensor, space[name])) for name, tensor in observation.items()]
        return lambda: {name: read() for name, read in parts}
    row = observation[0].numpy()
    if isinstance(space, spaces.Discrete):
        return lambda: row[()]
    return lambda: row.astype(space.dtype)
