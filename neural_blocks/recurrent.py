"""Recurrent networks whose memory is wiped where an episode starts, in a step form and a sequence form that agree."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .errors import InvalidInput, unknown_name
from .mlp import orthogonal
from .transformer_memory import TransformerMemory


class Recurrent(nn.Module):
    """What every memory has: a state that is a tuple of (B, H) tensors, a step form and a sequence form.

    The input's share of the gates is computed for the whole sequence at once; only the memory's share runs through
    time. An episode start is a mask inside the recurrence: (T, B) sequences need neither padding nor cutting.

    Args:
        input_size: features in.
        hidden_size: H, features out.
    """

    gates: int
    parts: int

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        if min(input_size, hidden_size) < 1:
            raise InvalidInput(f"{type(self).__name__}: sizes must be at least 1; got {input_size} and {hidden_size}")
        self.input_size, self.hidden_size, self.output_size = input_size, hidden_size, hidden_size
        self.input_gates = orthogonal(nn.Linear(input_size, self.gates * hidden_size), 1.0)
        self.memory_gates = orthogonal(nn.Linear(hidden_size, self.gates * hidden_size), 1.0)

    def initial_memory(self, batch: int) -> tuple[Tensor, ...]:
        """Zeros, (B, H) for each part of the memory."""
        return tuple(self.memory_gates.weight.new_zeros(batch, self.hidden_size) for _ in range(self.parts))

    def cell(self, gates: Tensor, memory: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The next memory from the input's gates (B, gates * H) and the last memory; its first part is the output."""
        raise NotImplementedError

    def step(
        self, x: Tensor, memory: tuple[Tensor, ...], start: Tensor | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One step: input (B, D), memory, starts (B,) bool, to output (B, H) and memory."""
        output, memory = self(x.unsqueeze(0), memory, None if start is None else start.unsqueeze(0))
        return output[0], memory

    def forward(
        self, x: Tensor, memory: tuple[Tensor, ...], start: Tensor | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """A sequence: inputs (T, B, D), memory before them, starts (T, B) bool, to outputs (T, B, H) and memory after.

        Raises:
            InvalidInput: shapes that do not fit each other.
        """
        self._check(x, memory, start)
        gates = self.input_gates(x)  # (T, B, gates * H)
        keep = None if start is None else (~start).to(x.dtype).unsqueeze(-1)  # (T, B, 1)
        outputs: list[Tensor] = []
        for time, gate in enumerate(gates.unbind()):
            if keep is not None:
                memory = tuple(part * keep[time] for part in memory)
            memory = self.cell(gate, memory)
            outputs.append(memory[0])
        return torch.stack(outputs), memory

    def _check(self, x: Tensor, memory: tuple[Tensor, ...], start: Tensor | None) -> None:
        name, shape = type(self).__name__, tuple(x.shape)
        if len(shape) != 3 or shape[2] != self.input_size:
            raise InvalidInput(f"{name}: input must have shape (T, B, {self.input_size}); got {shape}")
        wanted = [(shape[1], self.hidden_size)] * self.parts
        if [tuple(part.shape) for part in memory] != wanted:
            raise InvalidInput(
                f"{name}: memory must have shapes {wanted}; got {[tuple(part.shape) for part in memory]}"
            )
        if start is not None and tuple(start.shape) != shape[:2]:
            raise InvalidInput(f"{name}: start must have shape {shape[:2]}; got {tuple(start.shape)}")


class Elman(Recurrent):
    """Simple recurrent network (Elman, 1990): the memory is the last output."""

    gates, parts = 1, 1

    def cell(self, gates: Tensor, memory: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """h' = tanh(Wx + Uh)."""
        return (torch.tanh(gates + self.memory_gates(memory[0])),)


class OneGateGRU(Recurrent):
    """Gated recurrent unit with the update gate alone (Ravanelli et al., 2018, with tanh): a reset gate of always 1."""

    gates, parts = 2, 1

    def cell(self, gates: Tensor, memory: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """h' = (1 - z) n + z h with n = tanh(Wx + Uh)."""
        update, candidate = (gates + self.memory_gates(memory[0])).chunk(2, 1)
        candidate = torch.tanh(candidate)
        return (candidate + torch.sigmoid(update) * (memory[0] - candidate),)


class GRU(Recurrent):
    """Gated recurrent unit (Cho et al., 2014), in PyTorch's form: the reset gate acts on the memory's projection."""

    gates, parts = 3, 1

    def cell(self, gates: Tensor, memory: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """h' = (1 - z) n + z h with n = tanh(Wx + r Uh)."""
        (hidden,) = memory
        reset, update, candidate = gates.chunk(3, 1)  # each (B, H)
        own_reset, own_update, own_candidate = self.memory_gates(hidden).chunk(3, 1)
        update = torch.sigmoid(update + own_update)
        candidate = torch.tanh(candidate + torch.sigmoid(reset + own_reset) * own_candidate)
        return (candidate + update * (hidden - candidate),)


class LSTM(Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997) with forget gate (Gers et al., 2000), bias 1."""

    gates, parts = 4, 2

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        with torch.no_grad():
            self.input_gates.bias[hidden_size : 2 * hidden_size] = 1.0

    def cell(self, gates: Tensor, memory: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """c' = f c + i g, h' = o tanh(c')."""
        hidden, cell = memory
        input_gate, forget, candidate, output = (gates + self.memory_gates(hidden)).chunk(4, 1)
        cell = torch.sigmoid(forget) * cell + torch.sigmoid(input_gate) * torch.tanh(candidate)
        return torch.sigmoid(output) * torch.tanh(cell), cell


MEMORIES: dict[str, type[Recurrent] | type[TransformerMemory]] = {
    "gru": GRU,
    "lstm": LSTM,
    "elman": Elman,
    "one_gate_gru": OneGateGRU,
    "transformer": TransformerMemory,
}


def memory(name: str, input_size: int, hidden_size: int) -> Recurrent | TransformerMemory:
    """The memory block of a name. Raises `InvalidInput` with the nearest right name."""
    if name not in MEMORIES:
        raise unknown_name("memory", name, MEMORIES)
    return MEMORIES[name](input_size, hidden_size)


class Deep(nn.Module):
    """Memory blocks on top of each other (Graves et al., 2013), with the interface of one: each reads the one below.

    Args:
        name: of each block, see `memory`.
        input_size: features in.
        hidden_size: H of each block, and out.
        layers: blocks.

    Raises:
        InvalidInput: an unknown name, a size or number of layers below 1.
    """

    def __init__(self, name: str, input_size: int, hidden_size: int, layers: int = 2) -> None:
        super().__init__()
        if layers < 1:
            raise InvalidInput(f"Deep: layers must be at least 1; got {layers}")
        sizes = [input_size] + [hidden_size] * (layers - 1)
        self.layers: Any = nn.ModuleList(memory(name, size, hidden_size) for size in sizes)
        self.input_size, self.hidden_size, self.output_size = input_size, hidden_size, hidden_size
        self.parts = len(self.initial_memory(1)) // layers  # of one block

    def initial_memory(self, batch: int) -> tuple[Tensor, ...]:
        """The parts of each block's memory, the lowest block's first."""
        return tuple(part for layer in self.layers for part in layer.initial_memory(batch))

    def step(
        self, x: Tensor, memory: tuple[Tensor, ...], start: Tensor | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One step: input (B, D), memory, starts (B,) bool, to output (B, H) and memory."""
        output, memory = self(x.unsqueeze(0), memory, None if start is None else start.unsqueeze(0))
        return output[0], memory

    def forward(
        self, x: Tensor, memory: tuple[Tensor, ...], start: Tensor | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """A sequence: inputs (T, B, D), memory before them, starts (T, B) bool, to outputs (T, B, H) and memory after.

        Raises:
            InvalidInput: shapes that do not fit each other.
        """
        if len(memory) != self.parts * len(self.layers):
            raise InvalidInput(f"Deep: memory must have {self.parts * len(self.layers)} parts; got {len(memory)}")
        after: tuple[Tensor, ...] = ()
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
