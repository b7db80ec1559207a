"""A function of tensors as one compiled program, without the guards that a small step spends its time on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor

from ...neural_blocks.errors import InvalidInput
from .tracing import branch_free
from .tree import leaves, tree_map

Function = Callable[..., tuple[Any, Any]]  # (tree, *inputs) to (tree, outputs)
Flat = list[Tensor]
Signature = list[tuple[torch.Size, torch.dtype, torch.device]]


class Program:
    """A closed function as one compiled program: it depends on its arguments and on tensors that never change.

    ``program(tree, *inputs)`` gives ``(tree, outputs)`` as the function does. What the function closes over (a task's
    data) is part of the program; there is no second one for other shapes.

    Args:
        function: takes and returns a tree of tensors, and outputs.
        name: for messages.
        backend: "inductor", or another name for a trace that runs as operators.
        mutated: gives the tensors beside the tree that the function changes in place.
        native: what launches the kernels is compiled too: half as long again to make, faster for a small step.

    Raises:
        InvalidInput: from a call: the function cannot be compiled, or the arguments' shapes or dtypes have changed.
    """

    def __init__(
        self,
        function: Function,
        name: str,
        backend: str = "inductor",
        mutated: Callable[[], Iterable[Tensor]] = tuple,
        native: bool = False,
    ) -> None:
        self.function, self.name, self.backend = function, name, backend
        self.mutated, self.native = mutated, native
        self._call: Callable[[Flat], Any] | None = None
        self._first: Signature = []
        self._tree: Any = None  # of the shapes returned
        self._following: Any = None  # picks the next tree's tensors from those given and those computed
        self._outputs: Any = None  # builds the outputs from them

    def __call__(self, tree: Any, *inputs: Any) -> tuple[Any, Any]:
        """The next tree, and the outputs."""
        tensors = [*self.flattened(tree, *inputs), *(tensor.contiguous() for tensor in leaves(inputs))]
        following, outputs = self.flat(tensors)
        return self.unflattened(following), outputs

    def flattened(self, tree: Any, *inputs: Any) -> Flat:
        """The tree's tensors, contiguous; compiles the program at the first call, and then checks that it fits."""
        arguments = (tree, *inputs)
        if self._call is None:
            self.compile(arguments)
        refuse_change(self.name, "compiled", self._first, signature(arguments))
        return [tensor.contiguous() for tensor in leaves(tree)]

    def flat(self, given: Flat) -> tuple[Flat, Any]:
        """The next tree's tensors and the outputs, from the contiguous tensors of both; nothing is checked."""
        pool = (*given, *self._call(given))  # type: ignore[misc]
        return list(self._following(pool)), self._outputs(pool)

    def unflattened(self, tensors: Flat) -> Any:
        """The tree of these tensors."""
        found = iter(tensors)
        return tree_map(lambda _: next(found), self._tree)

    def compile(self, arguments: Any) -> None:
        """Makes the program for arguments (tree, *inputs) of these shapes."""
        given = [own_copy(tensor) for tensor in leaves(arguments)]  # a tensor given twice is two inputs
        self._first = signature(arguments)
        returned: list[Any] = []

        def traced(*tensors: Tensor) -> list[Tensor]:
            found = iter(tensors)
            returned[:] = self.function(*tree_map(lambda _: next(found), arguments))
            return self._plan(list(tensors), *returned)

        changing = list(self.mutated())
        before = [tensor.detach().clone() for tensor in changing]
        try:
            self._call = compiled(traced, given, self.backend, self.native)
            with torch.no_grad():  # tracing runs the arithmetic of single numbers
                for tensor, value in zip(changing, before, strict=True):
                    tensor.copy_(value)
        except InvalidInput:
            raise
        except Exception as error:  # whatever the tracer or the compiler raises
            raise cannot(self.name, "compiled", error) from error

    def _plan(self, given: Flat, tree: Any, outputs: Any) -> Flat:
        """What must be computed, each tensor once and in memory of its own; notes where tree and outputs find it."""
        place: dict[int, int] = {id(tensor): k for k, tensor in enumerate(given)}
        computed: Flat = []
        memory = {address(tensor) for tensor in given}
        for tensor in (*leaves(tree), *leaves(outputs)):
            if id(tensor) in place:
                continue
            place[id(tensor)] = len(given) + len(computed)
            plain = tensor.is_contiguous() and address(tensor) not in memory
            computed.append(tensor if plain else tensor.clone(memory_format=torch.contiguous_format))
            memory.add(address(tensor))
        self._tree = tree
        self._following = _picker([place[id(tensor)] for tensor in leaves(tree)])
        self._outputs = _builder(outputs, iter([place[id(tensor)] for tensor in leaves(outputs)]))
        return computed


def compiled(function: Callable[..., Flat], given: Flat, backend: str, native: bool = False) -> Callable[[Flat], Any]:
    """A function of tensors like the given ones as a program that takes them in a list; arguments as of `Program`."""
    from torch.fx.experimental.proxy_tensor import make_fx

    with branch_free(), torch.no_grad():  # a run in which tensors have shapes but no values gives the operators
        graph: Any = make_fx(function, tracing_mode="fake", _allow_non_fake_inputs=True)(*given)
        if backend == "inductor":
            return _generated(graph, given, native)
        return lambda flat: _as_operators(graph, flat)


def _generated(graph: Any, given: Flat, native: bool) -> Callable[[Flat], Any]:
    """The graph compiled by inductor.

    The generated code itself is called, without the layers that PyTorch puts around it for aliases and gradients, of
    which a graph of rules has none; both are run once, on copies, and must agree in what they give and overwrite.
    """
    from torch._functorch import config as autograd_config
    from torch._inductor import config
    from torch._inductor.compile_fx import compile_fx, compile_fx_inner

    constants = _lifted(graph)
    own, inner = [own_copy(tensor) for tensor in (*given, *constants)], []

    def keep(module: Any, inputs: Any, **options: Any) -> Any:
        inner.append(compile_fx_inner(module, inputs, **options))
        return inner[-1]

    with config.patch(size_asserts=False, cpp_wrapper=native), autograd_config.patch(enable_autograd_cache=False):
        whole: Any = compile_fx(graph, [*given, *constants], inner_compile=keep)
    expected = [*whole(*own), *own]
    bare = getattr(inner[-1], "current_callable", None) if inner else None
    if bare is not None:
        own = [own_copy(tensor) for tensor in (*given, *constants)]
        got = [*bare(own[:]), *own]
        same = len(got) == len(expected) and all(
            torch.allclose(a, b, rtol=0, atol=0, equal_nan=True) for a, b in zip(got, expected, strict=True)
        )
        if same:
            return lambda flat: bare(flat + constants)
    return lambda flat: whole(*flat, *constants)


@torch.no_grad()
def _as_operators(graph: Any, flat: Flat) -> Any:
    return graph(*flat)


def _lifted(graph: Any) -> Flat:
    """Turns the tensors that a graph holds into further inputs, and returns them."""
    constants: Flat = []
    first_own = next(node for node in graph.graph.nodes if node.op != "placeholder")
    found: dict[str, Any] = {}
    held = [node for node in graph.graph.nodes if node.op == "get_attr"]
    for node in held:
        if node.target not in found:
            constants.append(getattr(graph, node.target).detach())
            with graph.graph.inserting_before(first_own):
                found[node.target] = graph.graph.placeholder(f"constant_{len(constants)}")
                found[node.target].meta.update(node.meta)
        node.replace_all_uses_with(found[node.target])
    for node in held:
        graph.graph.erase_node(node)
    for name in found:
        delattr(graph, name)
    graph.recompile()
    return constants


def _picker(places: list[int]) -> Callable[[Any], tuple[Any, ...]]:
    if len(places) == 1:
        return lambda pool: (pool[places[0]],)
    return itemgetter(*places) if places else lambda pool: ()


def _builder(tree: Any, places: Iterator[int]) -> Callable[[Any], Any]:
    """A function from the pool of tensors to the tree, whose tensors lie at the places."""
    if isinstance(tree, Tensor):
        return itemgetter(next(places))
    if tree is None:
        return lambda pool: None
    if isinstance(tree, dict):
        parts = {key: _builder(value, places) for key, value in tree.items()}
        return lambda pool: {key: part(pool) for key, part in parts.items()}
    if isinstance(tree, tuple):
        each = [_builder(part, places) for part in tree]
        return lambda pool: tuple(part(pool) for part in each)
    kind, fields = type(tree), [_builder(getattr(tree, name), places) for name in tree.__dataclass_fields__]
    return lambda pool: kind(*[part(pool) for part in fields])


def signature(tree: Any) -> Signature:
    """Shape, dtype and device of each of a tree's tensors."""
    return [(leaf.shape, leaf.dtype, leaf.device) for leaf in leaves(tree)]


def _told(one: tuple[torch.Size, torch.dtype, torch.device]) -> str:
    return f"{str(one[1]).removeprefix('torch.')} {tuple(one[0])} on {one[2]}"


def refuse_change(name: str, execution: str, first: Signature, now: Signature) -> None:
    """Raises one line that says which tensor has another shape, dtype or device than at the first call, if one has."""
    if first == now:
        return
    if len(first) != len(now):
        told = f"must be given {len(first)} tensors, as at the first call; got {len(now)}"
        raise InvalidInput(f"{name}: execution={execution!r} {told}")
    for place, (was, got) in enumerate(zip(first, now, strict=True)):
        if was != got:
            raise InvalidInput(
                f"{name}: with execution={execution!r} tensor {place} must be {_told(was)}, as at the first call; "
                f"got {_told(got)}: make another unit for it"
            )


def cannot(name: str, what: str, error: Exception) -> InvalidInput:
    """One line for a function that cannot be compiled or captured."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = (lines or [type(error).__name__])[0][:160]
    return InvalidInput(f"{name}: cannot be {what} ({reason}); execution='eager' runs it")


def own_copy(tensor: Tensor) -> Tensor:
    """A copy in memory of its own."""
    return tensor.detach().clone(memory_format=torch.contiguous_format)


def address(tensor: Tensor) -> int:
    """What tensors that share memory have in common."""
    return tensor.untyped_storage()._cdata
