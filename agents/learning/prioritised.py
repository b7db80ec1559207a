"""Replay that draws most often what was most surprising."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..core.agent import Memory
from ..core.randomness import REPLAY, Randomness
from .replay import Batch, Replay, Transition

LEAST = 1e-6  # added to an error, so that what was right once is still drawn


class PrioritisedReplay(Replay):
    """Proportional prioritised replay (Schaul et al., 2016): drawn as often as |error|^α, and counted the less for it.

    New steps have the largest priority so far. A batch is stratified: the i-th of N draws lies in the i-th of N equal
    shares of all priorities. Arguments and attributes as of `Replay`, in one process.

    Args:
        exponent: α.

    Attributes:
        priorities: (L, B) float32, |error| + 1e-6 of each step, 0 where there is none yet.
        largest: () float32.
    """

    def __init__(self, capacity: int, num_envs: int, device: torch.device, exponent: float) -> None:
        super().__init__(capacity, num_envs, device)
        self.exponent = exponent
        self.priorities = torch.zeros(self.length, num_envs, dtype=torch.float32, device=device)
        self.largest = torch.ones((), dtype=torch.float32, device=device)

    @property
    def tensors(self) -> list[Tensor]:
        """All that writing and ranking change in place."""
        return [*super().tensors, self.priorities, self.largest]

    def write(self, transition: Transition, memory: Memory = ()) -> None:
        """Adds one step of all environments; the oldest step makes room."""
        slot = (self.written % self.length).reshape(1)
        self.priorities.index_copy_(0, slot, self.largest.expand(1, self.num_envs))
        super().write(transition, memory)

    def draw(self, size: int, gamma: float, steps: int, randomness: Randomness, importance: Tensor) -> Batch:
        """Single transitions by their priorities, each with the n steps from it on.

        Args:
            size: N.
            gamma: discount.
            steps: n.
            randomness: of the choice.
            importance: () β: errors count (1 / (number of transitions times their chance))^β of the largest such.
        """
        share = self.priorities.flatten().double() ** self.exponent * (self.priorities.flatten() > 0)
        upto = share.cumsum(0)
        noise = randomness.uniform(REPLAY, 1, size)[0].double()
        wanted = (torch.arange(size, device=self.device) + noise) / size * upto[-1]
        chosen = torch.searchsorted(upto, wanted, right=True).clamp(max=len(upto) - 1)
        chosen = torch.where(share[chosen] > 0, chosen, share.argmax())  # beyond the last one by rounding
        kept = self._kept()
        slot, env = chosen // self.num_envs, chosen % self.num_envs
        age = (slot - self.written + kept) % self.length
        batch = self.batch(age * self.num_envs + env, gamma, steps, None)
        rare = (upto[-1] / (share[chosen] * kept * self.num_envs)) ** importance.double()
        return replace(batch, importance=(rare / rare.max()).float(), chosen=chosen)

    def rank(self, chosen: Tensor, error: Tensor) -> None:
        """Says how large the errors (N,) of drawn transitions were."""
        priority = error.abs() + LEAST
        self.priorities.view(-1).index_copy_(0, chosen, priority)
        self.largest.copy_(torch.maximum(self.largest, priority.max()))

    def state_dict(self) -> dict[str, Any]:
        """The priorities beside the ring's state."""
        kept = int(self._kept())
        own = {"priorities": self.priorities[:kept].clone(), "largest": self.largest.clone()}
        return super().state_dict() | own

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues exactly where a saved one stood."""
        super().load_state_dict(state)
        self.priorities.zero_()
        self.priorities[: len(state["priorities"])] = state["priorities"].to(self.device)
        self.largest.copy_(state["largest"])
