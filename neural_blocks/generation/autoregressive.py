"""Autoregressive models of grey images: the probability of each pixel given those before it, by rows or diagonals."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InvalidInput
from ..noise import Draws, Seed, at_least_float32, categorical
from .pixels import bits_per_dimension, check_shape, logistic_mixture

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


class LogisticMixture(nn.Module):
    """A mixture of discretised logistics for each pixel, which knows that greys have an order (Salimans et al., 2017).

    Features (B, channels, H, W) to the log probability of every grey, (B, levels, H, W): the few numbers of a mixture
    take the place of one logit for each grey.

    Args:
        channels: features in.
        levels: number of greys.
        components: logistics that are mixed.
    """

    def __init__(self, channels: int, levels: int, components: int) -> None:
        super().__init__()
        self.levels, self.components = levels, components
        self.layer = nn.Conv2d(channels, 3 * components, 1)
        assert self.layer.bias is not None
        with torch.no_grad():  # the means start apart, so that components do not learn the same
            self.layer.bias[components : 2 * components] += torch.linspace(0, 1, components + 2)[1:-1]

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, channels, H, W) to log probabilities (B, levels, H, W)."""
        logits, mean, log_scale = self.layer(x).unflatten(1, (3, 1, self.components)).unbind(1)  # (B, 1, M, H, W)
        greys = torch.arange(self.levels, device=x.device).view(1, -1, 1, 1, 1)
        return logistic_mixture(greys, logits, mean, log_scale - 2, self.levels, dim=2)


class PixelModel(nn.Module):
    """What autoregressive models share: p(x) = prod_i p(x_i | x_1 .. x_{i-1}), each factor a distribution over greys.

    Args:
        size: (H, W) of a picture.
        levels: number of greys a pixel can have.
        channels: features of the hidden layers.
        order: in which pixels follow each other, "raster" or "diagonal".
        classes: number of classes it can be asked for; 0 for none. A class moves the features of all pixels.
        mixture: logistics that a pixel's distribution is mixed of (Salimans et al., 2017); 0 for a softmax over greys.
    """

    visited: Tensor

    def __init__(
        self,
        size: tuple[int, int],
        levels: int,
        channels: int,
        order: str = "raster",
        classes: int = 0,
        mixture: int = 0,
    ) -> None:
        super().__init__()
        if min(*size, levels - 1, channels) < 1:
            raise InvalidInput(
                f"{type(self).__name__}: size and channels must be at least 1 and levels at least 2; "
                f"got {size}, {channels} and {levels}"
            )
        if min(classes, mixture) < 0:
            raise InvalidInput(
                f"{type(self).__name__}: classes and mixture must be at least 0; got {classes} and {mixture}"
            )
        self.size, self.levels, self.order, self.classes = size, levels, order, classes
        self.register_buffer("visited", torch.tensor(visits(size, order)), persistent=False)  # (H W,)
        self.position = nn.Parameter(torch.zeros(channels, *size))
        self.label = nn.Embedding(classes + 1, channels) if classes else None
        if self.label is not None:
            nn.init.zeros_(self.label.weight)
        output: nn.Module = LogisticMixture(channels, levels, mixture) if mixture else nn.Conv2d(channels, levels, 1)
        self.last = nn.Sequential(nn.ReLU(), output)

    def forward(self, pixels: Tensor, labels: Tensor | None = None) -> Tensor:
        """All factors at once, each pixel's from the pixels before it only.

        Args:
            pixels: (B, 1, H, W) int64.
            labels: (B,) int64, the classes asked for; the number of classes, or None for all, asks for none.

        Returns:
            Logits (B, levels, H, W).

        Raises:
            InvalidInput: pixels of another shape, or labels for a model without classes.
        """
        raise NotImplementedError

    def bias(self, labels: Tensor | None) -> Tensor:
        """What every position, and the class, adds to the features, (B or 1, channels, H, W)."""
        if self.label is None:
            if labels is not None:
                raise InvalidInput(f"{type(self).__name__}: labels are for a model with classes; got some for 0")
            return self.position.unsqueeze(0)
        asked = self.label.weight[-1:] if labels is None else self.label(labels)
        return self.position + asked[:, :, None, None]

    def log_prob(self, pixels: Tensor, labels: Tensor | None = None) -> Tensor:
        """Log probability of pictures (B, 1, H, W) int64, given their classes (B,) if those are, nats (B,)."""
        return -F.cross_entropy(self(pixels, labels), pixels[:, 0], reduction="none").sum((1, 2))

    def loss(self, pixels: Tensor, labels: Tensor | None = None) -> Tensor:
        """Mean negative log probability of pictures (B, 1, H, W) int64, bits per pixel."""
        return bits_per_dimension(self.log_prob(pixels, labels), self.size[0] * self.size[1]).mean()

    @torch.no_grad()
    def sample(self, n: int, seed: Seed = None, labels: Tensor | None = None) -> Tensor:
        """Draws n pictures, of the classes (n,) if any, pixel after pixel: (n, 1, H, W) int64; see `noise`."""
        height, width = self.size
        draws = Draws(seed, self.position.device)
        pixels = torch.zeros(n, 1, height, width, dtype=torch.long, device=self.position.device)
        for row, column in (divmod(pixel, width) for pixel in visits(self.size, self.order)):
            probabilities = at_least_float32(self(pixels, labels)[:, :, row, column]).softmax(1)  # (n, levels)
            pixels[:, 0, row, column] = categorical(probabilities, draws.uniform(n))
        return pixels

    @torch.no_grad()
    def restore(self, pixels: Tensor, missing: Tensor, most: int, particles: int, seed: Seed = None) -> Tensor:
        """The greys expected of missing pixels given all others, by likelihood weighting (Fung and Chang, 1990).

        Gaps are drawn pixel after pixel, each from its distribution given those before it, in `particles` copies of a
        picture. A copy counts by how likely its pixels that are there follow those before them.

        Args:
            pixels: (B, 1, H, W) int64.
            missing: (B, 1, H, W) bool.
            most: pixels that are missing of any picture, at most.
            particles: copies, K.
            seed: of the draws, see `noise`.

        Returns:
            (B, 1, H, W) float32 in 0 .. levels - 1; pixels that are there are left as they are.
        """
        draws = Draws(seed, pixels.device)
        gaps = missing.flatten(1)  # (B, H W)
        order = (
            gaps.gather(1, self.visited.expand_as(gaps)).byte().argsort(dim=1, descending=True, stable=True)[:, :most]
        )
        places = self.visited[order].repeat_interleave(particles, 0)  # (B K, most) gaps first, as they are visited
        drawn = pixels.flatten(1).masked_fill(gaps, 0).repeat_interleave(particles, 0)  # (B K, H W)
        lacking = gaps.repeat_interleave(particles, 0)
        for place in places.split(1, 1):  # (B K, 1)
            logits = self(drawn.view(-1, 1, *self.size)).flatten(2)  # (B K, levels, H W)
            logits = logits.gather(2, place.unsqueeze(1).expand(-1, self.levels, 1))[:, :, 0]
            value = categorical(at_least_float32(logits).softmax(1), draws.uniform(len(drawn))).unsqueeze(1)
            drawn = drawn.scatter(1, place, torch.where(lacking.gather(1, place), value, drawn.gather(1, place)))
        each = -F.cross_entropy(self(drawn.view(-1, 1, *self.size)).flatten(2), drawn, reduction="none")  # (B K, H W)
        weight = at_least_float32(each).masked_fill(lacking, 0).sum(1).view(-1, particles).softmax(1)  # (B, K)
        expected = torch.einsum("bk,bkn->bn", weight, drawn.view(len(pixels), particles, -1).to(weight.dtype))
        return torch.where(missing, expected.view(pixels.shape), pixels)

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
        classes: number of classes it can be asked for; 0 for none.
        mixture: logistics that a pixel's distribution is mixed of; 0 for a softmax over greys.

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
        classes: int = 0,
        mixture: int = 0,
    ) -> None:
        super().__init__(size, levels, channels, order, classes, mixture)
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

    def forward(self, pixels: Tensor, labels: Tensor | None = None) -> Tensor:
        """Pixels (B, 1, H, W) int64 to logits (B, levels, H, W); see `PixelModel.forward`."""
        x = self.first(self.one_hot(pixels)) + self.bias(labels)  # (B, channels, H, W)
        for block in self.blocks:
            x = x + block(x)
        return self.last(x)
