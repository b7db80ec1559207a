"""One function, three ways to run it: eager, compiled, or captured as a CUDA graph."""

from __future__ import annotations

import types
import warnings
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import torch
from torch import Tensor

from ...neural_blocks.errors import InvalidInput, unknown_name
from .program import Function, Program, Signature, address, cannot, own_copy, refuse_change, signature
from .tracing import branch_free
from .tree import leaves, tree_map

MODES = ("auto", "eager", "compiled", "captured")
WARM_UP = 2  # runs before a capture, in which libraries set themselves up


def resolved(what: str, execution: str, device: torch.device | str) -> str:
    """How a device runs things: "eager", "compiled" or "captured"; "auto" is captured on CUDA and eager elsewhere.

    Raises:
        InvalidInput: an unknown mode, or "captured" without a CUDA device; `what` names the caller and the option.
    """
    kind = torch.device(device).type
    if execution not in MODES:
        raise unknown_name(what, execution, MODES)
    if execution == "captured" and kind != "cuda":
        raise InvalidInput(
            f"{what} must be 'auto', 'eager' or 'compiled' on {kind}, as only CUDA has graphs; got 'captured'"
        )
    if execution == "auto":
        return "captured" if kind == "cuda" else "eager"
    return execution


class Unit:
    """A function of a tree of tensors that is run in one of three ways, with the same result.

    ``unit(tree, *inputs)`` gives ``(tree, outputs)``, as `function` does. All that changes must be in the tree, come in
    as an input, or be named by `mutated`: whatever else the function uses is taken to stay as it is.

    * eager: the function as it stands.
    * compiled: one program for the shapes of the first call, by ``torch.compile(fullgraph=True, dynamic=False)``.
    * captured: one CUDA graph. The first call copies its tree into tensors of the unit's own, warms the function up on
      a side stream, puts the tree back and captures it once; each call copies inputs in, replays the graph, in which
      the new tree is copied back in place, and returns that same tree: a caller who keeps a part of it clones it.

    Args:
        function: takes the tree and inputs, trees of tensors too; returns the next tree, of the same shapes, and
            outputs.
        execution: "eager", "compiled" or "captured", as `resolved` gives it.
        name: for messages.
        closed: the function computes from its arguments and from tensors that never change (a task's rules). It is
            then compiled without guards, which a small step would spend most of its time on.
        mutated: gives the tensors beside the tree that the function changes in place (parameters, optimiser state).
        keep: outputs may be kept; without it the next call of a captured unit overwrites them.
        inside: a captured function is compiled first.
        backend: of ``torch.compile``; "aot_eager" traces without generating code.

    Raises:
        InvalidInput: from a call: other shapes or dtypes than at the first one, a function that cannot be compiled or
            captured, or a tree that changes its shapes.
    """

    def __init__(
        self,
        function: Function,
        execution: str,
        *,
        name: str,
        closed: bool = False,
        mutated: Callable[[], Iterable[Tensor]] = tuple,
        keep: bool = True,
        inside: bool = True,
        backend: str = "inductor",
    ) -> None:
        self.name, self.execution = name, execution
        run = function
        if execution == "compiled" or (execution == "captured" and inside):
            run = Program(function, name, backend) if closed else Compiled(function, name, backend)
        self.run: Function = Captured(run, name, mutated, keep) if execution == "captured" else run

    def __call__(self, tree: Any, *inputs: Any) -> tuple[Any, Any]:
        """The next tree, and the outputs."""
        return self.run(tree, *inputs)


class Compiled:
    """A function under ``torch.compile(fullgraph=True, dynamic=False)`` that says so when it compiles a second time."""

    def __init__(self, function: Function, name: str, backend: str) -> None:
        self.name, self._programs = name, 0
        self._first: Signature | None = None
        self._failed: Exception | None = None
        compiler: Any = torch._dynamo.lookup_backend(backend)

        def counted(graph: Any, inputs: Any) -> Any:
            self._programs += 1
            if self._programs > 1:
                self._check_again()
            return compiler(graph, inputs)

        def call(tree: Any, *inputs: Any) -> Any:
            return function(tree, *inputs)

        # The compiler keeps its programs by code object: with one of its own no unit meets another's.
        own: Any = types.FunctionType(call.__code__.replace(), globals(), f"unit_{id(self)}", None, call.__closure__)
        self._call: Any = torch.compile(own, fullgraph=True, dynamic=False, backend=counted)
        self._now: Any = None

    def _check_again(self) -> None:
        assert self._first is not None
        try:
            refuse_change(self.name, "compiled", self._first, signature(self._now))
        except InvalidInput as error:
            self._failed = error
            raise
        warnings.warn(
            f"{self.name}: compiled again though no shape has changed (TORCH_LOGS=recompiles says why)",
            RuntimeWarning,
            stacklevel=2,
        )

    def __call__(self, tree: Any, *inputs: Any) -> tuple[Any, Any]:
        """The next tree, and the outputs."""
        if self._first is None:
            self._first = signature((tree, inputs))
        tree, inputs = _plain((tree, inputs))
        self._now = (tree, inputs)
        try:
            return self._call(tree, *inputs)
        except torch._dynamo.exc.TorchDynamoException as error:
            if self._failed is not None:
                failed, self._failed = self._failed, None
                raise failed from None
            raise cannot(self.name, "compiled", error) from error
        finally:
            self._now = None


class Recorder(Protocol):
    """What captures a computation and replays it: a CUDA graph."""

    def warm(self, closure: Callable[[], Any]) -> None:
        """Runs the closure apart, before the capture."""

    def record(self, closure: Callable[[], Any]) -> Any:
        """Captures what the closure computes and returns its results, which each `replay` fills anew."""

    def replay(self) -> None:
        """Computes again, from what the same tensors hold now."""


class CudaGraph:
    """A `torch.cuda.CUDAGraph` with a memory pool of its own."""

    def __init__(self) -> None:
        self.graph = torch.cuda.CUDAGraph()

    def warm(self, closure: Callable[[], Any]) -> None:
        """Runs on a side stream, so that the capture does not see what libraries allocate once."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            closure()
        torch.cuda.current_stream().wait_stream(side)
        torch.cuda.synchronize()

    def record(self, closure: Callable[[], Any]) -> Any:
        """Captures the closure's kernels."""
        with torch.cuda.graph(self.graph):
            return closure()

    def replay(self) -> None:
        """Launches them all at once."""
        self.graph.replay()


class Captured:
    """A function captured once: its tree lives in tensors of its own and is brought up to date in place."""

    def __init__(
        self,
        function: Function,
        name: str,
        mutated: Callable[[], Iterable[Tensor]] = tuple,
        keep: bool = True,
        recorder: Callable[[], Recorder] = CudaGraph,
    ) -> None:
        self.function, self.name, self.mutated, self.keep = function, name, mutated, keep
        self._make = recorder
        self.graph: Recorder | None = None
        self._tree: Any = None
        self._inputs: list[Tensor] = []
        self._outputs: Any = None
        self._first: Signature = []

    def __call__(self, tree: Any, *inputs: Any) -> tuple[Any, Any]:
        """The unit's own tree, brought up to date, and the outputs."""
        if self.graph is None:
            self._capture(tree, inputs)
        elif tree is not self._tree:
            self._fill(leaves(self._tree), leaves(tree), 0)
        self._fill(self._inputs, leaves(inputs), len(leaves(self._tree)))
        assert self.graph is not None
        self.graph.replay()
        return self._tree, copied(self._outputs) if self.keep else self._outputs

    def _fill(self, static: list[Tensor], given: list[Tensor], place: int) -> None:
        """Copies what is given into the tensors that the graph reads."""
        for old, new in zip(static, given, strict=False):
            if old is not new and (old.shape, old.dtype) != (new.shape, new.dtype):
                break
        else:
            if len(static) == len(given):
                for old, new in zip(static, given, strict=True):
                    if old is not new:
                        old.copy_(new, non_blocking=True)
                return
        refuse_change(self.name, "captured", self._first[place : place + len(static)], signature(tuple(given)))

    def _capture(self, tree: Any, inputs: tuple[Any, ...]) -> None:
        self._first = signature((tree, inputs))
        static, arguments = tree_map(own_copy, tree), tree_map(own_copy, inputs)
        changing = [*leaves(static), *self.mutated()]
        before = [tensor.detach().clone() for tensor in changing]
        graph = self._make()
        try:
            with branch_free():
                for _ in range(WARM_UP):
                    graph.warm(lambda: self.function(static, *arguments))
                with torch.no_grad():
                    for tensor, value in zip(changing, before, strict=True):
                        tensor.copy_(value)
                self._outputs = graph.record(lambda: self._run(static, arguments))
        except InvalidInput:
            raise
        except RuntimeError as error:
            raise cannot(self.name, "captured", error) from error
        self.graph, self._tree, self._inputs = graph, static, leaves(arguments)

    def _run(self, static: Any, arguments: tuple[Any, ...]) -> Any:
        """The function, whose new tree is copied over the old one; what shares memory with that is copied before."""
        following, outputs = self.function(static, *arguments)
        old, new = leaves(static), leaves(following)
        if signature(tuple(old)) != signature(tuple(new)):
            refuse_change(f"{self.name}: the tree it returns", "captured", signature(tuple(old)), signature(tuple(new)))
        memory = {address(tensor) for tensor in (*old, *leaves(arguments))}

        def apart(tensor: Tensor) -> Tensor:
            return tensor.clone() if address(tensor) in memory else tensor

        outputs = tree_map(apart, outputs)
        with torch.no_grad():
            moved = [(one, apart(other)) for one, other in zip(old, new, strict=True) if one is not other]
            for one, other in moved:
                one.copy_(other)
        return outputs


def _plain(tree: Any) -> Any:
    """The tree with a copy of each tensor that it holds twice or that does not lie in memory as its shape says.

    Some trees have such tensors and the next ones not: a program made for the one would be made again for the other.
    """
    seen: set[int] = set()

    def once(tensor: Tensor) -> Tensor:
        plain = tensor.is_contiguous() and id(tensor) not in seen
        seen.add(id(tensor))
        return tensor if plain else own_copy(tensor)

    return tree_map(once, tree)


def copied(tree: Any) -> Any:
    """A copy of a tree on one device, of few launches; tensors that are one stay one."""
    found = {id(leaf): leaf for leaf in leaves(tree)}
    fresh = {key: torch.empty_like(leaf) for key, leaf in found.items()}
    if fresh:
        torch._foreach_copy_(list(fresh.values()), list(found.values()))
    return tree_map(lambda leaf: fresh[id(leaf)], tree)
