"""Recurrent networks whose memory is wiped where an episode starts, in a step form and a sequence form that agree."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .errors import InvalidInput, unknown_name
from .mlp import orthogonal


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


class GRU(Recurrent):
    """Gated recurrent unit (Cho et al., 2014), in PyTorch's form: the reset gate acts on the memory's projection."""

    gates, parts = 3, 1

    def cell(self, gates: Tensor, memory: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """h' = (1 - z) n + z h with n = tanh(Wx + r Uh)."""
        (hidden,) = memory
        size = self.hidden_size
        own = self.memory_gates(hidden)  # (B, 3 H): reset, update, candidate
        reset, update = torch.sigmoid(gates[:, : 2 * size] + own[:, : 2 * size]).chunk(2, 1)
        candidate = torch.tanh(torch.addcmul(gates[:, 2 * size :], reset, own[:, 2 * size :]))
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


MEMORIES: dict[str, type[Recurrent]] = {"gru": GRU, "lstm": LSTM}


def memory(name: str, input_size: int, hidden_size: int) -> Recurrent:
    """The memory block of a name. Raises `InvalidInput` with the nearest right name."""
    if name not in MEMORIES:
        raise unknown_name("memory", name, MEMORIES)
    return MEMORIES[name](input_size, hidden_size)
