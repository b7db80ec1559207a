"""Steps of a batch as two compiled programs, so that a step in which no episode begins computes no beginning."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gymnasium.vector import AutoresetMode

from ..core.batch import Advance, Batch
from ..core.program import Flat, Program
from ..core.protocol import TimeStep

ENDED = 1  # the place of `Batch.ended` among a batch's tensors


class InTwo:
    """What `Program` makes of an `Advance`, for the CPU, where looking whether an episode has ended costs nothing.

    Rows that begin are computed for all rows, and only in steps in which there is one.

    Args:
        advance: the rules, with what happens at an episode's end.
        name: for messages.
        backend: of the compiler.
    """

    def __init__(self, advance: Advance, name: str, backend: str = "inductor") -> None:
        self.autoreset = advance.autoreset
        self.play = Program(advance.play, name, backend)
        self.restart = Program(advance.restart, name, backend)  # after a step, under SAME_STEP
        self.whole = Program(advance, name, backend)  # in its place, under NEXT_STEP

    def flattened(self, batch: Batch, action: Any) -> Flat:
        """The batch's tensors; compiles both programs at the first call. Raises as `Program.flattened`."""
        if self.autoreset is AutoresetMode.SAME_STEP:
            self.restart.flattened(batch)
        elif self.autoreset is AutoresetMode.NEXT_STEP:
            self.whole.flattened(batch, action)
        return self.play.flattened(batch, action)

    def flat(self, given: Flat) -> tuple[Flat, TimeStep]:
        """The next batch's tensors and the step, from the tensors of batch and action."""
        if self.autoreset is AutoresetMode.NEXT_STEP and given[ENDED].numpy().any():
            return self.whole.flat(given)
        following, step = self.play.flat(given)
        if self.autoreset is AutoresetMode.SAME_STEP and following[ENDED].numpy().any():
            following, _ = self.restart.flat(following)
            step = replace(step, observation=self.restart.unflattened(following).observation)
        return following, step

    def unflattened(self, tensors: Flat) -> Batch:
        """The batch of these tensors."""
        batch: Batch = self.play.unflattened(tensors)
        return batch
