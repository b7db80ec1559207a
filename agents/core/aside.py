"""What an evaluation notes of an agent, beside what the environments tell of it."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from ...envs.core.protocol import BatchedEnvironment


class Aside(Protocol):
    """Notes a row of numbers at each step of an evaluation, and says in the end what all of them are worth."""

    def row(self, env: BatchedEnvironment, memory: tuple[Tensor, ...]) -> Tensor:
        """(B, W) float32 of the step that is about to be taken, with the agent's memory; it changes nothing there."""

    def metrics(self, rows: Tensor) -> dict[str, float]:
        """Named numbers of the rows (N, W) of all steps of all episodes, on the CPU."""
