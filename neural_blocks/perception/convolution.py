"""Convolutional networks: their sizes, two plain ones, and the inception and dense blocks."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from ..layers.initialisation import orthogonal
from .mlp import MLP


def convolution_size(size: int, kernel: int, *, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Pixels out along one axis of a convolution or pooling: floor((size + 2 P - D (K - 1) - 1) / S) + 1.

    Raises:
        InvalidInput: a kernel that is larger than the padded image.
    """
    reach = dilation * (kernel - 1) + 1
    if size + 2 * padding < reach:
        raise InvalidInput(f"convolution: a kernel over {reach} pixels needs as many; got {size} + 2 x {padding}")
    return (size + 2 * padding - reach) // stride + 1


def transposed_size(
    size: int, kernel: int, *, stride: int = 1, padding: int = 0, output_padding: int = 0, dilation: int = 1
) -> int:
    """Pixels out along one axis of a transposed convolution: S (size - 1) - 2 P + D (K - 1) + output padding + 1."""
    return stride * (size - 1) - 2 * padding + dilation * (kernel - 1) + output_padding + 1


def convolution_parameters(channels: int, filters: int, kernel: int, *, bias: bool = True) -> int:
    """Weights and biases of K x K filters over that many channels: filters (channels K^2 + 1)."""
    return filters * (channels * kernel**2 + bias)


def parameter_count(module: nn.Module) -> int:
    """Numbers that training changes."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def group_norm(channels: int) -> nn.GroupNorm:
    """Normalisation in up to 8 groups of 4 maps or more (Wu and He, 2018): acting and learning see the same network."""
    return nn.GroupNorm(math.gcd(8, max(1, channels // 4), channels), channels)


def checked_image(name: str, shape: tuple[int, ...], smallest: int) -> None:
    """Raises `InvalidInput` unless shape is (C, H, W) with H and W at least `smallest`."""
    if len(shape) != 3 or min(shape[1:]) < smallest:
        raise InvalidInput(f"{name}: shape must be (C, H, W) with H and W at least {smallest}; got {shape}")


def check_images(name: str, images: Tensor, channels: int, height: int | None = None, width: int | None = None) -> None:
    """Raises `InvalidInput` unless images are (B, C, H, W) of that many channels, and of that size if one is given."""
    wanted = [(channels, "C"), (height, "H"), (width, "W")]
    shape = tuple(images.shape)
    if len(shape) != 4 or any(size not in (None, own) for (size, _), own in zip(wanted, shape[1:], strict=True)):
        sizes = ", ".join(letter if size is None else str(size) for size, letter in wanted)
        raise InvalidInput(f"{name}: images must have shape (B, {sizes}); got {shape}")


class SmallCNN(nn.Module):
    """Two 3 x 3 convolutions, the second with stride 2, and a linear layer, each followed by ReLU: for small images.

    (B, C, H, W) float to (B, output_size); after LeCun et al. (1998), with ReLU and strides for tanh and pooling.

    Args:
        shape: (C, H, W) of one image, C at least 1, H and W at least 4.
        channels: filters of the two convolutions.
        output_size: features out.

    Raises:
        InvalidInput: another shape.
    """

    layers: ClassVar = ((3, 1), (3, 2))  # pixels a side of each convolution, and how far it moves

    def __init__(self, shape: tuple[int, ...], channels: tuple[int, int] = (16, 32), output_size: int = 128) -> None:
        super().__init__()
        name = type(self).__name__
        if len(shape) != 3 or shape[0] < 1 or min(shape[1:]) < 4:
            raise InvalidInput(f"{name}: shape must be (C, H, W), C at least 1, H and W at least 4; got {shape}")
        (first, second), ((side, stride), (next_side, next_stride)) = channels, self.layers
        self.convolutions = nn.Sequential(
            orthogonal(nn.Conv2d(shape[0], first, side, stride=stride, padding=1)),
            nn.ReLU(),
            orthogonal(nn.Conv2d(first, second, next_side, stride=next_stride, padding=1)),
            nn.ReLU(),
            nn.Flatten(),
        )
        with torch.no_grad():
            features = self.convolutions(torch.zeros(1, *shape)).shape[1]
        self.linear = orthogonal(nn.Linear(features, output_size))
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, output_size)."""
        return torch.relu(self.linear(self.convolutions(x)))


class StridedCNN(SmallCNN):
    """Two 4 x 4 convolutions that move by 2, and a linear layer, each followed by ReLU: an image at little cost.

    (B, C, H, W) float to (B, output_size); strides in place of pooling as in Radford et al. (2016). Half the rows and
    columns are left after the first and a quarter after the second, so that it takes about a quarter of the work of
    `SmallCNN`.

    Args:
        shape: (C, H, W) of one image, C at least 1, H and W at least 4.
        channels: filters of the two convolutions.
        output_size: features out.

    Raises:
        InvalidInput: another shape.
    """

    layers: ClassVar = ((4, 2), (4, 2))


class NatureCNN(nn.Module):
    """The network of deep Q-learning (Mnih et al., 2015): three convolutions and a linear layer.

    (B, C, H, W) float to (B, output_size); ReLU follows each. Filters of 8 x 8, 4 x 4 and 3 x 3 pixels move by
    4, 2 and 1, so that 84 x 84 pixels become 7 x 7 and the linear layer stays small.

    Args:
        shape: (C, H, W) of one image, C at least 1, H and W at least 36.
        output_size: features out.

    Raises:
        InvalidInput: another shape.
    """

    def __init__(self, shape: tuple[int, ...], output_size: int = 512) -> None:
        super().__init__()
        checked_image("NatureCNN", shape, 36)
        sides = shape[1:]
        for kernel, stride in ((8, 4), (4, 2), (3, 1)):
            sides = tuple(convolution_size(side, kernel, stride=stride) for side in sides)
        self.network = nn.Sequential(
            orthogonal(nn.Conv2d(shape[0], 32, 8, stride=4)),
            nn.ReLU(),
            orthogonal(nn.Conv2d(32, 64, 4, stride=2)),
            nn.ReLU(),
            orthogonal(nn.Conv2d(64, 64, 3)),
            nn.ReLU(),
            nn.Flatten(),
            orthogonal(nn.Linear(64 * math.prod(sides), output_size)),
            nn.ReLU(),
        )
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, output_size)."""
        return self.network(x)


class LeNet(nn.Module):
    """LeNet-5 (LeCun et al., 1998): two 5 x 5 convolutions, each halved by means, and three linear layers, with tanh.

    (B, C, H, W) float to (B, output_size). Each filter of the second convolution sees every map of the first. In images
    of fewer than 20 pixels a side that convolution is padded and keeps its size, so that something is left to read.

    Args:
        shape: (C, H, W) of one image, H and W at least 4.
        output_size: features out, such as a logit for each class.

    Raises:
        InvalidInput: a shape that is not (C, H, W) with H and W at least 4.
    """

    def __init__(self, shape: tuple[int, ...], output_size: int = 10) -> None:
        super().__init__()
        checked_image("LeNet", shape, 4)
        self.shape = tuple(shape)
        large = min(shape[1:]) >= 20
        self.convolutions = nn.Sequential(
            orthogonal(nn.Conv2d(shape[0], 6, 5, padding=2)),
            nn.Tanh(),
            nn.AvgPool2d(2),
            orthogonal(nn.Conv2d(6, 16, 5, padding=0 if large else 2)),
            nn.Tanh(),
            nn.AvgPool2d(2) if large else nn.Identity(),
            nn.Flatten(),
        )
        with torch.no_grad():
            features = self.convolutions(torch.zeros(1, *shape)).shape[1]
        self.perceptron = MLP(features, (120, 84), output_size)
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, output_size)."""
        check_images("LeNet", x, *self.shape)
        return self.perceptron(self.convolutions(x))


class InceptionModule(nn.Module):
    """Four views of an image side by side (Szegedy et al., 2015): 1 x 1, 3 x 3 and 5 x 5 filters, and a 3 x 3 maximum.

    (B, C, H, W) to (B, output_channels, H, W), with ReLU.

    Args:
        channels: C.
        one: filters of the 1 x 1 convolution.
        three: filters of the 1 x 1 convolution that comes before the 3 x 3 one, and of that.
        five: likewise for 5 x 5.
        pooled: filters of the 1 x 1 convolution after the maximum.
    """

    def __init__(self, channels: int, one: int, three: tuple[int, int], five: tuple[int, int], pooled: int) -> None:
        super().__init__()
        self.channels = channels
        self.one = orthogonal(nn.Conv2d(channels, one, 1))
        self.three = nn.Sequential(
            orthogonal(nn.Conv2d(channels, three[0], 1)),
            nn.ReLU(),
            orthogonal(nn.Conv2d(three[0], three[1], 3, padding=1)),
        )
        self.five = nn.Sequential(
            orthogonal(nn.Conv2d(channels, five[0], 1)),
            nn.ReLU(),
            orthogonal(nn.Conv2d(five[0], five[1], 5, padding=2)),
        )
        self.pooled = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), orthogonal(nn.Conv2d(channels, pooled, 1)))
        self.output_channels = one + three[1] + five[1] + pooled

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, output_channels, H, W)."""
        check_images("InceptionModule", x, self.channels)
        return torch.relu(torch.cat([self.one(x), self.three(x), self.five(x), self.pooled(x)], 1))


class DenseBlock(nn.Module):
    """3 x 3 convolutions each of which sees all maps before it (Huang et al., 2017), here with group normalisation.

    (B, C, H, W) to (B, C + layers * growth, H, W): what came in, then each layer's maps.

    Args:
        channels: C.
        growth: maps that each layer adds.
        layers: convolutions.
    """

    def __init__(self, channels: int, growth: int, layers: int) -> None:
        super().__init__()
        self.channels = channels
        self.layers = nn.ModuleList(
            nn.Sequential(
                group_norm(channels + index * growth),
                nn.ReLU(),
                orthogonal(nn.Conv2d(channels + index * growth, growth, 3, padding=1)),
            )
            for index in range(layers)
        )
        self.output_channels = channels + layers * growth

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, output_channels, H, W)."""
        check_images("DenseBlock", x, self.channels)
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return x
