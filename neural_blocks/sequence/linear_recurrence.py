"""A linear recurrence as a memory: a whole sequence is read in a number of steps that grows with its logarithm."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from .memory import Memory, State
from .window import steps_before


class LinearRecurrence(Memory):
    """Linear recurrent unit (Orvieto et al., 2023): h' = λ h + γ B x with complex λ of modulus below 1, no gate.

    The output is a gated linear unit of h and x. As the recurrence is linear, sequences are read by doubling (Blelloch,
    1990), of which S5 (Smith et al., 2023) made use first; where an episode starts nothing from before it is added. γ =
    √(1 - |λ|²) keeps h as large as its input. The memory is the real and the imaginary part of h, (B, H) each.

    Args:
        input_size: features in.
        hidden_size: H, units, and features out.

    Raises:
        InvalidInput: a size below 1.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        if min(input_size, hidden_size) < 1:
            raise InvalidInput(f"LinearRecurrence: sizes must be at least 1; got {input_size} and {hidden_size}")
        self.input_size, self.output_size = input_size, hidden_size
        self.shapes = [(hidden_size,)] * 2
        self.input = nn.Linear(input_size, 2 * hidden_size, bias=False)
        self.output = nn.Linear(input_size + 2 * hidden_size, 2 * hidden_size)
        self.log_decay = nn.Parameter(torch.zeros(hidden_size))  # of -log |λ|
        self.log_turn = nn.Parameter(torch.linspace(1e-3, math.pi, hidden_size).log())  # of the angle of λ
        self.span(100)

    def span(self, steps: int) -> None:
        """The units fade within 2 to about that many steps at first."""
        with torch.no_grad():
            self.log_decay.copy_(-torch.linspace(math.log(2), math.log(max(steps, 2)), self.output_size))

    def initial_memory(self, batch: int) -> State:
        """Zeros."""
        return tuple(self.log_decay.new_zeros(batch, *shape) for shape in self.shapes)

    def _power(self, exponent: Tensor | int) -> tuple[Tensor, Tensor]:
        """λ to an exponent (..., 1) or a number: real and imaginary part (..., H)."""
        modulus, angle = (-self.log_decay.exp() * exponent).exp(), self.log_turn.exp() * exponent
        return modulus * angle.cos(), modulus * angle.sin()

    def forward(self, x: Tensor, memory: State, start: Tensor | None = None) -> tuple[Tensor, State]:
        """A sequence: inputs (T, B, D), memory before them, starts (T, B) bool, to outputs (T, B, H) and memory after.

        Raises:
            InvalidInput: shapes that do not fit each other.
        """
        self.check(x, memory, start)
        steps = len(x)
        scale = (-torch.expm1(-2 * self.log_decay.exp())).sqrt()
        real, imaginary = (self.input(x).unflatten(-1, (2, -1)) * scale).unbind(-2)  # (T, B, H) each
        age = steps_before(start, torch.zeros(x.shape[1], dtype=torch.int64, device=x.device), steps)
        reach = 1
        while reach < steps:  # each place has the sum of the last `reach` inputs, and takes in as many before them
            young = (age[reach:] < reach).unsqueeze(-1)
            ago = [part[:-reach].masked_fill(young, 0) for part in (real, imaginary)]
            one, two = _times(self._power(reach), *ago)
            real = torch.cat([real[:reach], real[reach:] + one])
            imaginary = torch.cat([imaginary[:reach], imaginary[reach:] + two])
            reach *= 2
        time = torch.arange(1, steps + 1, device=x.device).view(-1, 1, 1)
        if start is not None:
            gone = start.cummax(0).values.unsqueeze(-1)  # (T, B, 1)
            memory = tuple(part.expand(steps, -1, -1).masked_fill(gone, 0) for part in memory)
        left = _times(self._power(time), *memory)
        real, imaginary = real + left[0], imaginary + left[1]
        value, gate = self.output(torch.cat([x, real, imaginary], -1)).chunk(2, -1)
        return value * torch.sigmoid(gate), (real[-1], imaginary[-1])


def _times(factor: tuple[Tensor, Tensor], real: Tensor, imaginary: Tensor) -> tuple[Tensor, Tensor]:
    """The product of two complex numbers."""
    return factor[0] * real - factor[1] * imaginary, factor[0] * imaginary + factor[1] * real
