"""What every memory block has: a memory that is a tuple of tensors, a step form and a sequence form that agree."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import InvalidInput

State = tuple[Tensor, ...]


class Memory(nn.Module):
    """A block that reads a sequence and remembers; its memory is wiped where an episode starts.

    An episode start is a mask: (T, B) sequences need neither padding nor cutting.

    Attributes:
        input_size: features in.
        output_size: features out.
        shapes: of one row of each part of the memory.
    """

    input_size: int
    output_size: int
    shapes: list[tuple[int, ...]]

    def initial_memory(self, batch: int) -> State:
        """The memory of B fresh episodes."""
        raise NotImplementedError

    def span(self, steps: int) -> None:
        """Makes a fresh block remember about that many steps. Raises `InvalidInput` where it has no such number."""
        raise InvalidInput(f"{type(self).__name__}: has nothing that fades at a rate, so its span cannot be {steps}")

    def step(self, x: Tensor, memory: State, start: Tensor | None = None) -> tuple[Tensor, State]:
        """One step: input (B, D), memory, starts (B,) bool, to output (B, H) and memory."""
        output, memory = self(x.unsqueeze(0), memory, None if start is None else start.unsqueeze(0))
        return output[0], memory

    def check(self, x: Tensor, memory: State, start: Tensor | None) -> None:
        """Raises `InvalidInput` where a sequence, the memory before it and its starts do not fit each other."""
        name, shape = type(self).__name__, tuple(x.shape)
        if len(shape) != 3 or shape[2] != self.input_size:
            raise InvalidInput(f"{name}: input must have shape (T, B, {self.input_size}); got {shape}")
        wanted, found = [(shape[1], *own) for own in self.shapes], [tuple(part.shape) for part in memory]
        if found != wanted:
            raise InvalidInput(f"{name}: memory must have shapes {wanted}; got {found}")
        if start is not None and tuple(start.shape) != shape[:2]:
            raise InvalidInput(f"{name}: start must have shape {shape[:2]}; got {tuple(start.shape)}")


class WindowMemory(Memory):
    """A memory of the last W steps of an episode: it is made with ``window=W``, which is its span."""


class CellMemory(Memory):
    """A memory that runs through time cell by cell. Subclasses say what a cell does."""

    def prepare(self, x: Tensor) -> Tensor:
        """What can be computed for the whole sequence at once: (T, B, D) to what `cell` takes, (T, B, ...)."""
        return x

    def cell(self, x: Tensor, memory: State) -> tuple[Tensor, State]:
        """One step: a row of what `prepare` gave, (B, ...), and the memory, to output (B, H) and memory."""
        raise NotImplementedError

    def forward(self, x: Tensor, memory: State, start: Tensor | None = None) -> tuple[Tensor, State]:
        """A sequence: inputs (T, B, D), memory before them, starts (T, B) bool, to outputs (T, B, H) and memory after.

        Raises:
            InvalidInput: shapes that do not fit each other.
        """
        self.check(x, memory, start)
        starts = None if start is None else start.unbind()
        outputs: list[Tensor] = []
        for time, row in enumerate(self.prepare(x).unbind()):
            output, memory = self.cell(row, memory if starts is None else wiped(memory, starts[time]))
            outputs.append(output)
        return torch.stack(outputs), memory


def wiped(memory: State, start: Tensor) -> State:
    """The memory (B, ...) with zeros where start (B,) is True, whatever it held: NaN times 0 would be NaN."""
    return tuple(part.masked_fill(start.view(-1, *(1,) * (part.dim() - 1)), 0) for part in memory)
