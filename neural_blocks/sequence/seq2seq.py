"""Sequence to sequence: encoders of observations that show a source and what is written of its answer so far.

They are for tasks that are answered symbol by symbol. The observation is a Dict of ``source``, MultiDiscrete (S,), and
``written``, MultiDiscrete (L,); in both, 0 stands behind the last word. What comes out is made of for the next word:
the decoder's state behind the last word that is written. The whole of what is written is read at each step, so there is
no memory to keep and any learner can learn with them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from ..perception.images import brightest, image_layout
from .attention import LuongAttention
from .positions import positions
from .recurrent import Bidirectional, memory
from .transformer import Decoder, Encoder


class SequenceToSequence(nn.Module, ABC):
    """Reads a source and what is written so far, (N, S) and (N, L), to (N, C). Subclasses say how.

    Args:
        space: Dict of ``source`` and ``written``.
        size: C, features of words and out.

    Raises:
        InvalidInput: another space.
    """

    def __init__(self, space: Any, size: int) -> None:
        super().__init__()
        parts = getattr(space, "spaces", {})
        known: list[Any] = [getattr(parts.get(name), "nvec", None) for name in ("source", "written")]
        if len(parts) != 2 or any(sizes is None or sizes.ndim != 1 for sizes in known):
            raise InvalidInput(
                f"{type(self).__name__}: observation space must be a Dict of 'source' and 'written', each a row of "
                f"MultiDiscrete; got {space}"
            )
        read, written = known
        self.output_size, self.read_length, self.length = size, len(read), len(written)
        self.start = int(written.max())
        self.source_words, self.written_words = nn.Embedding(int(read.max()), size), nn.Embedding(self.start + 1, size)

    def forward(self, x: dict[str, Tensor]) -> Tensor:
        """Dict of ``source`` (N, S) and ``written`` (N, L) int64 to (N, C)."""
        source, written = x["source"], x["written"]
        present = source != 0
        before = torch.cat([torch.full_like(written[:, :1], self.start), written], 1)  # (N, 1 + L)
        states = self.decode(self.written_words(before), *self.encode(self.source_words(source), present), present)
        last = (written != 0).sum(1)[:, None, None].expand(-1, 1, states.shape[2])
        return states.gather(1, last).squeeze(1)

    @abstractmethod
    def encode(self, source: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Embedded words (N, S, C), and where there are some (N, S) bool, to states (N, S, D) and a summary (N, C)."""

    @abstractmethod
    def decode(self, before: Tensor, states: Tensor, summary: Tensor, present: Tensor) -> Tensor:
        """Embedded words (N, T, C), the first standing for the start, and what `encode` gave, to states (N, T, C)."""


class TransformerSeq2Seq(SequenceToSequence):
    """Transformer encoder and decoder with cross-attention (Vaswani et al., 2017).

    Args:
        space: Dict of ``source`` and ``written``.
        size: C, features of every layer and out.
        n_head: of every attention.
        layers: of the encoder, and of the decoder.
        norm: "pre" or "post", see `TransformerLayer`.
        dropout: see there.

    Raises:
        InvalidInput: another space, or a size that is not a multiple of n_head.
    """

    def __init__(
        self, space: Any, size: int = 64, n_head: int = 4, layers: int = 1, norm: str = "pre", dropout: float = 0.0
    ) -> None:
        super().__init__(space, size)
        self.places = positions("sinusoidal", max(self.read_length, self.length + 1), size)
        settings: Any = {"norm": norm, "dropout": dropout}
        self.encoder = Encoder(size, n_head, layers, **settings)
        self.decoder = Decoder(size, n_head, layers, self.length + 1, d_context=size, **settings)

    def _placed(self, words: Tensor) -> Tensor:
        return words + self.places(torch.arange(words.shape[1], device=words.device))

    def encode(self, source: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """See `SequenceToSequence.encode`; the decoder needs no summary."""
        return self.encoder(self._placed(source), present.unsqueeze(1)), source[:, 0]

    def decode(self, before: Tensor, states: Tensor, summary: Tensor, present: Tensor) -> Tensor:
        """See `SequenceToSequence.decode`."""
        return self.decoder(self._placed(before), states, present)


class BottleneckSeq2Seq(SequenceToSequence):
    """A bidirectional GRU whose last states are all that a second GRU knows of the source (Sutskever et al., 2014).

    Args:
        space: Dict of ``source`` and ``written``.
        size: C, features of the decoder and out, even.

    Raises:
        InvalidInput: another space.
    """

    def __init__(self, space: Any, size: int = 128) -> None:
        super().__init__(space, size)
        self.encoder = Bidirectional("gru", size, size // 2)
        self.bridge = nn.Linear(self.encoder.output_size, size)
        self.decoder: Any = memory("gru", size, size)

    def encode(self, source: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """See `SequenceToSequence.encode`; the summary is made of both directions' last states."""
        states = self.encoder(source.transpose(0, 1), ~present.T).transpose(0, 1)  # padding: episodes of their own
        onward, reverse = states.chunk(2, -1)
        last = (present.sum(1) - 1).clamp(min=0)[:, None, None].expand(-1, 1, onward.shape[2])
        ends = torch.cat([onward.gather(1, last).squeeze(1), reverse[:, 0]], -1)
        return states, torch.tanh(self.bridge(ends))

    def decode(self, before: Tensor, states: Tensor, summary: Tensor, present: Tensor) -> Tensor:
        """See `SequenceToSequence.decode`; the summary is the GRU's first state."""
        return self.decoder(before.transpose(0, 1), (summary,))[0].transpose(0, 1)


class LuongSeq2Seq(BottleneckSeq2Seq):
    """A bidirectional GRU, and a second GRU whose states attend to all of its states (Luong et al., 2015).

    Arguments and errors as of `BottleneckSeq2Seq`.
    """

    def __init__(self, space: Any, size: int = 128) -> None:
        super().__init__(space, size)
        self.attention = LuongAttention(size, self.encoder.output_size)

    def decode(self, before: Tensor, states: Tensor, summary: Tensor, present: Tensor) -> Tensor:
        """See `SequenceToSequence.decode`."""
        return self.attention(super().decode(before, states, summary, present), states, present.unsqueeze(1))[0]


class PictureReader(nn.Module):
    """A picture and what is written of it: a GRU over the words attends to places of feature maps (Xu et al., 2015).

    Takes a Dict of an image and ``written`` (L,), of which 0 stands behind the last word. Features out are those of the
    attentional state (Luong et al., 2015) behind the last word that is written.

    Args:
        space: Dict of an image, whatever its name, and ``written``, MultiDiscrete of one row.
        size: C, features of words, of the GRU and out, even.

    Raises:
        InvalidInput: another space.
    """

    scale: Tensor

    def __init__(self, space: Any, size: int = 64) -> None:
        super().__init__()
        parts = dict(getattr(space, "spaces", {}))
        sizes = getattr(parts.pop("written", None), "nvec", None)
        pictures = {name: layout for name, part in parts.items() if (layout := image_layout(part)) is not None}
        if sizes is None or sizes.ndim != 1 or len(parts) != 1 or len(pictures) != 1:
            raise InvalidInput(
                f"PictureReader: observation space must be a Dict of an image and 'written'; got {space}"
            )
        ((self.picture, self.layout),) = pictures.items()
        self.output_size, self.start = size, int(sizes.max())
        self.words = nn.Embedding(self.start + 1, size)
        self.maps = nn.Sequential(
            nn.Conv2d(self.layout.shape[0], size, 3, padding=1, stride=2),
            nn.ReLU(),
            nn.Conv2d(size, size, 3, padding=1),
            nn.ReLU(),
        )
        rows, columns = ((side + 1) // 2 for side in self.layout.shape[1:])
        self.places = positions("learned", rows * columns, size)
        self.bridge = nn.Linear(size, size)
        self.decoder: Any = memory("gru", size, size)
        self.attention = LuongAttention(size, size)
        self.register_buffer("scale", torch.tensor(1 / brightest(parts[self.picture])), persistent=False)

    def forward(self, x: dict[str, Tensor]) -> Tensor:
        """Dict of the image (N, ...) and ``written`` (N, L) int64 to (N, C)."""
        written = x["written"]
        pixels = self.layout(x[self.picture]).to(self.scale.dtype) * self.scale
        seen = self.maps(pixels).flatten(2).transpose(1, 2) + self.places.weight  # (N, S, C)
        before = torch.cat([torch.full_like(written[:, :1], self.start), written], 1)  # (N, 1 + L)
        first = torch.tanh(self.bridge(seen.mean(1)))
        states = self.decoder(self.words(before).transpose(0, 1), (first,))[0].transpose(0, 1)  # (N, 1 + L, C)
        last = (written != 0).sum(1)[:, None, None].expand(-1, 1, states.shape[2])
        return self.attention(states.gather(1, last), seen)[0].squeeze(1)
