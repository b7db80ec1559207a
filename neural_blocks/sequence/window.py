"""Memories that look back at the last steps of the running episode: by attention, by likeness, by convolutions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from .attention import ScaledDotProduct
from .memory import State, WindowMemory
from .positions import rotated
from .recurrent import GRU


def steps_before(start: Tensor | None, seen: Tensor, steps: int) -> Tensor:
    """(T, B) int64, the steps of its own episode that come before each step.

    Args:
        start: (T, B) bool, where an episode starts; None for nowhere.
        seen: (B,) steps of the running episode that came before the sequence.
        steps: T.
    """
    time = torch.arange(steps, device=seen.device).unsqueeze(1)
    if start is None:
        return seen + time
    last = torch.where(start, time, -1).cummax(0).values  # (T, B) when the episode started, -1 before the sequence
    return torch.where(last >= 0, time - last, seen + time)


class WindowAttention(WindowMemory):
    """Multi-head attention over the last W steps of the episode (Vaswani et al., 2017), the present one among them.

    Heads tell places apart by a learned bias for each distance, at first a slope that is steeper for the first heads
    (Press et al., 2022). The memory is the keys and values (B, h, W - 1, H / h) of the steps before, and which of them
    are known, (B, W - 1) bool.

    Args:
        input_size: features in.
        hidden_size: H, features out, a multiple of n_head.
        window: W.
        n_head: h.

    Raises:
        InvalidInput: a size or window below 1, or a hidden size that is not a multiple of n_head.
    """

    def __init__(self, input_size: int, hidden_size: int, window: int = 32, n_head: int = 4) -> None:
        super().__init__()
        name = type(self).__name__
        if min(input_size, hidden_size, window, n_head) < 1:
            sizes = f"{input_size}, {hidden_size}, {window} and {n_head}"
            raise InvalidInput(f"{name}: sizes, window and n_head must be at least 1; got {sizes}")
        if hidden_size % n_head:
            raise InvalidInput(f"{name}: hidden_size must be a multiple of n_head; got {hidden_size} and {n_head}")
        self.input_size, self.output_size, self.window, self.n_head = input_size, hidden_size, window, n_head
        kept = (n_head, window - 1, hidden_size // n_head)
        self.shapes = [kept, kept, (window - 1,)]
        self.query, self.key, self.value = (nn.Linear(input_size, hidden_size) for _ in range(3))
        self.output = nn.Linear(hidden_size, hidden_size)
        self.product = ScaledDotProduct()
        self.make_places()

    def make_places(self) -> None:
        """What tells places apart."""
        slopes = -torch.outer(0.25 ** torch.arange(self.n_head), torch.arange(self.window))
        self.bias = nn.Parameter(slopes)  # (h, W) of each distance back

    def initial_memory(self, batch: int) -> State:
        """Keys and values of nothing yet, and that none is known."""
        kept, _, known = self.shapes
        some = self.key.weight
        blank = (some.new_zeros(batch, *kept), some.new_zeros(batch, *kept))
        return *blank, some.new_zeros(batch, *known, dtype=torch.bool)

    def forward(self, x: Tensor, memory: State, start: Tensor | None = None) -> tuple[Tensor, State]:
        """A sequence: inputs (T, B, D), memory before them, starts (T, B) bool, to outputs (T, B, H) and memory after.

        Raises:
            InvalidInput: shapes that do not fit each other.
        """
        self.check(x, memory, start)
        keys, values, known = memory
        steps, before = len(x), self.window - 1
        starts = torch.zeros(x.shape[:2], dtype=torch.bool, device=x.device) if start is None else start
        episode = starts.T.cumsum(1)  # (B, T), 0 for the episode that the memory is of
        of = torch.cat([torch.where(known, 0, -1), episode], 1)  # (B, W - 1 + T), -1 for no episode at all
        places = torch.arange(before + steps, device=x.device)
        distance = places[before:].unsqueeze(1) - places  # (T, W - 1 + T)
        near = (distance >= 0) & (distance <= before)
        seen = (near & (episode.unsqueeze(2) == of.unsqueeze(1))).unsqueeze(1)  # (B, 1, T, W - 1 + T)
        keys = torch.cat([keys, self._heads(self.key(x))], 2)
        values = torch.cat([values, self._heads(self.value(x))], 2)
        found = self.find(self._heads(self.query(x)), keys, values, seen, distance.clamp(0, before))
        known = of[:, steps:] == episode[:, -1:]  # (B, W - 1)
        kept = (part[:, :, steps:].masked_fill(~known[:, None, :, None], 0) for part in (keys, values))
        return self.output(found.permute(2, 0, 1, 3).flatten(2)), (*kept, known)

    def find(self, query: Tensor, keys: Tensor, values: Tensor, seen: Tensor, distance: Tensor) -> Tensor:
        """What queries (B, h, T, d) find among keys and values (B, h, S, d), where `seen`: (B, h, T, d)."""
        return self.product(query, keys, values, seen, self.bias[:, distance])

    def _heads(self, x: Tensor) -> Tensor:
        """(T, B, H) to (B, h, T, d)."""
        return x.unflatten(-1, (self.n_head, -1)).permute(1, 2, 0, 3)


class RotaryAttention(WindowAttention):
    """A `WindowAttention` whose queries and keys are turned by their places instead of a bias (Su et al., 2021).

    Arguments and memory as of `WindowAttention`; keys are kept as they are before they are turned.

    Raises:
        InvalidInput: as `WindowAttention`, or heads of an odd number of features.
    """

    def make_places(self) -> None:
        """Nothing to be learned."""
        if self.output_size // self.n_head % 2:
            sizes = f"{self.output_size} and {self.n_head}"
            raise InvalidInput(f"RotaryAttention: hidden_size must be an even multiple of n_head; got {sizes}")

    def find(self, query: Tensor, keys: Tensor, values: Tensor, seen: Tensor, distance: Tensor) -> Tensor:
        """What queries find that are the last of the keys; see `WindowAttention.find`."""
        places = torch.arange(keys.shape[2], device=keys.device)
        return self.product(rotated(query, places[-query.shape[2] :]), rotated(keys, places), values, seen)


class ModernHopfield(WindowAttention):
    """Modern Hopfield network (Ramsauer et al., 2021): the last W steps are its stored patterns.

    Each head's query falls towards the stored keys that it is like, by the update ξ' = Kᵀ softmax(β K ξ) of the energy
    that has them for its minima, and then reads their values. Keys and queries are normalised, β is learned for each
    head, and places are not told apart: only likeness counts. Arguments, memory and errors as of `WindowAttention`.

    Args:
        input_size: features in.
        hidden_size: H, features out, a multiple of n_head.
        window: W.
        n_head: h.
        updates: of the query, before the values are read.
    """

    def __init__(self, input_size: int, hidden_size: int, window: int = 64, n_head: int = 4, updates: int = 2) -> None:
        super().__init__(input_size, hidden_size, window, n_head)
        if updates < 0:
            raise InvalidInput(f"ModernHopfield: updates must be at least 0; got {updates}")
        self.updates = updates

    def make_places(self) -> None:
        """Nothing but the sharpness."""
        self.log_beta = nn.Parameter(torch.full((self.n_head, 1, 1), 1.0))

    def find(self, query: Tensor, keys: Tensor, values: Tensor, seen: Tensor, distance: Tensor) -> Tensor:
        """What the query reads after its updates; see `WindowAttention.find`."""
        width = query.shape[-1:]
        keys = nn.functional.layer_norm(keys, width)
        for _ in range(self.updates):
            query = self.product(self._sharp(query), keys, keys, seen)
        return self.product(self._sharp(query), keys, values, seen)

    def _sharp(self, query: Tensor) -> Tensor:
        """The normalised query times β √d, of which the product divides by √d; keys have a norm of √d."""
        return nn.functional.layer_norm(query, query.shape[-1:]) * self.log_beta.exp() / query.shape[-1] ** 0.5


class Attentive(WindowMemory):
    """A GRU that also attends to its own last W outputs (Cheng et al., 2016; Luong et al., 2015).

    The output is tanh(W [h; c]) of the unit's output h and of what attention finds, c. The memory is the unit's, then
    the attention's. Arguments and errors as of `WindowAttention`.
    """

    def __init__(self, input_size: int, hidden_size: int, window: int = 32, n_head: int = 4) -> None:
        super().__init__()
        self.unit = GRU(input_size, hidden_size)
        self.attention = WindowAttention(hidden_size, hidden_size, window, n_head)
        self.combine = nn.Linear(2 * hidden_size, hidden_size)
        self.input_size, self.output_size = input_size, hidden_size
        self.shapes = [*self.unit.shapes, *self.attention.shapes]

    def initial_memory(self, batch: int) -> State:
        """The unit's and the attention's."""
        return *self.unit.initial_memory(batch), *self.attention.initial_memory(batch)

    def forward(self, x: Tensor, memory: State, start: Tensor | None = None) -> tuple[Tensor, State]:
        """See `WindowAttention.forward`."""
        self.check(x, memory, start)
        parts = len(self.unit.shapes)
        hidden, own = self.unit(x, memory[:parts], start)
        found, looked = self.attention(hidden, memory[parts:], start)
        return torch.tanh(self.combine(torch.cat([hidden, found], -1))), (*own, *looked)


class TemporalConvolution(WindowMemory):
    """Causal convolutions of two taps, the reach doubling by layer (van den Oord et al., 2016; Bai et al., 2018).

    x + tanh(f) sigmoid(g), f and g each of the layer's input now and 1, 2, 4, ... steps ago, none where the episode is
    younger; so the output sees the last W steps, W the next power of two from the window on. The memory is the inputs
    (B, reach, H) of each layer, those of the last one first, and the steps of the episode so far, (B,) int64.

    Args:
        input_size: features in.
        hidden_size: H, features out and of each layer.
        window: W, steps that are seen.

    Raises:
        InvalidInput: a size or window below 1.
    """

    def __init__(self, input_size: int, hidden_size: int, window: int = 16) -> None:
        super().__init__()
        if min(input_size, hidden_size, window) < 1:
            sizes = f"{input_size}, {hidden_size} and {window}"
            raise InvalidInput(f"TemporalConvolution: sizes and window must be at least 1; got {sizes}")
        self.input_size, self.output_size = input_size, hidden_size
        self.reaches = [1 << layer for layer in range(max(1, (window - 1).bit_length()))]
        self.shapes = [*((reach, hidden_size) for reach in reversed(self.reaches)), ()]
        self.input = nn.Linear(input_size, hidden_size)
        self.now: Any = nn.ModuleList(nn.Linear(hidden_size, 2 * hidden_size) for _ in self.reaches)
        self.then: Any = nn.ModuleList(nn.Linear(hidden_size, 2 * hidden_size, bias=False) for _ in self.reaches)

    def initial_memory(self, batch: int) -> State:
        """Zeros."""
        some = self.input.weight
        blank = (some.new_zeros(batch, *shape) for shape in self.shapes[:-1])
        return *blank, torch.zeros(batch, dtype=torch.int64, device=some.device)

    def forward(self, x: Tensor, memory: State, start: Tensor | None = None) -> tuple[Tensor, State]:
        """A sequence: inputs (T, B, D), memory before them, starts (T, B) bool, to outputs (T, B, H) and memory after.

        Raises:
            InvalidInput: shapes that do not fit each other.
        """
        self.check(x, memory, start)
        *kept, seen = memory
        age = steps_before(start, seen, len(x))  # (T, B)
        after: list[Tensor] = []
        x = self.input(x)
        for now, then, reach, before in zip(self.now, self.then, self.reaches, reversed(kept), strict=True):
            all_of = torch.cat([before.transpose(0, 1), x])  # (reach + T, B, H)
            ago = all_of[: len(x)].masked_fill((age < reach).unsqueeze(-1), 0)
            back = torch.arange(reach - 1, -1, -1, device=x.device).unsqueeze(1)  # (reach, 1) steps before the last
            known = (back <= age[-1]).T.unsqueeze(-1)  # (B, reach, 1)
            after.append(all_of[len(x) :].transpose(0, 1).masked_fill(~known, 0))
            change, gate = (now(x) + then(ago)).chunk(2, -1)
            x = x + torch.tanh(change) * torch.sigmoid(gate)
        return x, (*reversed(after), age[-1] + 1)


class SNAIL(WindowMemory):
    """Temporal convolutions and attention over what they give, side by side (Mishra et al., 2018).

    The output is relu(W [x; c]) of the convolutions' output x and of what attention finds in the last W of them, c. The
    memory is the convolutions', then the attention's. Arguments and errors as of `WindowAttention`.
    """

    def __init__(self, input_size: int, hidden_size: int, window: int = 16, n_head: int = 4) -> None:
        super().__init__()
        self.convolution = TemporalConvolution(input_size, hidden_size, window)
        self.attention = WindowAttention(hidden_size, hidden_size, window, n_head)
        self.combine = nn.Linear(2 * hidden_size, hidden_size)
        self.input_size, self.output_size = input_size, hidden_size
        self.shapes = [*self.convolution.shapes, *self.attention.shapes]

    def initial_memory(self, batch: int) -> State:
        """The convolutions' and the attention's."""
        return *self.convolution.initial_memory(batch), *self.attention.initial_memory(batch)

    def forward(self, x: Tensor, memory: State, start: Tensor | None = None) -> tuple[Tensor, State]:
        """See `WindowAttention.forward`."""
        self.check(x, memory, start)
        parts = len(self.convolution.shapes)
        local, own = self.convolution(x, memory[:parts], start)
        found, looked = self.attention(local, memory[parts:], start)
        return torch.relu(self.combine(torch.cat([local, found], -1))), (*own, *looked)
