"""Steps of a batch on the CPU as compiled programs, which judge the actions and leave out what no episode needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from gymnasium.vector import AutoresetMode
from torch import Tensor

from ..core.actions import ActionCheck
from ..core.batch import Advance, Batch
from ..core.game import GameActionCheck
from ..core.program import Flat, Program
from ..core.protocol import TimeStep
from ..core.tree import leaves

ENDED = 1  # the place of `Batch.ended` among a batch's tensors
SOME_ENDED, SOME_WRONG = 1, 2  # bits of the word that a program says about its step


class Watched:
    """A step that says beside its results, as one number, whether an episode has ended and whether an action is wrong.

    Values outside the action space are brought into it, so that what is computed from them is discarded unharmed.
    """

    def __init__(
        self, step: Callable[[Batch, Any], tuple[Batch, TimeStep]], check: ActionCheck | GameActionCheck
    ) -> None:
        self.step, self.check = step, check

    def __call__(self, batch: Batch, action: Any) -> tuple[Batch, tuple[TimeStep, Tensor]]:
        """The next batch, and the step with the word () int8."""
        following, step = self.step(batch, self.check.within(action))
        word = SOME_WRONG * self.check.outside(action).to(torch.int8) + following.ended.any().to(torch.int8)
        return following, (step, word)


class CompiledBatch:
    """What `Program` makes of an `Advance`, for the CPU, where looking at a result costs nothing.

    Whether an episode has ended, and whether an action lies outside its space, are computed by the program and come
    back as one number. Where no episode has ended no beginning is computed: that is a program of its own. Where all
    of them end with their first step there is one program.

    Args:
        advance: the rules, with what happens at an episode's end.
        check: of the actions.
        name: for messages.
        backend: of the compiler.
    """

    def __init__(
        self, advance: Advance, check: ActionCheck | GameActionCheck, name: str, backend: str = "inductor"
    ) -> None:
        self.autoreset, self.check = advance.autoreset, check
        whole = Program(Watched(advance, check), name, backend, native=True)
        self.at_once = advance.task.horizon == 1 and self.autoreset is AutoresetMode.SAME_STEP
        self.play = whole if self.at_once else Program(Watched(advance.play, check), name, backend, native=True)
        self.restart = Program(advance.restart, name, backend)  # after a step, under SAME_STEP
        self.whole = whole  # in place of a step, under NEXT_STEP

    def flattened(self, batch: Batch, action: Any) -> Flat:
        """The batch's tensors; compiles the programs at the first call. Raises as `Program.flattened`."""
        if self.autoreset is AutoresetMode.SAME_STEP and not self.at_once:
            self.restart.flattened(batch)
        elif self.autoreset is AutoresetMode.NEXT_STEP:
            self.whole.flattened(batch, action)
        return self.play.flattened(batch, action)

    def step(self, flat: Flat, action: Any) -> tuple[Flat, TimeStep] | None:
        """The next batch's tensors and the step, from a batch's tensors and actions; None where an action is wrong.

        Args:
            flat: of the batch.
            action: of the right shape and dtype, see `ActionCheck.plain`.
        """
        given = [*flat, action] if isinstance(action, Tensor) else [*flat, *leaves(action)]
        restarts = self.autoreset is AutoresetMode.NEXT_STEP and flat[ENDED].numpy().any()
        following, (step, word) = (self.whole if restarts else self.play).flat(given)
        said = word.item()
        if said >= SOME_WRONG:
            return None
        if said and self.autoreset is AutoresetMode.SAME_STEP:
            following, _ = self.restart.flat(following)
            step = replace(step, observation=self.restart.unflattened(following).observation)
        return following, step

    def unflattened(self, tensors: Flat) -> Batch:
        """The batch of these tensors."""
        batch: Batch = self.play.unflattened(tensors)
        return batch
