"""What an agent will need of memory, reckoned from its settings before anything is made."""

from __future__ import annotations

from typing import Any

import gymnasium.spaces as spaces

from ...envs.checks.room import require_room, space_bytes
from ...envs.core.protocol import BatchedEnvironment

COPIES = 12
"""Of every weight: three networks, each with gradients and two moments of Adam."""


def require_room_for(name: str, config: Any, env: BatchedEnvironment) -> None:
    """Nothing, where there is room for the replay, the rollout and the networks of an agent with these settings.

    Raises:
        InvalidInput: there is less; one line naming the setting.
    """
    seen = space_bytes(env.observation_space)
    step = seen + 64  # an observation and the numbers beside it
    for key, each in (("capacity", 1), ("rollout_steps", env.num_envs), ("n_steps", env.num_envs)):
        if (count := getattr(config, key, None)) is not None:
            require_room(f"{name}: {key} {count}", float(count) * each * step, env.device, "take fewer")
    if "buffer_size" in config.model_fields_set:  # two observations a step, in the memory of the host
        size = float(config.buffer_size) * (step + seen)
        require_room(f"{name}: buffer_size {config.buffer_size}", size, hint="take fewer")
    widths = [*getattr(config, "hidden", ())]
    if getattr(config, "memory", None) is not None:
        widths += [4 * config.memory_size, config.memory_size]  # four gates
    before, weights = float(_features(env.observation_space)), 0.0
    for width in widths:
        weights += before * width
        before = float(width)
    told = f"{name}: a network of widths {', '.join(map(str, widths[:6]))}{', ...' if len(widths) > 6 else ''}"
    require_room(told, 4 * COPIES * weights, env.device, "take narrower ones")


def _features(space: spaces.Space[Any]) -> int:
    """Numbers of an observation."""
    if isinstance(space, spaces.Dict):
        return sum(map(_features, space.values()))
    return space_bytes(space) // (space.dtype.itemsize if space.dtype is not None else 8)
