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
from .single import FRAMES_PER_SECOND


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
