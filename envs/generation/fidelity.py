"""How near a restored picture is to its original: signal to noise, and structural similarity, of 8 x 8 greys."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SIDE, WINDOW = 8, 7
WHITE = 255
STEADY = (0.01 * WHITE) ** 2, (0.03 * WHITE) ** 2  # what keeps the ratios of means and of variances from 0 / 0


def squared_error(picture: Tensor, original: Tensor) -> Tensor:
    """(B,) int64 the summed squared difference of greys (B, 64), int32 or int64."""
    apart = picture - original
    # whole numbers are multiplied much faster than squared, and summed faster as what they are: at most 64 * 255^2
    return (apart * apart).sum(1, dtype=apart.dtype).long()


def signal_to_noise(error: Tensor) -> Tensor:
    """The peak signal-to-noise ratio (B,) in dB of a squared error (B,); a mean below 1 counts as 1, 48.1 dB."""
    mean = (error.double() / SIDE**2).clamp(min=1)
    return (10 * (WHITE**2 / mean).log10()).float()


class Similarity(nn.Module):
    """Structural similarity (Wang et al., 2004): the mean over the four windows of 7 x 7 pixels, all weighing the same.

    Two pictures (B, 64) of whole greys to (B,) float32, 1 where they are equal.
    """

    windows: Tensor

    def __init__(self) -> None:
        super().__init__()
        inside = torch.zeros(SIDE, SIDE, 4, dtype=torch.float64)
        for place in range(4):
            row, column = divmod(place, 2)
            inside[row : row + WINDOW, column : column + WINDOW, place] = 1
        self.register_buffer("windows", inside.view(SIDE**2, 4), persistent=False)

    def forward(self, picture: Tensor, original: Tensor) -> Tensor:
        """(B,) the similarity; the sums are of whole numbers in double precision, which no device cuts, so exact."""
        x, y = picture.double(), original.double()
        sums = torch.stack([part @ self.windows for part in (x, y, x * x, y * y, x * y)])  # (5, B, 4)
        mean_x, mean_y, square_x, square_y, product = (sums / WINDOW**2).unbind()
        spread = square_x - mean_x.square() + square_y - mean_y.square() + STEADY[1]
        level = (2 * mean_x * mean_y + STEADY[0]) / (mean_x.square() + mean_y.square() + STEADY[0])
        return (level * (2 * (product - mean_x * mean_y) + STEADY[1]) / spread).mean(1).float()
