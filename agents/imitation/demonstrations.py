"""What imitation learns from: observations with the expert's actions beside them, kept as sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from ...envs.core.task import Observation
from ...envs.core.tree import leaves, tree_map
from ..core.randomness import REPLAY, Randomness
from ..learning.rollout import sequences
from ..networks.network import Memory

Steps = TypeVar("Steps")


@dataclass(frozen=True)
class Demonstration:
    """T steps of B environments, labelled.

    Attributes:
        observation: (T, B, ...).
        start: (T, B) bool, the first observation of an episode.
        label: (T, B, ...) the expert's actions, in the action space.
        reward: (T, B) float32 what each brought; None where it is not known.
        terminated: (T, B) bool, the task ended with it; likewise.
        following: (T, B, ...) what the step led to, before any reset; likewise.
    """

    observation: Observation
    start: Tensor
    label: Tensor
    reward: Tensor | None = None
    terminated: Tensor | None = None
    following: Observation | None = None


@dataclass(frozen=True)
class LabelledRollout:
    """What T steps of B environments gave, with the expert's action beside each observation.

    Attributes:
        observation: (T, B, ...) what was acted on.
        start: (T, B) bool, the first observation of an episode.
        label: (T, B, ...) the expert's raw actions, as the policy's distribution has them.
        reward: (T, B).
        done: (T, B) bool: an episode ended with this step.
        memory: the learner's memory before each sequence, each part (N, ...).
        metrics: named (T, B) values of the environment, NaN where there is none.
    """

    observation: Observation
    start: Tensor
    label: Tensor
    reward: Tensor
    done: Tensor
    memory: Memory
    metrics: dict[str, Tensor]


@dataclass(frozen=True)
class Sequences:
    """N labelled sequences of L steps side by side, and the learner's memory before each.

    Attributes:
        observation: (N, L, ...).
        start: (N, L) bool, the first observation of an episode.
        label: (N, L, ...) raw actions, as the policy's distribution has them.
        memory: each part (N, ...).
        group: (N, L) int64 of each step, and
        importance: (N, L), see `robustness.shift`; None where steps are not told apart.
    """

    observation: Observation
    start: Tensor
    label: Tensor
    memory: Memory
    group: Tensor | None = None
    importance: Tensor | None = None


class Aggregate:
    """The newest labelled sequences, kept on the device: DAgger's data set, with a bound.

    Args:
        capacity: sequences kept; the oldest are overwritten.
        device: where they are kept, and counted.
    """

    def __init__(self, capacity: int, device: torch.device | str = "cpu") -> None:
        self.capacity = capacity
        self.added = torch.zeros((), dtype=torch.int64, device=device)  # sequences ever added
        self.kept: Sequences | None = None

    def __len__(self) -> int:
        return int(self.added.clamp(max=self.capacity))

    @property
    def tensors(self) -> list[Tensor]:
        """All that adding changes in place."""
        return [self.added, *([] if self.kept is None else leaves(self.kept))]

    def add(self, sequences: Sequences) -> None:
        """Adds N sequences, or the last `capacity` of them if they are more."""
        count = len(sequences.start)
        skipped = max(0, count - self.capacity)
        if self.kept is None:
            self.kept = self._room(sequences)
        rows = (self.added + torch.arange(skipped, count, device=self.added.device)) % self.capacity
        for kept, new in zip(leaves(self.kept), leaves(sequences), strict=True):
            kept.index_copy_(0, rows, new[skipped:])
        self.added += count

    def sample(self, count: int, randomness: Randomness) -> Sequences:
        """Sequences drawn uniformly, with replacement."""
        assert self.kept is not None
        rows = randomness.integers(REPLAY, 1, count, self.added.clamp(max=self.capacity))[0]
        return tree_map(lambda kept: kept.index_select(0, rows), self.kept)

    def state_dict(self) -> dict[str, Any]:
        """The sequences kept, and how many there ever were."""
        kept = None if self.kept is None else vars(tree_map(lambda tensor: tensor[: len(self)].clone(), self.kept))
        return {"added": self.added.clone(), "kept": kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues where a saved one of the same capacity stood."""
        self.added.copy_(state["added"])
        self.kept = None
        if state["kept"] is not None:
            saved = tree_map(lambda tensor: tensor.to(self.added.device), Sequences(**state["kept"]))
            self.kept = self._room(saved)
            for kept, tensor in zip(leaves(self.kept), leaves(saved), strict=True):
                kept[: len(self)] = tensor

    def _room(self, like: Sequences) -> Sequences:
        return tree_map(lambda tensor: tensor.new_zeros(self.capacity, *tensor.shape[1:]), like)


def side_by_side(steps: Steps, length: int) -> Steps:
    """Observations, starts, labels and so on (T, B, ...), T a multiple of `length`, as sequences (N, length, ...)."""
    return tree_map(lambda part: part.transpose(0, 1), sequences(steps, length))
