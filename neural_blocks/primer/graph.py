"""An expression graph with reverse accumulation: what `Tensor.backward` does, in a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import InvalidInput

Rule = Callable[..., tuple[Tensor, ...]]


@dataclass(frozen=True)
class Operation:
    """A function and how sensitivities pass back through it.

    Attributes:
        name: of it.
        forward: values of the arguments to the value.
        backward: (sensitivity of the result, result, *values of the arguments) to a sensitivity for each argument: its
            product with the derivatives, of the shape that broadcasting gave the result.
    """

    name: str
    forward: Callable[..., Tensor]
    backward: Rule


class Variable:
    """A node of the graph: a number or an array, and, where it was computed, from what and how.

    Python's operators and `sin`, `exp`, `log`, `logistic`, `relu` and `total` build the graph; `backward` goes through
    it once, from results to what they were made of, and leaves in every variable's `grad` the derivative by it
    (Linnainmaa, 1970).

    Args:
        value: a tensor, or numbers that make one; float64 unless it is a tensor.
        made_by: the operation that gave it.
        arguments: of that operation.

    Attributes:
        value: the tensor.
        grad: of `value`'s shape; zeros until `backward` adds to it.
    """

    def __init__(self, value: Any, made_by: Operation | None = None, arguments: Sequence[Variable] = ()) -> None:
        self.value = value.detach() if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
        self.made_by, self.arguments = made_by, tuple(arguments)
        self.grad = torch.zeros_like(self.value)

    def evaluate(self) -> Tensor:
        """Computes the value anew from the leaves, whose values may have changed."""
        for one in self._in_order():
            if one.made_by is not None:
                one.value = one.made_by.forward(*(part.value for part in one.arguments))
        return self.value

    def zero_grad(self) -> None:
        """Sets the gradients of all that this was made of to zero."""
        for one in self._in_order():
            one.grad = torch.zeros_like(one.value)

    def backward(self, sensitivity: Tensor | None = None) -> None:
        """Adds to every variable's `grad` the sensitivity times this variable's derivative by it.

        A variable passes its sensitivity on once all of it has come together, so every operation is visited once; were
        each part passed on by itself, a graph of n shared steps would be walked 2^n times.

        Args:
            sensitivity: of this variable's shape; None for 1, if the variable is a single number.

        Raises:
            InvalidInput: no sensitivity for several numbers, or one of another shape.
        """
        if sensitivity is None and self.value.numel() != 1:
            shape = tuple(self.value.shape)
            raise InvalidInput(f"Variable: backward needs a sensitivity for values of shape {shape}; got none")
        coming = torch.ones_like(self.value) if sensitivity is None else sensitivity
        if coming.shape != self.value.shape:
            wanted, given = tuple(self.value.shape), tuple(coming.shape)
            raise InvalidInput(f"Variable: sensitivity must have shape {wanted}; got {given}")
        gathered: dict[int, Tensor] = {id(self): coming}
        for one in reversed(self._in_order()):
            if (found := gathered.pop(id(one), None)) is None:
                continue
            one.grad = one.grad + found
            if one.made_by is not None:
                values = [part.value for part in one.arguments]
                for part, own in zip(one.arguments, one.made_by.backward(found, one.value, *values), strict=True):
                    shrunk = own.sum_to_size(part.value.shape)  # what was broadcast is summed
                    gathered[id(part)] = gathered[id(part)] + shrunk if id(part) in gathered else shrunk

    def _in_order(self) -> list[Variable]:
        """All variables that this is made of, each after its arguments; this one last."""
        order: list[Variable] = []
        seen: set[int] = set()
        waiting: list[tuple[Variable, bool]] = [(self, False)]
        while waiting:
            one, ready = waiting.pop()
            if ready:
                order.append(one)
            elif id(one) not in seen:
                seen.add(id(one))
                waiting += [(one, True), *((part, False) for part in one.arguments)]
        return order

    def __add__(self, other: Any) -> Variable:
        return apply(ADD, self, other)

    def __radd__(self, other: Any) -> Variable:
        return apply(ADD, other, self)

    def __sub__(self, other: Any) -> Variable:
        return self + -1.0 * as_variable(other)

    def __rsub__(self, other: Any) -> Variable:
        return as_variable(other) + -1.0 * self

    def __neg__(self) -> Variable:
        return -1.0 * self

    def __mul__(self, other: Any) -> Variable:
        return apply(MULTIPLY, self, other)

    def __rmul__(self, other: Any) -> Variable:
        return apply(MULTIPLY, other, self)

    def __truediv__(self, other: Any) -> Variable:
        return apply(DIVIDE, self, other)

    def __matmul__(self, other: Any) -> Variable:
        return apply(PRODUCT, self, other)


ADD = Operation("+", lambda a, b: a + b, lambda s, _, a, b: (s, s))
MULTIPLY = Operation("*", lambda a, b: a * b, lambda s, _, a, b: (s * b, s * a))
DIVIDE = Operation("/", lambda a, b: a / b, lambda s, y, a, b: (s / b, -s * y / b))
PRODUCT = Operation("@", lambda a, b: a @ b, lambda s, _, a, b: (s @ b.T, a.T @ s))
SIN = Operation("sin", torch.sin, lambda s, _, a: (s * torch.cos(a),))
EXP = Operation("exp", torch.exp, lambda s, y, a: (s * y,))
LOG = Operation("log", torch.log, lambda s, _, a: (s / a,))
LOGISTIC = Operation("logistic", torch.sigmoid, lambda s, y, a: (s * y * (1 - y),))
RELU = Operation("relu", torch.relu, lambda s, y, a: (s * (y > 0),))
TOTAL = Operation("total", torch.sum, lambda s, _, a: (s.expand(a.shape),))


def as_variable(value: Any) -> Variable:
    """A variable as it is, anything else as a leaf."""
    return value if isinstance(value, Variable) else Variable(value)


def apply(operation: Operation, *arguments: Any) -> Variable:
    """The operation's result as a new variable of the graph."""
    parts = [as_variable(one) for one in arguments]
    return Variable(operation.forward(*(one.value for one in parts)), operation, parts)


def sin(x: Variable) -> Variable:
    """The sine of each number."""
    return apply(SIN, x)


def exp(x: Variable) -> Variable:
    """e to the power of each number."""
    return apply(EXP, x)


def log(x: Variable) -> Variable:
    """The natural logarithm of each number."""
    return apply(LOG, x)


def logistic(x: Variable) -> Variable:
    """1 / (1 + e^-x) of each number."""
    return apply(LOGISTIC, x)


def relu(x: Variable) -> Variable:
    """Each number, or 0 where it is negative."""
    return apply(RELU, x)


def total(x: Variable) -> Variable:
    """The sum of all numbers."""
    return apply(TOTAL, x)
