"""A memory that is a set: what came before counts, in whatever order it came."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InvalidInput
from ..perception.mlp import MLP
from .memory import Memory, State
from .window import steps_before


class ContextSet(Memory):
    """The mean of a feature map over the steps of the episode so far (Zaheer et al., 2017), and the present step.

    ρ([x, mean of φ(x_1), ..., φ(x_t)]): the output depends on the earlier steps but not on their order, as does what is
    known of a task of which the steps are independent samples (Rakelly et al., 2019). Sums are taken by doubling, and
    none reaches over an episode's start. The memory is the sum, (B, H), and the steps it is of, (B,) int64.

    Args:
        input_size: features in.
        hidden_size: H, features of the map and out.

    Raises:
        InvalidInput: a size below 1.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        if min(input_size, hidden_size) < 1:
            raise InvalidInput(f"ContextSet: sizes must be at least 1; got {input_size} and {hidden_size}")
        self.input_size, self.output_size = input_size, hidden_size
        self.shapes = [(hidden_size,), ()]
        self.feature = MLP(input_size, (hidden_size,), hidden_size, activation="relu")
        self.output = MLP(input_size + hidden_size, (hidden_size,), hidden_size, activation="relu")

    def initial_memory(self, batch: int) -> State:
        """The sum of nothing."""
        some = next(self.output.parameters())
        return some.new_zeros(batch, self.output_size), torch.zeros(batch, dtype=torch.int64, device=some.device)

    def forward(self, x: Tensor, memory: State, start: Tensor | None = None) -> tuple[Tensor, State]:
        """A sequence: inputs (T, B, D), memory before them, starts (T, B) bool, to outputs (T, B, H) and memory after.

        Raises:
            InvalidInput: shapes that do not fit each other.
        """
        self.check(x, memory, start)
        before, seen = memory
        within = steps_before(start, torch.zeros_like(seen), len(x))  # (T, B) steps of the episode in this sequence
        sums, reach = self.feature(x), 1  # (T, B, H)
        while reach < len(x):  # each place has the sum of the last `reach` steps, and takes in as many before them
            ago = sums[:-reach].masked_fill((within[reach:] < reach).unsqueeze(-1), 0)
            sums = torch.cat([sums[:reach], sums[reach:] + ago])
            reach *= 2
        count = steps_before(start, seen, len(x)) + 1  # (T, B)
        sums = sums + before.masked_fill((count == within + 1).unsqueeze(-1), 0)
        output = self.output(torch.cat([x, sums / count.unsqueeze(-1)], -1))
        return output, (sums[-1], count[-1])
