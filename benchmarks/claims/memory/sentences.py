"""Attention against a bottleneck by the length of what is read: sequences told backwards."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from palaestra.neural_blocks.sequence.attention import LuongAttention
from palaestra.neural_blocks.sequence.recurrent import GRU

from ..frame import Claim, Lines

LENGTHS, SIZE, SYMBOLS, BATCH, STEPS = (3, 6, 12), 48, 8, 64, 400


class Reverser(nn.Module):
    """A GRU reads, another tells, from the last state alone or, where there is a score, looking at all of them too."""

    def __init__(self, score: str | None, length: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(SYMBOLS + 1, SIZE)
        self.reader, self.teller = GRU(SIZE, SIZE), GRU(SIZE, SIZE)
        places = length if score == "location" else 0
        self.attention = None if score is None else LuongAttention(SIZE, SIZE, score, places)
        self.head = nn.Linear(SIZE, SYMBOLS)

    def forward(self, source: Tensor, before: Tensor) -> Tensor:
        """Source (L, B) and the symbol before each place (L, B), int64, to logits (L, B, symbols)."""
        states, memory = self.reader(self.embedding(source), self.reader.initial_memory(source.shape[1]))
        told, _ = self.teller(self.embedding(before), memory)
        if self.attention is not None:
            told = self.attention(told.transpose(0, 1), states.transpose(0, 1))[0].transpose(0, 1)
        return self.head(told)


def accuracy(score: str | None, length: int, seed: int, steps: int) -> float:
    """Share of symbols told right, given those before."""
    torch.manual_seed(seed)
    net, generator = Reverser(score, length), torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(net.parameters(), 5e-3)

    def drawn(count: int) -> tuple[Tensor, Tensor, Tensor]:
        source = torch.randint(SYMBOLS, (length, count), generator=generator)
        target = source.flip(0)
        return source, torch.cat([torch.full((1, count), SYMBOLS), target[:-1]]), target

    for _ in range(steps):
        source, before, target = drawn(BATCH)
        optimiser.zero_grad()
        F.cross_entropy(net(source, before).flatten(0, 1), target.flatten()).backward()
        optimiser.step()
    source, before, target = drawn(500)
    with torch.no_grad():
        return float((net(source, before).argmax(-1) == target).float().mean())


def measure(seed: int) -> Lines:
    """Accuracy by length, with attention and without."""
    return {
        line: {length: accuracy(score, length, seed, STEPS) for length in LENGTHS}
        for line, score in (("bottleneck", None), ("attention", "general"))
    }


CLAIM = Claim(
    title="Attention against a bottleneck by length",
    says="A decoder that gets a sentence as one vector does worse the longer the sentence is; one that attends to all "
    "of the encoder's states does not (Bahdanau et al., 2015; Luong et al., 2015).",
    how=f"Sequences of {SYMBOLS} kinds of symbols, to be told backwards: GRUs of {SIZE} units, {STEPS} steps of Adam; "
    "share of symbols of 500 fresh sequences told right, given those before.",
    measure=measure,
    statements=(
        (
            "the bottleneck is worse on 12 symbols than on 3",
            lambda found: found.above(("bottleneck", 3), ("bottleneck", 12), 0.2),
        ),
        ("on 12 symbols attention tells more", lambda found: found.above(("attention", 12), ("bottleneck", 12))),
        (
            "attention loses less by length than the bottleneck",
            lambda found: found.contrast(("bottleneck", 3), ("bottleneck", 12), ("attention", 3), ("attention", 12)),
        ),
    ),
    value="share of symbols told right",
    across="symbols",
    seeds=3,
)
