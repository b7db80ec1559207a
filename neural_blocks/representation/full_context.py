"""Embeddings that know their whole episode: full context embeddings (Vinyals et al., 2016)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FullContext(nn.Module):
    """Embeds the examples of an episode in the light of each other, and a query in the light of them.

    An example's embedding is its own with the states of an LSTM that reads the examples forwards and of one that reads
    them backwards. A query's is that of an LSTM which reads its own embedding for K steps, each time with what it found
    among the examples by attention in the step before.

    Args:
        features: D.
        steps: K.
    """

    def __init__(self, features: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.forwards, self.backwards = nn.LSTMCell(features, features), nn.LSTMCell(features, features)
        self.reader = nn.LSTMCell(2 * features, features)

    def forward(self, support: Tensor, known: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings in context.

        Args:
            support: (M, S, D) of the examples of M episodes, in order.
            known: (M, S) bool, whether there is such an example; others are passed over, and one there is at the least.
            query: (M, Q, D).

        Returns:
            Examples (M, S, D) and queries (M, Q, D).
        """
        ahead = self._read(self.forwards, support, known)
        back = self._read(self.backwards, support.flip(1), known.flip(1)).flip(1)
        examples = support + ahead + back
        return examples, self._attended(query, examples, known)

    def _read(self, cell: nn.LSTMCell, inputs: Tensor, known: Tensor) -> Tensor:
        """(M, S, D) the states of an LSTM that leaves out what is not known."""
        hidden = memory = torch.zeros_like(inputs[:, 0])
        states = []
        for place in range(inputs.shape[1]):
            after = cell(inputs[:, place], (hidden, memory))
            there = known[:, place].unsqueeze(1)
            hidden, memory = (torch.where(there, new, old) for new, old in zip(after, (hidden, memory), strict=True))
            states.append(hidden)
        return torch.stack(states, 1)

    def _attended(self, query: Tensor, examples: Tensor, known: Tensor) -> Tensor:
        """(M, Q, D) the queries after K steps of reading; equations 3 to 6 of the paper's appendix."""
        count = query.shape[1]
        own = query.flatten(0, 1)  # (M Q, D)
        hidden = memory = found = torch.zeros_like(own)
        for _ in range(self.steps):
            read, memory = self.reader(torch.cat([own, found], 1), (hidden, memory))
            hidden = read + own
            likeness = hidden.unflatten(0, (-1, count)) @ examples.transpose(1, 2)  # (M, Q, S)
            attention = likeness.masked_fill(~known.unsqueeze(1), -torch.inf).softmax(-1)
            found = (attention @ examples).flatten(0, 1)
        return hidden.unflatten(0, (-1, count))
