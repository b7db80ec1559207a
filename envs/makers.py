"""Environments of an id for this suite, Stable-Baselines3 and PettingZoo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from .adapters.batched import BatchedEnv
from .registry import make_game, make_task

if TYPE_CHECKING:
    from .adapters.parallel import PalaestraParallelEnv
    from .adapters.sb3 import SB3VecEnv


def make_batched(
    id: str,
    num_envs: int,
    device: torch.device | str = "cpu",
    seed: int | None = None,
    execution: str = "auto",
    **options: Any,
) -> BatchedEnv:
    """B environments of an id, or of "module:Class", as torch tensors on one device. Raises as `make_task`.

    Without a seed they draw a fresh one, which the attribute `seed` tells.
    ``execution`` is "auto", "eager", "compiled" or "captured"; see `BatchedEnv`.
    """
    return BatchedEnv(make_task(id, **options), num_envs, device=device, seed=seed, execution=execution)


def make_sb3(
    id: str, num_envs: int, *, device: str = "cpu", seed: int | None = None, execution: str = "auto", **options: Any
) -> SB3VecEnv:
    """B environments of an id, or of "module:Class", as a Stable-Baselines3 `VecEnv`. Raises as `make_task`."""
    from .adapters.sb3 import SB3VecEnv

    return SB3VecEnv(make_batched(id, num_envs, device, seed, execution, **options))


def make_parallel(id: str, *, render_mode: str | None = None, **options: Any) -> PalaestraParallelEnv:
    """The game of an id, or of "module:Class", as a PettingZoo `ParallelEnv`. Raises as `make_game`."""
    from .adapters.parallel import PalaestraParallelEnv

    return PalaestraParallelEnv(make_game(id, **options), render_mode)
