"""Language model: a transformer decoder over tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from ..noise import Seed
from ..sequence.positions import positions
from ..sequence.transformer import Decoder
from .decoding import ancestral
from .text import token_loss


class TokenEmbedding(nn.Module):
    """Tokens with their positions added: (B, T) int64 to (B, T, C).

    Args:
        vocabulary: V.
        length: L, the most places.
        d_model: C.
        position: "sinusoidal" or "learned", see `positions.positions`.

    Raises:
        InvalidInput: a vocabulary or length below 1, an unknown position, or an odd size for sinusoids.
    """

    def __init__(self, vocabulary: int, length: int, d_model: int, position: str = "sinusoidal") -> None:
        super().__init__()
        if vocabulary < 1:
            raise InvalidInput(f"TokenEmbedding: vocabulary must be at least 1; got {vocabulary}")
        self.tokens = nn.Embedding(vocabulary, d_model)
        self.positions = positions(position, length, d_model)

    def forward(self, tokens: Tensor, time: Tensor | None = None) -> Tensor:
        """Tokens (B, T) at the times (T,) or (B, T) int64, by default 0 to T - 1, to (B, T, C).

        Raises:
            InvalidInput: more tokens than places.
        """
        if tokens.shape[-1] > self.positions.num_embeddings:
            raise InvalidInput(
                f"TokenEmbedding: at most {self.positions.num_embeddings} tokens fit; got {tokens.shape[-1]}"
            )
        if time is None:
            time = torch.arange(tokens.shape[-1], device=tokens.device)
        return self.tokens(tokens) + self.positions(time)


class LanguageModel(nn.Module):
    """Decoder-only transformer (Radford et al., 2018), or the decoding half of a translator if it has a context.

    Token V, `start`, stands before every sequence. Negative tokens are padding.

    Args:
        vocabulary: V.
        length: L, the longest sequence.
        d_model: C.
        n_head: h of each layer.
        layers: how many.
        d_ff: width of each layer's perceptron; None for 4 C.
        norm: "pre" or "post", see `TransformerLayer`.
        position: "sinusoidal" or "learned".
        d_context: features of the sequence cross-attended to, such as an `Encoder`'s output; None for none.

    Raises:
        InvalidInput: what its parts refuse.
    """

    def __init__(
        self,
        vocabulary: int,
        length: int,
        d_model: int = 64,
        n_head: int = 4,
        layers: int = 2,
        d_ff: int | None = None,
        *,
        norm: str = "pre",
        position: str = "sinusoidal",
        d_context: int | None = None,
    ) -> None:
        super().__init__()
        self.start, self.length = vocabulary, length
        self.embedding = TokenEmbedding(vocabulary + 1, length, d_model, position)
        self.decoder = Decoder(d_model, n_head, layers, length, d_ff, norm=norm, d_context=d_context)
        self.head = nn.Linear(d_model, vocabulary)

    def forward(self, tokens: Tensor, context: Tensor | None = None, context_mask: Tensor | None = None) -> Tensor:
        """Logits of each token given those before it.

        Args:
            tokens: (B, T) int64 below V; negative ones are padding.
            context: (B, S, D) float.
            context_mask: (B, S) bool, True where there is something; None for everywhere.

        Returns:
            (B, T, V): those at t are of token t.
        """
        before = torch.cat([torch.full_like(tokens[:, :1], self.start), tokens[:, :-1]], 1)
        before = before.masked_fill(before < 0, self.start)
        return self.head(self.decoder(self.embedding(before), context, context_mask))

    def initial_memory(
        self, batch: int, context: Tensor | None = None, context_mask: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """The memory before the first step, with the context's keys and values in it."""
        return self.decoder.initial_memory(batch, context, context_mask)

    def step(self, token: Tensor, memory: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The last token (B,), `start` at first, and memory, to the next one's logits (B, V) and memory.

        Raises:
            InvalidInput: a memory that holds L places already.
        """
        time = torch.full_like(token, self.decoder.next_place(memory)).unsqueeze(1)  # (B, 1)
        x, memory = self.decoder.step(self.embedding(token.unsqueeze(1), time).squeeze(1), memory)
        return self.head(x), memory

    def log_prob(self, tokens: Tensor, context: Tensor | None = None, context_mask: Tensor | None = None) -> Tensor:
        """Log-probability in nats of each sequence (B, T), padding left out: (B,)."""
        each = self(tokens, context, context_mask).log_softmax(-1)
        each = each.gather(-1, tokens.clamp(min=0).unsqueeze(-1)).squeeze(-1)  # (B, T)
        return each.masked_fill(tokens < 0, 0).sum(1)

    def loss(
        self,
        tokens: Tensor,
        context: Tensor | None = None,
        context_mask: Tensor | None = None,
        *,
        smoothing: float = 0.0,
    ) -> Tensor:
        """Mean cross-entropy of a token in nats, a scalar; see `text.token_loss`."""
        return token_loss(self(tokens, context, context_mask), tokens, smoothing)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        context: Tensor | None = None,
        context_mask: Tensor | None = None,
        *,
        seed: Seed = None,
    ) -> Tensor:
        """(n, L) int64 drawn from the model, with a context (n, S, D) if it has one; see `noise` for the seed."""
        memory = self.initial_memory(n, context, context_mask)
        start = torch.full((n,), self.start, device=memory[0].device)
        return ancestral(self.step, memory, start, self.length, seed=seed)
