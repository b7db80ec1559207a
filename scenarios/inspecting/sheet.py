"""A sheet of small pictures in rows with captions, heat maps among them, and charts, as PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from ...agents.core.whole_file import write_whole
from ...envs.drawing.canvas import INK, MUTED, Canvas

CELL, GAP, WIDTH = 120, 12, 1100
TITLE, LINE = 60, 26
POSITIVE, NEGATIVE = torch.tensor([0.80, 0.25, 0.15]), torch.tensor([0.12, 0.40, 0.75])


def grey(image: Tensor) -> Tensor:
    """An image (C, H, W), of values in [0, 1] or [-1, 1], as one that can be drawn; of many channels their mean."""
    image = image.detach()
    image = image if image.min() >= 0 else (image + 1) / 2
    return (image if len(image) in (1, 3) else image.mean(0, keepdim=True)).clamp(0, 1)


def signed(values: Tensor) -> Tensor:
    """Numbers (H, W) as colours (3, H, W): red above 0, blue below, white at 0."""
    values = values.detach() / values.detach().abs().max().clamp(min=1e-12)
    strength = values.abs().unsqueeze(-1)
    colour = torch.where(values.unsqueeze(-1) > 0, POSITIVE, NEGATIVE)
    return ((1 - strength) + strength * colour).permute(2, 0, 1)


@dataclass
class Sheet:
    """Rows of pictures below a title.

    Attributes:
        title: of the sheet.
        rows: of each its name, its pictures (H, W) or (C, H, W) in [0, 1], and their captions.
        note: what stands below.
        cell: pixels of a picture's side.
    """

    title: str
    rows: list[tuple[str, Sequence[Tensor], Sequence[str] | None]] = field(default_factory=list)
    note: str = ""
    cell: int = CELL

    def row(self, name: str, pictures: Sequence[Tensor], captions: Sequence[str] | None = None) -> None:
        """Adds a row."""
        self.rows.append((name, pictures, captions))

    def save(self, path: Path) -> None:
        """Writes the PNG file."""
        heights = [self.cell + GAP + LINE * (bool(name) + (captions is not None)) for name, _, captions in self.rows]
        canvas = Canvas(WIDTH, TITLE + sum(heights) + LINE + GAP)
        canvas.text(self.title, (20, 16), 24, max_width=WIDTH - 40)
        y = TITLE
        for (name, pictures, captions), height in zip(self.rows, heights, strict=True):
            top = y
            if name:
                canvas.text(name, (20, top), 18, INK)
                top += LINE
            for place, picture in enumerate(pictures):
                x = 20 + place * (self.cell + GAP)
                canvas.image(picture, (x, top, self.cell, self.cell), MUTED)
                if captions is not None:
                    canvas.text(captions[place], (x, top + self.cell + 4), 16, INK, max_width=self.cell)
            y += height
        canvas.text(self.note, (20, y), 16, MUTED, max_width=WIDTH - 40)
        write_png(canvas, path)


def write_png(canvas: Canvas, path: Path) -> None:
    """Writes a canvas whole."""
    write_whole(path, lambda file: file.write(canvas.png()))
