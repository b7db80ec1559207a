"""Fast weights: a memory that pairs what was seen with what came next, and finds it again by likeness."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InvalidInput
from .memory import Memory, State


class FastWeights(Memory):
    """An associative memory written in one step and read by likeness (Schmidhuber, 1992; Ba et al., 2016).

    Each head keeps a matrix. At every step it adds the outer product of the key of the step before and the value of
    this step, and is read with the key of this step: so it answers what followed when things last looked like now. What
    is learned for one key holds for all of them, which a vector of features has to learn for each by itself. The
    matrices fade by a learned factor a step; over a sequence they are never made, because reading them is linear
    attention with that decay (Katharopoulos et al., 2020; Sun et al., 2023).

    Args:
        input_size: features in.
        hidden_size: H, features out.
        heads: h, matrices.
        key_size: d, rows and columns of each.

    Raises:
        InvalidInput: a size below 1.
    """

    def __init__(self, input_size: int, hidden_size: int, heads: int = 4, key_size: int = 16) -> None:
        super().__init__()
        sizes = (input_size, hidden_size, heads, key_size)
        if min(sizes) < 1:
            raise InvalidInput(f"FastWeights: sizes and heads must be at least 1; got {', '.join(map(str, sizes))}")
        self.input_size, self.output_size, self.heads = input_size, hidden_size, heads
        self.shapes = [(heads, key_size, key_size), (heads, key_size)]
        width = heads * key_size
        self.key = nn.Linear(input_size, width, bias=False)
        self.value = nn.Sequential(nn.Linear(input_size, hidden_size), nn.ReLU(), nn.Linear(hidden_size, width))
        self.output = nn.Linear(input_size + width, hidden_size)
        self.keep = nn.Parameter(torch.zeros(heads))  # logits of the factor
        self.span(400)

    def span(self, steps: int) -> None:
        """The first head's matrix fades within 8 steps, the last one's within that many (or within 8)."""
        with torch.no_grad():
            self.keep.copy_(torch.linspace(math.log(7), math.log(max(steps, 8) - 1), self.heads))

    def initial_memory(self, batch: int) -> State:
        """The matrices (B, h, d, d) and the last key (B, h, d), zeros."""
        return tuple(self.keep.new_zeros(batch, *shape) for shape in self.shapes)

    def forward(self, x: Tensor, memory: State, start: Tensor | None = None) -> tuple[Tensor, State]:
        """A sequence: inputs (T, B, D), memory before them, starts (T, B) bool, to outputs (T, B, H) and memory after.

        Raises:
            InvalidInput: shapes that do not fit each other.
        """
        self.check(x, memory, start)
        matrix, last = memory
        steps = x.shape[0]
        starts = x.new_zeros(x.shape[:2], dtype=torch.bool) if start is None else start
        key = F.normalize(self._heads(self.key(x)), dim=-1)  # (B, h, T, d)
        value = self._heads(self.value(x))
        before = torch.cat([last.unsqueeze(2), key[:, :, :-1]], 2)  # the key that each value is stored under
        episode = starts.T.cumsum(1)  # (B, T), 0 for the episode that the memory is of
        stored = ~starts.T  # (B, T) the key and the value are of the same episode
        time = torch.arange(steps, device=x.device)
        fading = F.logsigmoid(self.keep)  # (h,)
        apart = (time.unsqueeze(1) - time).clamp(min=0)
        decay = (fading.view(-1, 1, 1) * apart).exp().tril()  # (h, T, T)
        seen = (episode.unsqueeze(2) == episode.unsqueeze(1)) & stored.unsqueeze(1)  # (B, T, T)
        likeness = key @ before.transpose(-1, -2) * decay * seen.unsqueeze(1)  # (B, h, T, T)
        since = (fading.unsqueeze(1) * (time + 1)).exp().unsqueeze(-1)  # (h, T, 1) what is left of the memory
        old = (key @ matrix) * since * (episode == 0)[:, None, :, None]
        found = (likeness @ value + old).permute(2, 0, 1, 3).flatten(2)  # (T, B, h d)
        output = torch.relu(self.output(torch.cat([x, found], -1)))
        kept = (stored & (episode == episode[:, -1:]))[:, None, :, None] * decay[:, -1].unsqueeze(-1)  # (B, h, T, 1)
        carried = matrix * since[:, -1:] * (episode[:, -1] == 0)[:, None, None, None]
        return output, ((before * kept).transpose(-1, -2) @ value + carried, key[:, :, -1])

    def _heads(self, x: Tensor) -> Tensor:
        """(T, B, h d) to (B, h, T, d)."""
        return x.unflatten(-1, (self.heads, -1)).permute(1, 2, 0, 3)
