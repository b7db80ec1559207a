"""PixelRNN: autoregressive models of grey images that read them by LSTMs, along rows or diagonals."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InvalidInput
from ..noise import Draws, Seed, at_least_float32, categorical
from .autoregressive import MaskedConv2d, PixelModel

ABOVE = 3  # rows above its own that a pixel of PixelRNN sees at once: half of the mask's height of 7, rounded down


class RowLSTM(nn.Module):
    """A layer of PixelRNN: an LSTM that reads row after row, with a row of cells (van den Oord et al., 2016a).

    The input's share of the gates is a masked 1 x 3 convolution over the current row, the memory's share a 1 x 3
    convolution over the row above, so a cell sees the triangle above it.

    Args:
        channels: features in and out, even.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.input_gates = MaskedConv2d(channels, 4 * channels, (1, 3), sees_itself=True)
        self.memory_gates = nn.Conv1d(channels, 4 * channels, 3, padding=1, bias=False)

    def step(self, gates: Tensor, memory: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The input's gates (B, 4 C, W) and the memory above, hidden and cell (B, C, W), to this row's memory."""
        hidden, cell = memory
        forget, input_gate, output, candidate = (gates + self.memory_gates(hidden)).chunk(4, 1)
        cell = torch.sigmoid(forget) * cell + torch.sigmoid(input_gate) * torch.tanh(candidate)
        return torch.sigmoid(output) * torch.tanh(cell), cell

    def forward(self, x: Tensor, memory: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Rows (B, C, H, W) and the memory above them to hidden rows (B, C, H, W) and the memory of the last."""
        rows: list[Tensor] = []
        for gates in self.input_gates(x).unbind(2):  # (B, 4 C, W)
            memory = self.step(gates, memory)
            rows.append(memory[0])
        return torch.stack(rows, 2), memory


class PixelRNN(PixelModel):
    """PixelRNN with row LSTM layers and residual connections (van den Oord et al., 2016a), a bias for each position.

    Pixels (B, 1, H, W) int64 to logits (B, levels, H, W). The first filter has the paper's mask A, 7 rows high, and
    leaves nothing out of these rows; a row LSTM sees a triangle above it, so that every pixel before is seen. The step
    form reads one row after another; its memory is the rows just above, and the hidden and cell row of each layer.

    Args:
        size: (H, W) of a picture.
        levels: number of greys a pixel can have.
        channels: features of the hidden layers.
        layers: number of row LSTM layers.
        classes: number of classes it can be asked for; 0 for none.
        mixture: logistics that a pixel's distribution is mixed of; 0 for a softmax over greys.

    Raises:
        InvalidInput: sizes below 1, pixels of another shape, or a row outside the picture.
    """

    def __init__(
        self,
        size: tuple[int, int] = (8, 8),
        levels: int = 17,
        channels: int = 32,
        layers: int = 2,
        classes: int = 0,
        mixture: int = 0,
    ) -> None:
        super().__init__(size, levels, channels, classes=classes, mixture=mixture)
        self.first = MaskedConv2d(levels, channels, (2 * ABOVE + 1, 2 * size[1] - 1), sees_itself=False)
        self.layers = nn.ModuleList(RowLSTM(channels) for _ in range(layers))

    def initial_memory(self, batch: int) -> tuple[Tensor, ...]:
        """What stands above the first row.

        Returns:
            Pixels (B, 3, W) int64 of no grey, and zeros, for each layer a hidden and a cell row (B, channels, W).
        """
        width = self.size[1]
        pixels = torch.full((batch, ABOVE, width), self.levels, device=self.position.device)
        zeros = self.position.new_zeros(batch, self.position.shape[0], width)
        return (pixels, *(zeros for _ in range(2 * len(self.layers))))

    def step(
        self, pixels: Tensor, memory: tuple[Tensor, ...], row: int, labels: Tensor | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One row of pixels (B, W) int64, the memory above it and its number, to logits (B, levels, W) and memory."""
        if not 0 <= row < self.size[0]:
            raise InvalidInput(f"PixelRNN: row must be in 0 .. {self.size[0] - 1}; got {row}")
        if tuple(pixels.shape[1:]) != self.size[1:]:
            raise InvalidInput(f"PixelRNN: a row must have shape (B, {self.size[1]}); got {tuple(pixels.shape)}")
        rows = torch.cat([memory[0], pixels.unsqueeze(1)], 1)  # (B, 4, W)
        one_hot = F.one_hot(rows, self.levels + 1)[..., : self.levels].movedim(-1, 1).to(self.position.dtype)
        logits, after = self._read(one_hot, self.bias(labels)[:, :, row : row + 1], memory[1:])  # (B, levels, 1, W)
        return logits[:, :, 0], (rows[:, 1:], *after)

    def forward(self, pixels: Tensor, labels: Tensor | None = None) -> Tensor:
        """Pixels (B, 1, H, W) int64 to logits (B, levels, H, W); see `PixelModel.forward`."""
        below = F.pad(self.one_hot(pixels), (0, 0, ABOVE, 0))  # (B, levels, 3 + H, W)
        return self._read(below, self.bias(labels), self.initial_memory(pixels.shape[0])[1:])[0]

    @torch.no_grad()
    def sample(self, n: int, seed: Seed = None, labels: Tensor | None = None) -> Tensor:
        """Draws n pictures as `PixelModel.sample` does, but reads no more than the row that it draws."""
        height, width = self.size
        draws, memory, rows = Draws(seed, self.position.device), self.initial_memory(n), []
        for row in range(height):
            pixels = torch.zeros(n, width, dtype=torch.long, device=self.position.device)
            for column in range(width):
                logits, _ = self.step(pixels, memory, row, labels)
                probabilities = at_least_float32(logits[:, :, column]).softmax(1)  # (n, levels)
                pixels[:, column] = categorical(probabilities, draws.uniform(n))
            rows.append(pixels)
            _, memory = self.step(pixels, memory, row, labels)
        return torch.stack(rows, 1).unsqueeze(1)

    def _read(self, one_hot: Tensor, position: Tensor, memory: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Rows (B, levels, 3 + R, W), the first 3 only seen from below, to logits (B, levels, R, W) and memory."""
        filters = (self.first.weight * self.first.mask)[:, :, : ABOVE + 1]  # nothing is seen below the own row
        x = F.conv2d(one_hot, filters, self.first.bias, padding=(0, self.size[1] - 1)) + position
        after: list[Tensor] = []
        for index, layer in enumerate(self.layers):
            hidden, last = layer(x, (memory[2 * index], memory[2 * index + 1]))
            x = x + hidden
            after += last
        return self.last(x), tuple(after)


class DiagonalLSTM(nn.Module):
    """A layer of the diagonal PixelRNN: LSTMs along both diagonals (van den Oord et al., 2016a).

    Rows are skewed, each one place further to the right than the one above, so that a column of the skewed picture is a
    diagonal of the picture; an LSTM reads column after column. Its memory's share of the gates is a filter of 2 x 1,
    the pixel to the left and the pixel above. A second LSTM reads the picture from right to left; what it gives a row
    is added to the row below, as on its own row it has seen pixels that come later. (B, C, H, W) to the same.

    Args:
        channels: features in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.input_gates = nn.ModuleList(nn.Conv2d(channels, 4 * channels, 1) for _ in range(2))
        self.memory_gates = nn.ModuleList(nn.Conv1d(channels, 4 * channels, 2, bias=False) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to what the LSTMs find at each pixel in it and in the pixels before it."""
        from_left, from_right = self._read(0, x), self._read(1, x.flip(3)).flip(3)
        return from_left + F.pad(from_right, (0, 0, 1, 0))[:, :, :-1]

    def _read(self, which: int, x: Tensor) -> Tensor:
        """One LSTM along the diagonals that run down to the left."""
        width, memory_gates = x.shape[3], self.memory_gates[which]
        hidden = cell = x.new_zeros(x.shape[:3])  # (B, C, H)
        columns: list[Tensor] = []
        for gates in skewed(self.input_gates[which](x)).unbind(3):  # (B, 4 C, H)
            all_gates = gates + memory_gates(F.pad(hidden, (1, 0)))
            forget, input_gate, output, candidate = all_gates.chunk(4, 1)
            cell = torch.sigmoid(forget) * cell + torch.sigmoid(input_gate) * torch.tanh(candidate)
            hidden = torch.sigmoid(output) * torch.tanh(cell)
            columns.append(hidden)
        return unskewed(torch.stack(columns, 3), width)


def skewed(x: Tensor) -> Tensor:
    """Rows (.., H, W) each one place further to the right than the one above, (.., H, W + H - 1); zeros beside them."""
    height, width = x.shape[-2:]
    flat = F.pad(x, (0, height)).flatten(-2)[..., :-height]
    return flat.unflatten(-1, (height, width + height - 1))


def unskewed(x: Tensor, width: int) -> Tensor:
    """What `skewed` made skewed, (.., H, width + H - 1), as it was, (.., H, width)."""
    height = x.shape[-2]
    return F.pad(x.flatten(-2), (0, height)).unflatten(-1, (height, width + height))[..., :width]


class DiagonalPixelRNN(PixelModel):
    """PixelRNN with diagonal LSTM layers and residual connections (van den Oord et al., 2016a).

    Pixels (B, 1, H, W) int64 to logits (B, levels, H, W), row by row as in `PixelRNN`; it is the layers that read along
    diagonals. The first filter has the paper's mask A of 7 x 7; the layers after it see all pixels before.

    Args:
        size: (H, W) of a picture.
        levels: number of greys a pixel can have.
        channels: features of the hidden layers.
        layers: number of diagonal LSTM layers.
        classes: number of classes it can be asked for; 0 for none.
        mixture: logistics that a pixel's distribution is mixed of; 0 for a softmax over greys.

    Raises:
        InvalidInput: sizes below 1, or pixels of another shape.
    """

    def __init__(
        self,
        size: tuple[int, int] = (8, 8),
        levels: int = 17,
        channels: int = 32,
        layers: int = 2,
        classes: int = 0,
        mixture: int = 0,
    ) -> None:
        super().__init__(size, levels, channels, classes=classes, mixture=mixture)
        self.first = MaskedConv2d(levels, channels, (7, 7), sees_itself=False)
        self.layers = nn.ModuleList(DiagonalLSTM(channels) for _ in range(layers))

    def forward(self, pixels: Tensor, labels: Tensor | None = None) -> Tensor:
        """Pixels (B, 1, H, W) int64 to logits (B, levels, H, W); see `PixelModel.forward`."""
        x = self.first(self.one_hot(pixels)) + self.bias(labels)
        for layer in self.layers:
            x = x + layer(x)
        return self.last(x)
