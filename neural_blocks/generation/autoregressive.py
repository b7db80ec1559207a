"""Autoregressive models of grey images: the probability of each pixel given those before it, by rows or diagonals."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InvalidInput
from ..noise import Draws, Seed, at_least_float32, categorical
from .pixels import bits_per_dimension, check_shape

ORDERS = ("raster", "diagonal")


def visits(size: tuple[int, int], order: str) -> list[int]:
    """The pixels of a picture (H, W), each by its number in raster order, in the order in which they are visited.

    "raster" is row by row. "diagonal" is along the anti-diagonals, from the upper left corner's to the lower right
    one's, each from its upper right end down to its lower left.
    """
    height, width = size
    pixels = range(height * width)
    return list(pixels) if order == "raster" else sorted(pixels, key=lambda at: (at // width + at % width, at // width))


class MaskedConv2d(nn.Conv2d):
    """A convolution that sees only the pixels before its own (van den Oord et al., 2016a), in the order of `visits`.

    (B, in_channels, H, W) to (B, out_channels, H, W). A filter of 3 x 3 sees the same four neighbours in both orders.

    Args:
        in_channels: features in.
        out_channels: features out.
        kernel: height and width of the filter, both odd.
        sees_itself: whether its own position counts as before; False in a first layer (mask A), True later (mask B).
        order: "raster" or "diagonal".

    Raises:
        InvalidInput: an even kernel or an unknown order.
    """

    mask: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: tuple[int, int],
        *,
        sees_itself: bool,
        order: str = "raster",
    ) -> None:
        height, width = kernel
        if order not in ORDERS:
            raise InvalidInput(f"MaskedConv2d: order must be one of 'raster', 'diagonal'; got {order!r}")
        if height % 2 == 0 or width % 2 == 0:
            raise InvalidInput(f"MaskedConv2d: kernel must be odd in height and width; got {kernel}")
        super().__init__(in_channels, out_channels, kernel, padding=(height // 2, width // 2))
        down, right = torch.arange(height)[:, None] - height // 2, torch.arange(width) - width // 2
        first, second = (down + right, down) if order == "diagonal" else (down, right)  # compared one after the other
        itself = (down == 0) & (right == 0)
        mask = (first < 0) | ((first == 0) & (second < 0)) | (itself & sees_itself)
        self.register_buffer("mask", mask.float(), persistent=False)

    def forward(self, input: Tensor) -> Tensor:
        """(B, in_channels, H, W) to (B, out_channels, H, W)."""
        return self._conv_forward(input, self.weight * self.mask, self.bias)


class PixelModel(nn.Module):
    """What PixelCNN and PixelRNN share: p(x) = prod_i p(x_i | x_1 .. x_{i-1}), each factor a softmax over the greys.

    Args:
        size: (H, W) of a picture.
        levels: number of greys a pixel can have.
        channels: features of the hidden layers.
        order: in which pixels follow each other, "raster" or "diagonal".
    """

    def __init__(self, size: tuple[int, int], levels: int, channels: int, order: str = "raster") -> None:
        super().__init__()
        if min(*size, levels - 1, channels) < 1:
            raise InvalidInput(
                f"{type(self).__name__}: size and channels must be at least 1 and levels at least 2; "
                f"got {size}, {channels} and {levels}"
            )
        self.size, self.levels, self.order = size, levels, order
        self.position = nn.Parameter(torch.zeros(channels, *size))

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels (B, 1, H, W) int64 to logits (B, levels, H, W), each pixel's from the pixels before it only."""
        raise NotImplementedError

    def log_prob(self, pixels: Tensor) -> Tensor:
        """Log probability of pictures (B, 1, H, W) int64, nats (B,)."""
        return -F.cross_entropy(self(pixels), pixels[:, 0], reduction="none").sum((1, 2))

    def loss(self, pixels: Tensor) -> Tensor:
        """Mean negative log probability of pictures (B, 1, H, W) int64, bits per pixel."""
        return bits_per_dimension(self.log_prob(pixels), self.size[0] * self.size[1]).mean()

    @torch.no_grad()
    def sample(self, n: int, seed: Seed = None) -> Tensor:
        """Draws n pictures, pixel after pixel: (n, 1, H, W) int64; see `noise` for the seed."""
        height, width = self.size
        draws = Draws(seed, self.position.device)
        pixels = torch.zeros(n, 1, height, width, dtype=torch.long, device=self.position.device)
        for row, column in (divmod(pixel, width) for pixel in visits(self.size, self.order)):
            probabilities = at_least_float32(self(pixels)[:, :, row, column]).softmax(1)  # (n, levels)
            pixels[:, 0, row, column] = categorical(probabilities, draws.uniform(n))
        return pixels

    def one_hot(self, pixels: Tensor) -> Tensor:
        """Pixels (B, 1, H, W) int64 as (B, levels, H, W) zeros and ones in the model's type; refuses another shape."""
        check_shape(type(self).__name__, pixels, (1, *self.size))
        return F.one_hot(pixels[:, 0], self.levels).movedim(-1, 1).to(self.position.dtype)


class PixelCNN(PixelModel):
    """PixelCNN: masked convolutions with residual blocks (van den Oord et al., 2016a), a bias for each position.

    Pixels (B, 1, H, W) int64 to logits (B, levels, H, W).

    Args:
        size: (H, W) of a picture.
        levels: number of greys a pixel can have.
        channels: features of the hidden layers, even.
        blocks: number of residual blocks.
        kernel: height and width of the first filter, odd; 2 max(H, W) - 1 lets every pixel see all before it, so that
            no blind spot is left to the right above it.
        order: "raster" or "diagonal", see `visits`.

    Raises:
        InvalidInput: an even kernel, odd channels, sizes below 1, an unknown order, or pixels of another shape.
    """

    def __init__(
        self,
        size: tuple[int, int] = (8, 8),
        levels: int = 17,
        channels: int = 64,
        blocks: int = 3,
        kernel: int = 15,
        order: str = "raster",
    ) -> None:
        super().__init__(size, levels, channels, order)
        if channels % 2:
            raise InvalidInput(f"PixelCNN: channels must be even; got {channels}")
        self.first = MaskedConv2d(levels, channels, (kernel, kernel), sees_itself=False, order=order)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.ReLU(),
                nn.Conv2d(channels, channels // 2, 1),
                nn.ReLU(),
                MaskedConv2d(channels // 2, channels // 2, (3, 3), sees_itself=True, order=order),
                nn.ReLU(),
                nn.Conv2d(channels // 2, channels, 1),
            )
            for _ in range(blocks)
        )
        self.last = nn.Sequential(nn.ReLU(), nn.Conv2d(channels, levels, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels (B, 1, H, W) int64 to logits (B, levels, H, W), each pixel's from the pixels before it only."""
        x = self.first(self.one_hot(pixels)) + self.position  # (B, channels, H, W)
        for block in self.blocks:
            x = x + block(x)
        return self.last(x)


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

    Raises:
        InvalidInput: sizes below 1, pixels of another shape, or a row outside the picture.
    """

    def __init__(self, size: tuple[int, int] = (8, 8), levels: int = 17, channels: int = 32, layers: int = 2) -> None:
        super().__init__(size, levels, channels)
        self.first = MaskedConv2d(levels, channels, (2 * ABOVE + 1, 2 * size[1] - 1), sees_itself=False)
        self.layers = nn.ModuleList(RowLSTM(channels) for _ in range(layers))
        self.last = nn.Sequential(nn.ReLU(), nn.Conv2d(channels, levels, 1))

    def initial_memory(self, batch: int) -> tuple[Tensor, ...]:
        """What stands above the first row.

        Returns:
            Pixels (B, 3, W) int64 of no grey, and zeros, for each layer a hidden and a cell row (B, channels, W).
        """
        width = self.size[1]
        pixels = torch.full((batch, ABOVE, width), self.levels, device=self.position.device)
        zeros = self.position.new_zeros(batch, self.position.shape[0], width)
        return (pixels, *(zeros for _ in range(2 * len(self.layers))))

    def step(self, pixels: Tensor, memory: tuple[Tensor, ...], row: int) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One row of pixels (B, W) int64, the memory above it and its number, to logits (B, levels, W) and memory."""
        if not 0 <= row < self.size[0]:
            raise InvalidInput(f"PixelRNN: row must be in 0 .. {self.size[0] - 1}; got {row}")
        if tuple(pixels.shape[1:]) != self.size[1:]:
            raise InvalidInput(f"PixelRNN: a row must have shape (B, {self.size[1]}); got {tuple(pixels.shape)}")
        rows = torch.cat([memory[0], pixels.unsqueeze(1)], 1)  # (B, 4, W)
        one_hot = F.one_hot(rows, self.levels + 1)[..., : self.levels].movedim(-1, 1).to(self.position.dtype)
        logits, after = self._read(one_hot, self.position[:, row : row + 1], memory[1:])  # (B, levels, 1, W)
        return logits[:, :, 0], (rows[:, 1:], *after)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels (B, 1, H, W) int64 to logits (B, levels, H, W), each pixel's from the pixels before it only."""
        below = F.pad(self.one_hot(pixels), (0, 0, ABOVE, 0))  # (B, levels, 3 + H, W)
        return self._read(below, self.position, self.initial_memory(pixels.shape[0])[1:])[0]

    @torch.no_grad()
    def sample(self, n: int, seed: Seed = None) -> Tensor:
        """Draws n pictures as `PixelModel.sample` does, but reads no more than the row that it draws."""
        height, width = self.size
        draws, memory, rows = Draws(seed, self.position.device), self.initial_memory(n), []
        for row in range(height):
            pixels = torch.zeros(n, width, dtype=torch.long, device=self.position.device)
            for column in range(width):
                logits, _ = self.step(pixels, memory, row)
                probabilities = at_least_float32(logits[:, :, column]).softmax(1)  # (n, levels)
                pixels[:, column] = categorical(probabilities, draws.uniform(n))
            rows.append(pixels)
            _, memory = self.step(pixels, memory, row)
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
