"""Recurrent networks whose memory is wiped where an episode starts, in a step form and a sequence form that agree."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from ..block_settings import require_settings
from ..errors import InvalidInput
from ..layers.initialisation import orthogonal
from ..named_blocks import MEMORIES
from ..tracing import row_by_row
from .memory import CellMemory, Memory, State, WindowMemory, wiped
from .transformer_memory import TransformerMemory

LEAST_STRETCH = 4  # steps between episode starts, on average, from which on a kernel for each stretch pays

FULL = (torch.float32, torch.float64)


class Recurrent(CellMemory):
    """Gates of the input and of the memory: the input's are computed for the whole sequence at once.

    The memory is `parts` tensors (B, H), of which the first is the output.

    Args:
        input_size: features in.
        hidden_size: H, features out.

    Raises:
        InvalidInput: a size below 1.
    """

    gates: int
    parts: int
    keeping: int | None = None  # which gate keeps the memory as it is

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        if min(input_size, hidden_size) < 1:
            raise InvalidInput(f"{type(self).__name__}: sizes must be at least 1; got {input_size} and {hidden_size}")
        self.input_size, self.hidden_size, self.output_size = input_size, hidden_size, hidden_size
        self.shapes = [(hidden_size,)] * self.parts
        self.input_gates = orthogonal(nn.Linear(input_size, self.gates * hidden_size), 1.0)
        self.memory_gates = orthogonal(nn.Linear(hidden_size, self.gates * hidden_size), 1.0)

    def span(self, steps: int) -> None:
        """Biases of the keeping gate with which the features fade within 2 to about that many steps.

        Without it a feature starts by fading within two steps, and what lies further back is slow to be discovered
        (Tallec and Ollivier, 2018, who draw the times at random).
        """
        if self.keeping is None:
            super().span(steps)
        with torch.no_grad():
            self.input_gates.bias.view(self.gates, -1)[self.keeping] = torch.linspace(
                0, math.log(steps), self.hidden_size
            )

    def initial_memory(self, batch: int) -> State:
        """Zeros, (B, H) for each part of the memory."""
        return tuple(self.memory_gates.weight.new_zeros(batch, self.hidden_size) for _ in range(self.parts))

    def prepare(self, x: Tensor) -> Tensor:
        """The input's gates, (T, B, gates * H)."""
        return self.input_gates(x)

    def cell(self, x: Tensor, memory: State) -> tuple[Tensor, State]:
        """The input's gates (B, gates * H) and the memory to output (B, H) and memory."""
        memory = self.remember(x, memory)
        return memory[0], memory

    def remember(self, gates: Tensor, memory: State) -> State:
        """The next memory from the input's gates (B, gates * H) and the last memory."""
        raise NotImplementedError


class Elman(Recurrent):
    """Simple recurrent network (Elman, 1990): the memory is the last output."""

    gates, parts = 1, 1

    def remember(self, gates: Tensor, memory: State) -> State:
        """h' = tanh(Wx + Uh)."""
        return (torch.tanh(gates + self.memory_gates(memory[0])),)


class OneGateGRU(Recurrent):
    """Gated recurrent unit with the update gate alone (Ravanelli et al., 2018, with tanh): a reset gate of always 1."""

    gates, parts, keeping = 2, 1, 0

    def remember(self, gates: Tensor, memory: State) -> State:
        """h' = (1 - z) n + z h with n = tanh(Wx + Uh)."""
        update, candidate = (gates + self.memory_gates(memory[0])).chunk(2, 1)
        candidate = torch.tanh(candidate)
        return (torch.addcmul(candidate, torch.sigmoid(update), memory[0] - candidate),)


class GRU(Recurrent):
    """Gated recurrent unit (Cho et al., 2014), in PyTorch's form: the reset gate acts on the memory's projection."""

    gates, parts, keeping = 3, 1, 1

    def remember(self, gates: Tensor, memory: State) -> State:
        """h' = (1 - z) n + z h with n = tanh(Wx + r Uh)."""
        (hidden,) = memory
        size = self.hidden_size
        own = self.memory_gates(hidden)  # (B, 3 H)
        reset, update = torch.sigmoid(gates[:, : 2 * size] + own[:, : 2 * size]).chunk(2, 1)  # each (B, H)
        candidate = torch.tanh(torch.addcmul(gates[:, 2 * size :], reset, own[:, 2 * size :]))
        return (torch.addcmul(candidate, update, hidden - candidate),)


class LSTM(Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997) with forget gate (Gers et al., 2000), bias 1."""

    gates, parts, keeping = 4, 2, 1

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        with torch.no_grad():
            self.input_gates.bias[hidden_size : 2 * hidden_size] = 1.0

    def forward(self, x: Tensor, memory: State, start: Tensor | None = None) -> tuple[Tensor, State]:
        """See `Memory.forward`; between episode starts, where nothing traces, by PyTorch's own kernel."""
        if not self._fusible(x):
            return super().forward(x, memory, start)
        self.check(x, memory, start)
        cuts = [] if start is None else start.any(1).nonzero().squeeze(1).tolist()
        if LEAST_STRETCH * len(cuts) > len(x):
            return super().forward(x, memory, start)
        bounds = sorted({0, *cuts, len(x)})
        outputs: list[Tensor] = []
        for begin, end in itertools.pairwise(bounds):
            memory = memory if start is None else wiped(memory, start[begin])
            piece, memory = self._stretch(x[begin:end], memory)
            outputs.append(piece)
        return (outputs[0] if len(outputs) == 1 else torch.cat(outputs)), memory

    def _fusible(self, x: Tensor) -> bool:
        """Whether the kernel does what `remember` does here: on plain layers in full precision, beyond one step."""
        layers = (self.input_gates, self.memory_gates)
        plain = all(type(layer) is nn.Linear and not layer._forward_hooks for layer in layers)
        own = type(self).remember is LSTM.remember and type(self).cell is LSTM.cell
        full = x.dtype in FULL and x.dtype == layers[0].weight.dtype and not torch.is_autocast_enabled("cpu")
        return plain and own and full and len(x) > 1 and row_by_row(x.device)

    def _stretch(self, x: Tensor, memory: State) -> tuple[Tensor, State]:
        """A sequence (T, B, D) in which no episode starts."""
        one, two = self.input_gates, self.memory_gates
        weights = [one.weight, two.weight, one.bias, two.bias]
        states = [part.unsqueeze(0) for part in memory]
        output, hidden, cell = torch.lstm(x, states, weights, True, 1, 0.0, self.training, False, False)
        return output, (hidden[0], cell[0])

    def remember(self, gates: Tensor, memory: State) -> State:
        """c' = f c + i g, h' = o tanh(c')."""
        hidden, cell = memory
        size = self.hidden_size
        gates = gates + self.memory_gates(hidden)  # (B, 4 H)
        input_gate, forget, _, output = torch.sigmoid(gates).chunk(4, 1)  # one call for all costs less than three
        candidate = torch.tanh(gates[:, 2 * size : 3 * size])
        cell = torch.addcmul(forget * cell, input_gate, candidate)
        return output * torch.tanh(cell), cell


def memory(
    name: str,
    input_size: int,
    hidden_size: int,
    layers: int = 1,
    span: int | None = None,
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> Memory:
    """One memory block of a name, or several layers of it.

    Args:
        name: of `named_blocks.MEMORIES`, or "module:Class".
        input_size: features in.
        hidden_size: features out.
        layers: blocks on top of each other.
        span: steps that are remembered from the start: the window of a `WindowMemory`, else see the block's `span`;
            None for the block's own.
        settings: further arguments of its class; each of several layers has them.

    Raises:
        InvalidInput: an unknown name (with the nearest right one), a size below 1, a span for a block without one, or
            settings that it does not have.
    """
    cls = MEMORIES.load(name, Memory)
    window = {"window": span} if span is not None and issubclass(cls, WindowMemory) else {}
    require_settings("memory_block", cls, settings, ("input_size", "hidden_size", "layers", *window))
    if issubclass(cls, TransformerMemory):
        return cls(input_size, hidden_size, **window, layers=layers, **settings)
    if layers > 1:
        block: Memory = Deep(name, input_size, hidden_size, layers, window.get("window"), settings)
    else:
        block = cls(input_size, hidden_size, **window, **settings)
    if span is not None and not window:
        block.span(span)
    return block


class Deep(Memory):
    """Memory blocks on top of each other (Graves et al., 2013), with the interface of one: each reads the one below.

    Args:
        name: of each block, see `memory`.
        input_size: features in.
        hidden_size: H of each block, and out.
        layers: blocks.
        window: of each block that is a `WindowMemory`; None for its own.
        settings: further arguments of each block's class.

    Raises:
        InvalidInput: an unknown name, a size or number of layers below 1.
    """

    def __init__(
        self,
        name: str,
        input_size: int,
        hidden_size: int,
        layers: int = 2,
        window: int | None = None,
        settings: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        super().__init__()
        if layers < 1:
            raise InvalidInput(f"Deep: layers must be at least 1; got {layers}")
        sizes = [input_size] + [hidden_size] * (layers - 1)
        blocks = [memory(name, size, hidden_size, span=window, settings=settings) for size in sizes]
        self.layers: Any = nn.ModuleList(blocks)
        self.input_size, self.hidden_size, self.output_size = input_size, hidden_size, hidden_size
        self.parts = len(blocks[0].shapes)
        self.shapes = [shape for block in blocks for shape in block.shapes]

    def span(self, steps: int) -> None:
        """That of each block."""
        for layer in self.layers:
            layer.span(steps)

    def initial_memory(self, batch: int) -> State:
        """The parts of each block's memory, the lowest block's first."""
        return tuple(part for layer in self.layers for part in layer.initial_memory(batch))

    def forward(self, x: Tensor, memory: State, start: Tensor | None = None) -> tuple[Tensor, State]:
        """A sequence: inputs (T, B, D), memory before them, starts (T, B) bool, to outputs (T, B, H) and memory after.

        Raises:
            InvalidInput: shapes that do not fit each other.
        """
        self.check(x, memory, start)
        after: State = ()
        for index, layer in enumerate(self.layers):
            x, own = layer(x, memory[index * self.parts : (index + 1) * self.parts], start)
            after += own
        return x, after


class Bidirectional(nn.Module):
    """Two memory blocks, one of which reads the sequence from its end (Schuster and Paliwal, 1997).

    There is no step form: the output at a time depends on what follows. Rows of different lengths are padded behind
    and their padding is marked as an episode of its own: neither block then carries anything across.

    Args:
        name: of both blocks, see `memory`.
        input_size: features in.
        hidden_size: H of each block; the output has 2 H.

    Raises:
        InvalidInput: an unknown name or a size below 1.
    """

    def __init__(self, name: str, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.onward, self.reverse = memory(name, input_size, hidden_size), memory(name, input_size, hidden_size)
        self.input_size, self.hidden_size, self.output_size = input_size, hidden_size, 2 * hidden_size

    def forward(self, x: Tensor, start: Tensor | None = None) -> Tensor:
        """Inputs (T, B, D) and starts (T, B) bool to outputs (T, B, 2 H), those of the onward block first.

        Raises:
            InvalidInput: shapes that do not fit each other.
        """
        onward, _ = self.onward(x, self.onward.initial_memory(x.shape[1]), start)
        # read from its end, an episode starts where the next one would
        end = None if start is None else torch.cat([start[1:], torch.zeros_like(start[:1])]).flip(0)
        reverse, _ = self.reverse(x.flip(0), self.reverse.initial_memory(x.shape[1]), end)
        return torch.cat([onward, reverse.flip(0)], -1)
