"""Each pixel by itself: a classifier of a patch, at every place of an image."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import Tensor, nn

from ..errors import InvalidInput
from ..layers.initialisation import orthogonal
from .convolution import check_images


class Pixelwise(nn.Module):
    """One perceptron of ReLU that is asked at every pixel about the patch around it, black beyond the image.

    (B, C, H, W) float to (B, output_channels, H, W); Ciresan et al. (2012). It is what a `UNet` is held against: as no
    pixel knows more than its patch, what is far away does not help. All pixels are asked at once, by convolutions.

    Args:
        channels: C.
        output_channels: channels out, such as a logit for each class of pixel.
        widths: of the hidden layers.
        side: pixels a side of the patch, odd.

    Raises:
        InvalidInput: no hidden layer, or a side that is not odd.
    """

    factor = 1  # images of any size are read

    def __init__(self, channels: int, output_channels: int, widths: Sequence[int] = (64, 64), side: int = 5) -> None:
        super().__init__()
        if not widths or side < 1 or side % 2 == 0:
            raise InvalidInput(f"Pixelwise: needs a hidden layer and an odd side; got {tuple(widths)} and {side}")
        self.channels = channels
        layers: list[nn.Module] = [orthogonal(nn.Conv2d(channels, widths[0], side, padding=side // 2)), nn.ReLU()]
        for before, width in itertools.pairwise(widths):
            layers += [orthogonal(nn.Conv2d(before, width, 1)), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.output = nn.Conv2d(widths[-1], output_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, output_channels, H, W)."""
        check_images("Pixelwise", x, self.channels)
        return self.output(self.layers(x))
