"""Memories by delay: how much of the gradient reaches an input long ago, and what is learned of it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from palaestra.neural_blocks.sequence.memory import Memory
from palaestra.neural_blocks.sequence.recurrent import memory

from ..frame import Claim, Lines

NAMES = {
    "elman": "Elman",
    "gru": "GRU",
    "lstm": "LSTM",
    "linear_recurrence": "linear recurrence",
    "transformer": "transformer",
}
DELAYS, LEARNED_DELAYS = (1, 4, 16, 64), (2, 8, 24)
SIZE, SYMBOLS, BATCH, STEPS = 32, 4, 32, 250


def made(name: str, features: int, seed: int, length: int) -> Memory:
    """A fresh memory, whose window, if it has one, holds the whole sequence."""
    torch.manual_seed(seed)
    return memory(name, features, SIZE, 1, length if name == "transformer" else None)


def gradients(seed: int) -> Lines:
    """The gradient of the last output by an input, by how long ago it was, as a share of that by the last input."""
    found: dict[str, dict[int, float]] = {}
    length = max(DELAYS) + 1
    x = torch.randn(length, 16, 8, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    for name, line in NAMES.items():
        block = made(name, 8, seed, length)
        output, _ = block(x, block.initial_memory(16))
        (gradient,) = torch.autograd.grad(output[-1].sum(), x)
        norms = gradient.norm(dim=-1).mean(1)  # (T,)
        found[line] = {delay: max(float(norms[-1 - delay] / norms[-1]), 1e-30) for delay in DELAYS}
    return found


class Reader(nn.Module):
    """One-hot symbols through a memory to the logits of a symbol."""

    def __init__(self, block: Memory) -> None:
        super().__init__()
        self.block, self.head = block, nn.Linear(SIZE, SYMBOLS)

    def forward(self, symbols: Tensor) -> Tensor:
        """(T, B) int64 to (B, symbols), after the last step."""
        x = F.one_hot(symbols, SYMBOLS).float()
        output, _ = self.block(x, self.block.initial_memory(symbols.shape[1]))
        return self.head(output[-1])


def learned(seed: int) -> Lines:
    """Share of first symbols that are told after a delay."""
    found: dict[str, dict[int, float]] = {line: {} for line in NAMES.values()}
    for delay in LEARNED_DELAYS:
        for name, line in NAMES.items():
            net = Reader(made(name, SYMBOLS, seed, delay + 1))
            generator = torch.Generator().manual_seed(seed)
            optimiser = torch.optim.Adam(net.parameters(), 5e-3)
            for _ in range(STEPS):
                symbols = torch.randint(SYMBOLS, (delay + 1, BATCH), generator=generator)
                optimiser.zero_grad()
                F.cross_entropy(net(symbols), symbols[0]).backward()
                nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                optimiser.step()
            symbols = torch.randint(SYMBOLS, (delay + 1, 500), generator=generator)
            with torch.no_grad():
                found[line][delay] = float((net(symbols).argmax(1) == symbols[0]).float().mean())
    return found


GRADIENTS = Claim(
    title="The gradient by delay",
    says="Gradients vanish on their way back through a simple recurrent network (Bengio et al., 1994); gates pass more "
    "of them (Hochreiter and Schmidhuber, 1997), and attention reaches any place in one step (Vaswani et al., 2017).",
    how=f"Fresh memories of {SIZE} units on random inputs: mean norm of the last output's gradient by an input, as a "
    "share of that by the last one.",
    measure=gradients,
    statements=(
        (
            "after 64 steps an Elman network has less than 1e-4 left",
            lambda found: found.interval("Elman", 64)[2] < 1e-4,
        ),
        ("an LSTM has more left than an Elman network", lambda found: found.above(("LSTM", 64), ("Elman", 64), 10)),
        (
            "a linear recurrence has more left than an LSTM",
            lambda found: found.above(("linear recurrence", 64), ("LSTM", 64), 10),
        ),
        (
            "a transformer's falls less than tenfold from 1 to 64 steps",
            lambda found: found.above(("transformer", 64), ("transformer", 1), 0.1),
        ),
    ),
    value="gradient as a share of that by the last input",
    across="steps ago",
    logarithmic=True,
)
LEARNED = Claim(
    title="What memories learn by delay",
    says="Simple recurrent networks fail to learn long delays (Bengio et al., 1994), which LSTM, GRU and "
    "transformers do.",
    how=f"The first of a sequence of symbols, {SYMBOLS} kinds, is to be told after a delay: {STEPS} steps of Adam with "
    f"{BATCH} sequences each; share of 500 fresh ones told right (chance: 0.25).",
    measure=learned,
    statements=(
        (
            "after 2 steps every memory tells more than 0.9",
            lambda found: all(found.interval(line, 2)[1] > 0.9 for line in found.lines),
        ),
        ("after 24 steps an Elman network tells less than 0.5", lambda found: found.interval("Elman", 24)[2] < 0.5),
        ("after 24 steps a transformer tells more", lambda found: found.above(("transformer", 24), ("Elman", 24))),
        ("after 24 steps an LSTM tells more", lambda found: found.above(("LSTM", 24), ("Elman", 24))),
    ),
    value="share told right",
    across="steps of delay",
    seeds=3,
)
