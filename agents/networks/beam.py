"""Acting by beam search, where an action is the next word of what an observation shows as written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium.spaces as spaces
import torch
from torch import Tensor

from ...neural_blocks.errors import InvalidInput
from ...neural_blocks.language.decoding import beam

END = 0
"""The action that ends what is written."""


def require_writing(name: str, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> None:
    """Nothing, where an action writes a word: the observation is a Dict of ``source`` and ``written``.

    Raises:
        InvalidInput: other spaces.
    """
    parts = observation_space.spaces if isinstance(observation_space, spaces.Dict) else {}
    written = parts.get("written")
    writes = isinstance(action_space, spaces.Discrete) and action_space.start == END
    row = isinstance(written, spaces.MultiDiscrete) and len(written.shape) == 1
    if not (writes and row) or "source" not in parts or len(parts) != 2:
        raise InvalidInput(
            f"{name}: beam above 1 needs a Dict of 'source' and 'written' as observation and a Discrete action; "
            f"got {observation_space} and {action_space}"
        )


def next_word(
    logits: Callable[[dict[str, Tensor]], Tensor],
    observation: dict[str, Tensor],
    width: int,
    normalisation: float = 1.0,
    bonus: float = 0.0,
) -> Tensor:
    """The next word of the best answer that a beam search finds from what is written on.

    Answers are compared by the log-probability of their words and their end, with a bonus for each and divided by a
    power of their number, see `decoding.beam`; one that fills all places ends for certain.

    Args:
        logits: of the next word, (N, V), from a dict of ``source`` (N, ...) and ``written`` (N, L).
        observation: of B environments.
        width: answers kept of each.
        normalisation: the power.
        bonus: nats for each word.

    Returns:
        (B,) int64.
    """
    source, written = observation["source"], observation["written"]
    places = torch.arange(written.shape[1], device=written.device)

    def step(word: Tensor, memory: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        source, written, place = memory
        written = torch.where(places == place[:, None], word[:, None], written)  # at first there is no such place
        place = (written != 0).sum(1)
        following = logits({"source": source, "written": written})
        more = (torch.arange(following.shape[1], device=word.device) != END) & (place == len(places))[:, None]
        return following.masked_fill(more, -torch.inf), (source, written, place)

    nowhere = torch.full_like(written[:, 0], -1)
    settings = {"normalisation": normalisation, "bonus": bonus}
    found, _ = beam(step, (source, written, nowhere), nowhere, written.shape[1] + 1, end=END, width=width, **settings)
    return found[:, 0, 0]
