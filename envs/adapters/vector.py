"""The Gymnasium vector adapter: one batched step instead of n Python ones."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray
from torch import Tensor

from ...neural_blocks.errors import InvalidInput, shown
from ..checks.options import choice, fresh_seed, integer, seed_or_none
from ..core.observations import batched_observation, metric_values, row_of
from ..core.task import Observation, Task
from ..registry import make_task
from .batched import BatchedEnv
from .batched import autoreset_mode as find_mode
from .screen import FRAMES_PER_SECOND
from .time_limit import TimeLimit

CONVERSIONS = ("ArrayConversion", "NumpyToTorch")
FOR_TENSORS = ("TransformObservation", "TransformAction", "TransformReward", "HumanRendering", "RecordVideo")
"""Gymnasium's wrappers that leave to the user's own function, or to frames, what is computed."""


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
            Gymnasium's wrappers compute in NumPy: `NumpyToTorch` around them gives tensors too.
        device: where the environments live.
        execution: how a step is run; see `BatchedEnv`.
        render_mode: None, "rgb_array" (a tuple of B frames) or "ansi" (of B texts).

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
            choice(f"{task.name}: render_mode", render_mode, ("rgb_array", "ansi"))
        mode = find_mode(task.name, autoreset_mode)
        self.batch = BatchedEnv(task, num_envs, device=device, autoreset=mode, execution=execution)
        self.num_envs, self.mode, self.array, self.render_mode = num_envs, mode, array, render_mode
        self.single_observation_space, self.single_action_space = task.observation_space, task.action_space
        self.observation_space = batch_space(task.observation_space, num_envs)
        self.action_space = batch_space(task.action_space, num_envs)
        self.metadata = {
            "render_modes": ["rgb_array", "ansi"], "render_fps": FRAMES_PER_SECOND, "autoreset_mode": mode,
        }  # fmt: skip
        self._seeded = False
        self._spec: EnvSpec | None = None

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Starts new episodes everywhere, or only where ``options["reset_mask"]`` (B,) bool is true.

        Args:
            seed: row i plays the episodes of seed + i; or one seed a row, None for the next episode of that row. The
                first reset, if it has no seed, draws a fresh one, which `np_random_seed` tells.
            options: with the ``reset_mask``.
        """
        self._check_wrappers()
        rows = None
        if options is not None and "reset_mask" in options:
            rows = self._rows(options["reset_mask"])
        if isinstance(seed, list | tuple | np.ndarray):
            return self._observations(self._reset_each(list(seed), rows)), {}
        seed = seed_or_none(self.batch.name, seed)
        if seed is None and not self._seeded:
            seed = fresh_seed()
        super().reset(seed=seed)
        self._seeded = True
        return self._observations(self.batch.reset(seed, rows=rows)), {}

    def _check_wrappers(self) -> None:
        """Refuses wrappers of Gymnasium that fail on what it gives; they show themselves only as callers of `reset`."""
        frame = sys._getframe(2)
        while isinstance(wrapper := frame.f_locals.get("self"), VectorWrapper) and frame.f_back is not None:
            name, frame = type(wrapper).__name__, frame.f_back
            if not type(wrapper).__module__.startswith("gymnasium.wrappers.vector"):
                continue
            if self.array == "torch" and name not in (*FOR_TENSORS, *CONVERSIONS):
                raise InvalidInput(
                    f"{self.batch.name}: {name} computes in NumPy; leave out array='torch' and put "
                    f"gymnasium.wrappers.vector.NumpyToTorch around {name}"
                )
            if self.array == "numpy" and self.mode is AutoresetMode.SAME_STEP and name in CONVERSIONS:
                raise InvalidInput(
                    f"{self.batch.name}: {name} cannot convert final_obs, an array of objects; with SAME_STEP take "
                    "array='torch' instead"
                )

    def _reset_each(self, seeds: list[Any], rows: Tensor | None) -> Observation:
        """A reset with a seed or None a row."""
        if len(seeds) != self.num_envs:
            raise InvalidInput(
                f"{self.batch.name}: seed must be a list of {self.num_envs} whole numbers or None; got {shown(seeds)}"
            )
        own = [seed_or_none(self.batch.name, seed) for seed in seeds]
        if not self._seeded:
            self._seeded, rows = True, None
            own = [fresh_seed() if seed is None else seed for seed in own]
        among = range(self.num_envs) if rows is None else rows.tolist()
        device = self.batch.device
        seeded = torch.tensor([row for row in among if own[row] is not None], dtype=torch.int64, device=device)
        others = torch.tensor([row for row in among if own[row] is None], dtype=torch.int64, device=device)
        if len(seeded):
            self.batch.reset(torch.tensor([seed or 0 for seed in own], device=device), rows=seeded)
        if len(others):
            self.batch.reset(rows=others)
        return self.batch.observation

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

    @property
    def spec(self) -> EnvSpec | None:
        """What the environment was made from, in values that JSON has."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        if spec is not None:
            spec.kwargs = {name: _plain(value) for name, value in spec.kwargs.items()}
        self._spec = spec

    def expert_action(self) -> Any:
        """(B, ...) the best known actions now. Raises `NoExpert` where there is none."""
        action = self.batch.expert_action()
        return action if self.array == "torch" else action.cpu().numpy()

    def render(self) -> tuple[NDArray[np.uint8] | str, ...] | None:
        """One (480, 480, 3) uint8 frame an environment."""
        if self.render_mode == "ansi":
            return tuple(self.batch.texts())
        return None if self.render_mode is None else tuple(self.batch.frames())


def _plain(value: Any) -> Any:
    """A mode by its value and a device by its name."""
    return value.value if isinstance(value, AutoresetMode) else str(value) if isinstance(value, torch.device) else value


def _with_masks(metrics: dict[str, NDArray[np.float32]], among: NDArray[np.bool_]) -> dict[str, Any]:
    infos: dict[str, Any] = {}
    for name, values in metrics.items():
        known = among & ~np.isnan(values)
        if known.any():
            infos |= {name: np.where(known, values, 0), f"_{name}": known}
    return infos


def make_vector(
    task_id: str, num_envs: int = 1, max_episode_steps: int | None = None, **options: Any
) -> PalaestraVectorEnv:
    """Gymnasium's entry point: ``gymnasium.make_vec(id, num_envs, autoreset_mode=..., array=..., **options)``.

    ``max_episode_steps`` truncates episodes earlier than the task does; -1 leaves that to the task.
    """
    names = ("autoreset_mode", "array", "device", "execution", "render_mode")
    own = {name: options.pop(name) for name in names if name in options}
    task = make_task(task_id, **options)
    if max_episode_steps not in (None, -1):
        task = TimeLimit(task, integer(f"{task.name}: max_episode_steps", max_episode_steps, 1))
    return PalaestraVectorEnv(task, num_envs, **own)
