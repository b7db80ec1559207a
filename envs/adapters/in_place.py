"""A closed function as a compiled program that works in memory of its own and allocates nothing that it returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ...neural_blocks.errors import InvalidInput
from ..core.program import Flat, Function, address, cannot, compiled, own_copy, refuse_change, signature
from ..core.tracing import branch_free
from ..core.tree import leaves, tree_map


class InPlace:
    """A closed function that overwrites its tree and its outputs: the tensors stay, what they hold changes.

    Every ``run()`` reads `tree` and `inputs`, and puts the next tree and the outputs where the last ones were. Several
    can work on one tree. A copy of it, and one that was pickled, compiles anew.

    Args:
        function: takes the tree and inputs, and returns the next tree, of the same shapes, and outputs; as of `Program`
            it depends on nothing else that changes.
        name: for messages.
        tree, inputs: trees of contiguous tensors, each in memory of its own.
        backend: "inductor", or another name for a trace that runs as operators.

    Attributes:
        outputs: the tree of outputs; holds the last run's.

    Raises:
        InvalidInput: from the first run: the function cannot be compiled, or returns a tree of other shapes.
    """

    def __init__(self, function: Function, name: str, tree: Any, *inputs: Any, backend: str = "inductor") -> None:
        self.function, self.name, self.backend = function, name, backend
        self.tree, self.inputs = tree, inputs
        with branch_free(), torch.no_grad():
            following, outputs = function(*tree_map(own_copy, (tree, *inputs)))
        first, now = signature(tree), signature(following)
        refuse_change(f"{name}: the tree it returns", "compiled", first, now)
        self.outputs = tree_map(own_copy, outputs)
        self._memory: Flat = leaves((tree, inputs, self.outputs))
        self._call: Callable[[Flat], Any] | None = None

    def run(self) -> None:
        """The next tree and outputs."""
        if self._call is None:
            self._compile()
        self._call(self._memory)  # type: ignore[misc]

    def _compile(self) -> None:
        arguments, count = (self.tree, *self.inputs), len(leaves((self.tree, self.inputs)))

        def written(*memory: Tensor) -> Flat:
            found, given = iter(memory), {address(tensor) for tensor in memory}
            following, outputs = self.function(*tree_map(lambda _: next(found), arguments))
            places, new = (*memory[: len(leaves(self.tree))], *memory[count:]), leaves((following, outputs))
            pairs = [(place, one) for place, one in zip(places, new, strict=True) if place is not one]
            apart = [(place, one.clone() if address(one) in given else one) for place, one in pairs]
            for place, one in apart:  # what shares memory with a place is copied before that is overwritten
                place.copy_(one)
            return []

        try:
            self._call = compiled(written, self._memory, self.backend)
        except InvalidInput:
            raise
        except Exception as error:  # whatever the tracer or the compiler raises
            raise cannot(self.name, "compiled", error) from error

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the program."""
        return self.__dict__ | {"_call": None}
