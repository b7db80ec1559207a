"""Pointing policies: attention among the things observed, and for each the logit of choosing it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium.spaces as spaces
import numpy as np
import torch
from torch import Tensor, nn

from ....envs.core.task import Observation
from ....neural_blocks.errors import InvalidInput
from ....neural_blocks.perception.mlp import MLP
from ....neural_blocks.sequence.transformer import Encoder
from ..masking import MASK, allowed, is_masked
from ..network import make_encoder
from .actor import WholeActor, WholeActorCritic

HEADS = 4  # of each layer of attention


class Rows(nn.Module):
    """What is observed as one row of features for each of N things: (B, ...) to (B, N, features).

    Args:
        space: MultiDiscrete of N equal runs of choices, or a Box, MultiBinary or MultiDiscrete whose first axis is N;
            or a Dict of which at least one part is such; of the others every row holds all.
        count: N.

    Raises:
        InvalidInput: nothing in the space has N rows.
    """

    def __init__(self, space: spaces.Space[Any], count: int) -> None:
        super().__init__()
        parts = space.spaces if isinstance(space, spaces.Dict) else {"": space}
        parts = {name: part for name, part in parts.items() if name != MASK}
        sizes = [_row_of(part, count) for part in parts.values()]
        if not any(sizes):
            told = f"{type(space).__name__} {space.shape or ''}".strip()
            wanted = f"an observation of {count} rows, one for each value of the action"
            raise InvalidInput(f"network: 'pointer' needs {wanted}; got {told}")
        self.names, self.count, self.whole = list(parts), count, isinstance(space, spaces.Dict)
        self.in_rows = [size > 0 for size in sizes]
        kinds = ["flat" if size else "auto" for size in sizes]
        self.parts = nn.ModuleList(map(make_encoder, parts.values(), kinds))
        features = [int(getattr(part, "output_size")) for part in self.parts]  # noqa: B009
        self.output_size = sum(size if size else whole for size, whole in zip(sizes, features, strict=True))

    def forward(self, x: Observation) -> Tensor:
        """(B, ...) to (B, N, features)."""
        seen = x if isinstance(x, dict) else {"": x}
        found = []
        for name, part, in_rows in zip(self.names, self.parts, self.in_rows, strict=True):
            features = part(seen[name])
            one = features.unflatten(1, (self.count, -1)) if in_rows else features[:, None].expand(-1, self.count, -1)
            found.append(one)
        return torch.cat(found, -1)


class PointerActor(WholeActor):
    """Self-attention among things in no order (Vinyals et al., 2015; Kool et al., 2019), and a logit of each.

    What holds of one thing holds of all: if the things change places, so do their logits.

    Args:
        observation_space: with a row for each thing, see `Rows`; an `action_mask` in it is kept to.
        action_space: Discrete, which of them.
        widths: of the layers of attention, equal and a multiple of 4.

    Raises:
        InvalidInput: other spaces or widths.
    """

    def __init__(
        self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any], widths: Sequence[int]
    ) -> None:
        super().__init__()
        if not isinstance(action_space, spaces.Discrete):
            raise InvalidInput(f"network: 'pointer' needs a Discrete action; got {type(action_space).__name__}")
        if not widths or len(set(widths)) > 1 or widths[0] % HEADS:
            wanted = f"the layers' width, a multiple of {HEADS}, once for each layer"
            raise InvalidInput(f"network: 'pointer' needs hidden to be {wanted}; got {tuple(widths)}")
        self.rows = Rows(observation_space, int(action_space.n))
        self.masked = is_masked(observation_space, action_space)
        width = widths[0]
        self.inward = MLP(self.rows.output_size, (2 * width,), width, activation="relu")
        self.attention = Encoder(width, HEADS, len(widths), 2 * width)
        self.actor = MLP(width, (), 1, output_gain=0.01)  # an even policy to begin with

    def maps(self, observation: Observation) -> tuple[Tensor, Tensor]:
        """Observations (B, ...) to logits (B, N) and the things' features (B, N, width)."""
        things = self.attention(self.inward(self.rows(observation)))
        logits: Tensor = self.actor(things).squeeze(-1)
        return (allowed(logits, observation) if self.masked else logits), things


class PointerActorCritic(WholeActorCritic, PointerActor):
    """The same, and a value from the mean of the things' features. Arguments as of `PointerActor`."""

    def __init__(
        self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any], widths: Sequence[int]
    ) -> None:
        super().__init__(observation_space, action_space, widths)
        self.critic = MLP(widths[0], (widths[0],), 1, activation="relu")

    def value(self, further: Tensor) -> Tensor:
        """Values (B,) of the things' features (B, N, width)."""
        value: Tensor = self.critic(further.mean(1)).squeeze(-1)
        return value


def _row_of(space: spaces.Space[Any], count: int) -> int:
    """Features of each of `count` rows that a part of an observation consists of; 0 where it has no such rows."""
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.size % count == 0:
        rows = space.nvec.reshape(count, -1)
        return int(rows[0].sum()) if (rows == rows[0]).all() else 0
    if isinstance(space, spaces.Box | spaces.MultiBinary) and (space.shape or (0,))[0] == count:
        return int(np.prod(space.shape)) // count
    return 0
