"""The Stable-Baselines3 adapter: a batched environment as a `VecEnv`, one batched step instead of n Python ones."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv

from ...neural_blocks.errors import InvalidInput
from ..checks.options import LARGEST_SEED, fresh_seed, integer
from ..core.observations import batched_observation, metric_values, row_of
from .batched import BatchedEnv
from .screen import FRAMES_PER_SECOND


class SB3VecEnv(VecEnv):
    """A `BatchedEnv` for Stable-Baselines3.

    ``infos[i]`` holds, where an episode has ended, ``terminal_observation``, ``TimeLimit.truncated``, the step's
    metrics, and ``episode``: what `Monitor` tells, its return ``r``, length ``l`` and seconds since the start ``t``.

    Args:
        batch: the environments; same-step autoreset, as Stable-Baselines3 expects.
    """

    def __init__(self, batch: BatchedEnv) -> None:
        self.batch = batch
        self.render_mode = "rgb_array"
        super().__init__(batch.num_envs, batch.observation_space, batch.action_space)
        self.metadata = getattr(batch, "metadata", {"render_modes": ["rgb_array"], "render_fps": FRAMES_PER_SECOND})
        self._actions: NDArray[Any] | None = None
        self._returns, self._lengths = np.zeros(self.num_envs), np.zeros(self.num_envs, np.int64)
        self._began = time.time()

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """The next `reset` starts the episodes of seed + i in row i."""
        if seed is None:
            seed = fresh_seed()
        first = integer(f"{self.batch.name}: seed", seed, 0, LARGEST_SEED)
        self._seeds = [first + row for row in range(self.num_envs)]
        return self._seeds

    def reset(self) -> Any:
        """The first observations (B, ...)."""
        seed = self._seeds[0]
        self._reset_seeds()
        self._reset_options()
        self._returns.fill(0)
        self._lengths.fill(0)
        return batched_observation(self.batch.reset(seed))

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keeps the actions for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> tuple[Any, NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Observations, rewards, dones and infos of one step of every environment."""
        step = self.batch.step(self._actions)
        rewards = step.reward.cpu().numpy()
        terminated, truncated = step.terminated.cpu().numpy(), step.truncated.cpu().numpy()
        dones = terminated | truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        self._returns += rewards
        self._lengths += 1
        if dones.any():
            metrics = metric_values(step.metrics)
            final = batched_observation(step.final_observation)
            for row in dones.nonzero()[0]:
                infos[row] = {
                    **{name: float(values[row]) for name, values in metrics.items() if not np.isnan(values[row])},
                    "terminal_observation": row_of(final, row),
                    "TimeLimit.truncated": bool(truncated[row]),
                    "episode": self._statistics(row),
                }
            self._returns[dones] = self._lengths[dones] = 0
        return batched_observation(step.observation), rewards, dones, infos

    def _statistics(self, row: int) -> dict[str, Any]:
        """What `stable_baselines3.common.monitor.Monitor` says of an episode that has ended."""
        seconds = round(time.time() - self._began, 6)
        return {"r": round(float(self._returns[row]), 6), "l": int(self._lengths[row]), "t": seconds}

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
        """Whether it does what that wrapper does: `Monitor`, whose statistics are in ``infos``, and no other."""
        return [wrapper_class is Monitor for _ in self._get_indices(indices)]
