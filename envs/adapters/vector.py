"""The Gymnasium vector adapter: one batched step instead of n Python ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray
from torch import Tensor

from ...neural_blocks.errors import InvalidInput
from ..core.observations import batched_observation, metric_values, row_of
from ..core.options import choice, seed_or_none
from ..core.task import Observation, Task
from ..registry import make_task
from .batched import BatchedEnv
from .batched import autoreset_mode as find_mode
from .screen import FRAMES_PER_SECOND


class PalaestraVectorEnv(VectorEnv[Any, Any, Any]):
    """B environments of a task as a `gymnasium.vector.VectorEnv`; row i plays the episodes of seed + i.

    ``infos`` is what Gymnasium's `SyncVectorEnv` gives: the task's metrics, each with its ``_metric`` mask; under
    SAME_STEP, where an episode has ended, the metrics are in ``final_info`` and the observation before the reset in
    ``final_obs`` (an array of objects, None elsewhere). With ``array="torch"`` metrics are tensors, NaN where there is
    none, and ``final_obs`` is a batched tensor, always there, with the mask ``_final_obs``.

    Args:
        task: the rules.
        num_envs: B.
        autoreset_mode: NEXT_STEP (as Gymnasium's wrappers expect), SAME_STEP, or DISABLED with
            ``reset(options={"reset_mask": mask})``.
        array: "numpy", or "torch" for tensors on `device` that are never copied.
        device: where the environments live.
        execution: how a step is run; see `BatchedEnv`.
        render_mode: None or "rgb_array" (a tuple of B frames).

    Raises:
        InvalidInput: an unknown mode, or an action of a wrong shape or value.
    """

    def __init__(
        self,
        task: Task[Any],
        num_envs: int,
        *,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        array: str = "numpy",
        device: torch.device | str = "cpu",
        execution: str = "auto",
        render_mode: str | None = None,
    ) -> None:
        choice(f"{task.name}: array", array, ("numpy", "torch"))
        if render_mode is not None:
            choice(f"{task.name}: render_mode", render_mode, ("rgb_array",))
        mode = find_mode(task.name, autoreset_mode)
        self.batch = BatchedEnv(task, num_envs, device=device, autoreset=mode, execution=execution)
        self.num_envs, self.mode, self.array, self.render_mode = num_envs, mode, array, render_mode
        self.single_observation_space, self.single_action_space = task.observation_space, task.action_space
        self.observation_space = batch_space(task.observation_space, num_envs)
        self.action_space = batch_space(task.action_space, num_envs)
        self.metadata = {
            "render_modes": ["rgb_array"], "render_fps": FRAMES_PER_SECOND, "autoreset_mode": mode,
        }  # fmt: skip
        self._seeded = False

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Starts new episodes everywhere, or only where ``options["reset_mask"]`` (B,) bool is true."""
        if not isinstance(seed, list | tuple | np.ndarray):
            seed = seed_or_none(self.batch.name, seed)
        super().reset(seed=seed if isinstance(seed, int) else None)
        if seed is None and not self._seeded:
            seed = int(self.np_random.integers(2**31))
        self._seeded = True
        seeds = self._per_row(seed) if isinstance(seed, list | tuple | np.ndarray) else seed
        rows = None
        if options is not None and "reset_mask" in options:
            rows = self._rows(options["reset_mask"])
        return self._observations(self.batch.reset(seeds, rows=rows)), {}

    def _per_row(self, seed: Any) -> Tensor:
        if len(seed) != self.num_envs or any(value is None for value in seed):
            raise InvalidInput(f"{self.batch.name}: seed must be a list of {self.num_envs} whole numbers; got {seed!r}")
        return torch.tensor([seed_or_none(self.batch.name, value) for value in seed])

    def _rows(self, mask: Any) -> Tensor:
        mask = np.asarray(mask)
        if mask.dtype != np.bool_ or mask.shape != (self.num_envs,) or not mask.any():
            raise InvalidInput(
                f"{self.batch.name}: reset_mask must be bool of shape ({self.num_envs},) with at least one True; "
                f"got {mask.dtype} {mask.shape} with {int(mask.astype(bool).sum())} True"
            )
        return torch.from_numpy(mask.nonzero()[0]).to(self.batch.device)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """One step of every environment, observations, rewards, terminations, truncations and infos."""
        step = self.batch.step(actions)
        if self.array == "torch":
            infos: dict[str, Any] = dict(step.metrics)
            if self.mode is AutoresetMode.SAME_STEP:
                infos |= {"final_obs": step.final_observation, "_final_obs": step.done}
            return step.observation, step.reward, step.terminated, step.truncated, infos
        metrics = metric_values(step.metrics)
        terminated, truncated = step.terminated.cpu().numpy(), step.truncated.cpu().numpy()
        ended = (terminated | truncated) & (self.mode is AutoresetMode.SAME_STEP)
        infos = _with_masks(metrics, ~ended)
        if ended.any():
            seen, final = batched_observation(step.final_observation), np.full(self.num_envs, None, dtype=object)
            for row in ended.nonzero()[0]:
                final[row] = row_of(seen, row)
            infos |= {
                "final_obs": final,
                "_final_obs": ended,
                "final_info": _with_masks(metrics, ended),
                "_final_info": ended,
            }
        observation = self._observations(step.observation)
        return observation, step.reward.cpu().numpy().astype(np.float64), terminated, truncated, infos

    def _observations(self, observation: Observation) -> Any:
        if self.array == "torch":
            return observation
        return batched_observation(observation)

    def expert_action(self) -> Any:
        """(B, ...) the best known actions now. Raises `NoExpert` where there is none."""
        action = self.batch.expert_action()
        return action if self.array == "torch" else action.cpu().numpy()

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """One (480, 480, 3) uint8 frame an environment."""
        return None if self.render_mode is None else tuple(self.batch.frames())


def _with_masks(metrics: dict[str, NDArray[np.float32]], among: NDArray[np.bool_]) -> dict[str, Any]:
    infos: dict[str, Any] = {}
    for name, values in metrics.items():
        known = among & ~np.isnan(values)
        if known.any():
            infos |= {name: np.where(known, values, 0), f"_{name}": known}
    return infos


def make_vector(task_id: str, num_envs: int = 1, **options: Any) -> PalaestraVectorEnv:
    """Gymnasium's entry point: ``gymnasium.make_vec(id, num_envs, autoreset_mode=..., array=..., **options)``."""
    names = ("autoreset_mode", "array", "device", "execution", "render_mode")
    own = {name: options.pop(name) for name in names if name in options}
    return PalaestraVectorEnv(make_task(task_id, **options), num_envs, **own)
