"""How an agent's work is run: eagerly, in compiled programs, or a whole iteration as one captured graph."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, Protocol

import torch
from torch import Tensor

from ...envs.core.execution import Captured, Compiled, CudaGraph, Recorder
from ...envs.core.program import Program, signature
from ...envs.core.protocol import BatchedEnvironment, TimeStep
from ...envs.core.tree import tree_map
from ..core.agent import Memory

SHAPES = 8  # programs of one function, for as many shapes of its arguments


Made = Callable[[Callable[..., Any]], Callable[..., Any]]


class PerShape:
    """A function made anew for each shape of its arguments, of which there are few (a last, smaller minibatch).

    Args:
        function: takes and returns trees of tensors.
        make: makes what is called of it: `compiled_by` or `program_by`.
    """

    def __init__(self, function: Callable[..., Any], make: Made) -> None:
        self._function, self._make = function, make
        self._programs: dict[Hashable, Callable[..., Any]] = {}

    def __call__(self, *arguments: Any) -> Any:
        """What the function gives."""
        shapes = tuple(signature(arguments))
        if shapes not in self._programs:
            if len(self._programs) == SHAPES:
                self._programs.clear()
            self._programs[shapes] = self._make(self._function)
        return self._programs[shapes](*arguments)

    def forget(self) -> None:
        """Makes it anew at the next call."""
        self._programs.clear()


def compiled_by(name: str, backend: str) -> Made:
    """How a function of which gradients are asked is compiled; `name` is for messages."""
    return lambda function: Compiled(function, name, backend)


def program_by(name: str, backend: str, mutated: Callable[[], Iterable[Tensor]], native: bool = False) -> Made:
    """How a function is made one program without guards, which takes whatever gradients the function asks for.

    What the function reads beside its arguments, and changes in place, which `mutated` gives (weights, moments,
    counters), must stay the same tensors, and no number may change, nor whether networks are in training. `native` as
    of `Program`.
    """

    def make(function: Callable[..., Any]) -> Callable[..., Any]:
        graded = torch.is_grad_enabled()

        def traced(tree: Any, *arguments: Any) -> Any:
            with torch.set_grad_enabled(graded):
                found = function(*arguments)
            return tree, tree_map(Tensor.detach, found)

        program = Program(traced, name, backend, mutated, native)
        return lambda *arguments: program((), *arguments)[1]

    return make


class Interaction:
    """Acting in environments, one step after the other.

    Eager, each step is the agent's choice and ``env.step``. Compiled, the two are one program; in environments that
    only step by themselves (a `GymnasiumBridge`) the choice alone is.

    Args:
        env: where.
        choose: from an observation (B, ...), the memory, starts (B,) bool and further inputs to the action space's own
            action (B, ...), the next memory, and whatever of it is to be kept.
        compiled: makes a compiled function of a function; None to run eagerly.
    """

    def __init__(
        self,
        env: BatchedEnvironment,
        choose: Callable[..., tuple[Any, Memory, Any]],
        compiled: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None,
    ) -> None:
        self.env, self._choose = env, choose
        self._whole = compiled is not None and hasattr(env, "advance")
        if compiled is not None:
            self._advanced = compiled(self._advance)
            self._choose = self._choose if self._whole else compiled(choose)

    def step(self, memory: Memory, *inputs: Any) -> tuple[Memory, Any, TimeStep]:
        """One step of every environment: the memory after it, what the choice keeps, and what came of it."""
        env: Any = self.env
        if self._whole:
            (env.batch, memory), (kept, outcome) = self._advanced((env.batch, tuple(memory)), *inputs)
            return memory, kept, outcome
        action, memory, kept = self._choose(env.observation, memory, env.episode_start, *inputs)
        return memory, kept, env.step(action)

    def _advance(self, tree: Any, *inputs: Any) -> Any:
        """A step as a pure function of the environments and the memory."""
        batch, memory = tree
        env: Any = self.env
        action, memory, kept = self._choose(batch.observation, memory, batch.elapsed == 0, *inputs)
        following, outcome = env.advance(batch, action)
        return (following, tuple(memory)), (kept, outcome)


class Learner(Protocol):
    """What a captured iteration asks of an agent."""

    @property
    def moving(self) -> Any:
        """A tree of tensors that an iteration replaces by others."""

    @moving.setter
    def moving(self, tree: Any) -> None: ...

    def changing(self) -> list[Tensor]:
        """Tensors that an iteration changes in place."""


class Iterations:
    """The iterations of one learner in one batch of environments, each kind of them captured once and then replayed.

    Args:
        learner: the agent.
        env: environments of this suite, whose step can be captured.
        name: for messages.
        recorder: what captures.
    """

    def __init__(self, learner: Learner, env: Any, name: str, recorder: Callable[[], Recorder] = CudaGraph) -> None:
        self.learner, self.env, self._name, self._recorder = learner, env, name, recorder
        self._graphs: dict[Hashable, Captured] = {}

    def run(self, function: Callable[..., Any], *kind: Hashable) -> Any:
        """``function(*kind)``, a tree of tensors that the next iteration of that kind overwrites."""
        if kind not in self._graphs:

            def captured_iteration(tree: Any) -> Any:
                self._take(tree)
                numbers = function(*kind)
                return self._give(), numbers

            name = f"{self._name}: iteration"
            self._graphs[kind] = Captured(captured_iteration, name, self.learner.changing, False, self._recorder)
        tree, numbers = self._graphs[kind](self._give())
        self._take(tree)
        return numbers

    def _give(self) -> Any:
        return self.env.batch, self.learner.moving

    def _take(self, tree: Any) -> None:
        self.env.batch, self.learner.moving = tree
