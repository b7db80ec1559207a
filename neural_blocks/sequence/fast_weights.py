"""Fast weights: a memory that pairs what was seen with what came next, and finds it again by likeness."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InvalidInput
from .attention import hide_unseen
from .memory import Memory, State, wiped


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
        n_head: h, matrices.
        key_size: d, rows and columns of each.

    Raises:
        InvalidInput: a size below 1.
    """

    def __init__(self, input_size: int, hidden_size: int, n_head: int = 4, key_size: int = 16) -> None:
        super().__init__()
        sizes = (input_size, hidden_size, n_head, key_size)
        if min(sizes) < 1:
            raise InvalidInput(f"FastWeights: sizes and n_head must be at least 1; got {', '.join(map(str, sizes))}")
        self.input_size, self.output_size, self.n_head = input_size, hidden_size, n_head
        self.shapes = [(n_head, key_size, key_size), (n_head, key_size)]
        width = n_head * key_size
        self.key = nn.Linear(input_size, width, bias=False)
        self.value = nn.Sequential(nn.Linear(input_size, hidden_size), nn.ReLU(), nn.Linear(hidden_size, width))
        self.output = nn.Linear(input_size + width, hidden_size)
        self.keep = nn.Parameter(torch.zeros(n_head))  # logits of the factor
        self.span(400)

    def span(self, steps: int) -> None:
        """The first head's matrix fades within 8 steps, the last one's within that many (or within 8)."""
        with torch.no_grad():
            self.keep.copy_(torch.linspace(math.log(7), math.log(max(steps, 8) - 1), self.n_head))

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
        apart = time.unsqueeze(1) - time
        decay = (fading.view(-1, 1, 1) * apart.clamp(min=0)).exp()  # (h, T, T)
        seen = (apart >= 0) & (episode.unsqueeze(2) == episode.unsqueeze(1)) & stored.unsqueeze(1)  # (B, T, T)
        seen = seen.unsqueeze(1)
        before, value, lost = hide_unseen(seen, before, value)  # lost: (B, h, T, 1)
        of_memory = (episode == 0)[:, None, :, None]  # (B, 1, T, 1)
        broken = ~matrix.isfinite().flatten(2).all(2)[..., None, None]  # (B, h, 1, 1)
        matrix, lost = matrix.masked_fill(broken, 0), lost | (of_memory & broken)
        likeness = (key @ before.transpose(-1, -2) * decay).masked_fill_(~seen, 0)  # (B, h, T, T)
        since = (fading.unsqueeze(1) * (time + 1)).exp().unsqueeze(-1)  # (h, T, 1) what is left of the memory
        old = (key @ matrix) * since * of_memory
        found = (likeness @ value + old).masked_fill(lost, torch.nan).permute(2, 0, 1, 3).flatten(2)  # (T, B, h d)
        kept = (decay[:, -1] * seen[:, :, -1]).unsqueeze(-1)  # (B, h, T, 1)
        matrix = (before * kept).transpose(-1, -2) @ value + matrix * since[:, -1:] * of_memory[:, :, -1:]
        return self._read(x, found), (matrix.masked_fill(lost[:, :, -1:], torch.nan), key[:, :, -1])

    def step(self, x: Tensor, memory: State, start: Tensor | None = None) -> tuple[Tensor, State]:
        """One step: input (B, D), memory, starts (B,) bool, to output (B, H) and memory; the matrices themselves."""
        self.check(x.unsqueeze(0), memory, None if start is None else start.unsqueeze(0))
        matrix, last = memory
        key = F.normalize(self.key(x).unflatten(-1, (self.n_head, -1)), dim=-1)  # (B, h, d)
        value = self.value(x).unflatten(-1, (self.n_head, -1))
        keep = torch.sigmoid(self.keep).view(-1, 1, 1)
        matrix = keep * matrix + last.unsqueeze(-1) * value.unsqueeze(-2)  # (B, h, d, d)
        if start is not None:
            (matrix,) = wiped((matrix,), start)
        found = (key.unsqueeze(-2) @ matrix).flatten(1)  # (B, h d)
        return self._read(x, found), (matrix, key)

    def _read(self, x: Tensor, found: Tensor) -> Tensor:
        """The output (..., H) for an input (..., D) and what was found (..., h d)."""
        return torch.relu(self.output(torch.cat([x, found], -1)))

    def _heads(self, x: Tensor) -> Tensor:
        """(T, B, h d) to (B, h, T, d)."""
        return x.unflatten(-1, (self.n_head, -1)).permute(1, 2, 0, 3)
