"""The Stable-Baselines3 adapter: a batched environment as a `VecEnv`, one batched step instead of n Python ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from ...neural_blocks.errors import InvalidInput
from ..core.observations import batched_observation, metric_values, row_of
from ..core.options import LARGEST_SEED, integer
from .batched import BatchedEnv


class SB3VecEnv(VecEnv):
    """A `BatchedEnv` for Stable-Baselines3.

    ``infos[i]`` holds, where an episode has ended, ``terminal_observation``, ``TimeLimit.truncated`` and the step's
    metrics.

    Args:
        batch: the environments; same-step autoreset, as Stable-Baselines3 expects.
    """

    def __init__(self, batch: BatchedEnv) -> None:
        self.batch = batch
        self.render_mode = "rgb_array"
        super().__init__(batch.num_envs, batch.observation_space, batch.action_space)
        self._actions: NDArray[Any] | None = None

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """The next `reset` starts the episodes of seed + i in row i."""
        if seed is None:
            seed = int(np.random.default_rng().integers(2**31))
        first = integer(f"{self.batch.name}: seed", seed, 0, LARGEST_SEED)
        self._seeds = [first + row for row in range(self.num_envs)]
        return self._seeds

    def reset(self) -> Any:
        """The first observations (B, ...)."""
        seed = self._seeds[0]
        self._reset_seeds()
        self._reset_options()
        return batched_observation(self.batch.reset(seed))

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keeps the actions for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> tuple[Any, NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Observations, rewards, dones and infos of one step of every environment."""
        step = self.batch.step(self._actions)
        terminated, truncated = step.terminated.cpu().numpy(), step.truncated.cpu().numpy()
        dones = terminated | truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if dones.any():
            metrics = metric_values(step.metrics)
            final = batched_observation(step.final_observation)
            for row in dones.nonzero()[0]:
                infos[row] = {
                    "terminal_observation": row_of(final, row),
                    "TimeLimit.truncated": bool(truncated[row]),
                    **{name: float(values[row]) for name, values in metrics.items() if not np.isnan(values[row])},
                }
        return batched_observation(step.observation), step.reward.cpu().numpy(), dones, infos

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """One (480, 480, 3) uint8 frame an environment."""
        return self.batch.frames()

    def close(self) -> None:
        """Nothing is held."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The batch's (or this adapter's) attribute, once for every index."""
        value = getattr(self, attr_name) if attr_name == "render_mode" else getattr(self.batch, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refused: all environments share one batch."""
        raise InvalidInput(
            f"{self.batch.name}: environments share one batch; attribute {attr_name!r} cannot be set for some"
        )

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """Calls the batch's method once and returns its result for every index."""
        result = getattr(self.batch, method_name)(*method_args, **method_kwargs)
        return [result for _ in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """No environment is wrapped."""
        return [False for _ in self._get_indices(indices)]
