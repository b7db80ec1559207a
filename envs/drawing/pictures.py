"""A plain picture of any observation, for tasks that have none of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium.spaces as spaces
from torch import Tensor

if TYPE_CHECKING:
    from .canvas import Canvas

LINE = 28  # pixels of a name above its part
MOST = 128  # numbers that bars can show side by side


def draw_observation(space: spaces.Space[Any], observation: Any, canvas: Canvas) -> None:
    """Draws one environment's observation: images as they are, numbers as bars, symbols and choices on cards.

    Args:
        space: of the observation.
        observation: a tensor, or a dict of tensors for a Dict space, without the environment axis.
        canvas: what is drawn on.
    """
    parts = _parts(space, observation)
    height = (canvas.height - 40) // len(parts)
    for number, (name, part, seen) in enumerate(parts):
        top = 20 + number * height
        canvas.text(name or "what you see", (canvas.width // 2, top + LINE // 2), size=22, anchor="center")
        _draw(part, seen, (20, top + LINE, canvas.width - 40, height - LINE - 6), canvas)


def _parts(space: spaces.Space[Any], observation: Any, name: str = "") -> list[tuple[str, spaces.Space[Any], Tensor]]:
    """The parts of a nested observation: their names, spaces and tensors."""
    if not isinstance(space, spaces.Dict):
        return [(name, space, observation)]
    return [part for key, inner in space.items() for part in _parts(inner, observation[key], f"{name} {key}".strip())]


def _draw(space: spaces.Space[Any], seen: Tensor, rect: tuple[int, int, int, int], canvas: Canvas) -> None:
    if seen.ndim in (2, 3) and str(seen.dtype) == "torch.uint8":
        image = seen if seen.ndim == 2 or seen.shape[0] in (1, 3) or seen.shape[2] == 3 else seen[:1]
        canvas.image(image, rect)
    elif isinstance(space, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
        canvas.cards([str(int(value)) for value in seen.flatten()[:MOST]], rect)
    else:
        canvas.bars(seen.flatten().float()[:MOST], rect)
