"""Glyphs drawn from random stroke programs: a class is a program, a sample one jittered drawing of it."""

from __future__ import annotations

import torch
from torch import Tensor

STROKES, CONTROLS, SIZE = 3, 3, 16  # strokes of a glyph, control points of a stroke, pixels a side
GRID = 8  # places a side that a control point is drawn from
ALPHABETS = {"train": (0, 4), "validation": (2, 4), "test": (1, 2)}  # what a program's sum leaves, divided by what
COORDINATES = STROKES * CONTROLS * 2
PROGRAM_NOISE = COORDINATES  # uniforms that make a program
DRAWING_NOISE = COORDINATES + 4  # uniforms that make a drawing: each coordinate's jitter, turn, zoom, shift
INK, BITS = 12, 10  # points along a stroke; of the fraction of a pixel at which one may lie
FINE = 1 << BITS
REACH = (
    -8,
    24,
)  # pixels between which a control point is kept; a curve without ink outside of the image differs little
LEVELS = 1 << 16  # of a normal number, which is looked up: that is ten times as fast as to compute it
NORMALS = torch.special.ndtri((torch.arange(LEVELS, dtype=torch.float64) + 0.5) / LEVELS)
JITTER, TURN, ZOOM, SHIFT = 0.06, 0.15, 0.08, 0.08  # standard deviations; in halves of the image's side and radians


def draw_programs(noise: Tensor, split: str) -> Tensor:
    """Stroke programs: control points of quadratic Bezier curves on a grid of 8 x 8 places.

    The grid coordinates of a program add up to an odd number for the test alphabet, of 4 * 8^17 programs, to a multiple
    of four for the training alphabet and to any other even number for the validation alphabet, of 2 * 8^17 each: no
    program is in two of them.

    Args:
        noise: (..., PROGRAM_NOISE) uniforms in [0, 1).
        split: "train", "validation" or "test", the alphabet.

    Returns:
        (..., PROGRAM_NOISE) int64 grid coordinates from 0 to 7: x and y of each point of each stroke.
    """
    free = (noise[..., :-1] * GRID).long()
    rest, by = ALPHABETS[split]
    least = (rest - free.sum(-1, keepdim=True)) % by  # that the last coordinate can be
    return torch.cat([free, by * (noise[..., -1:] * (GRID // by)).long() + least], -1)


def draw_glyphs(programs: Tensor, noise: Tensor, normals: Tensor = NORMALS) -> Tensor:
    """One drawing of each program: control points jittered by hand, the whole turned, zoomed and shifted.

    A curve leaves ink at 12 points, spread over the four pixels around each in proportion to how near they are. The
    tangent of half the angle of the turn is normal. Control points are computed in double precision and put on a grid
    of 1024 places a pixel; curves and ink are counted in whole numbers: every device draws the same bytes.

    Args:
        programs: (B, PROGRAM_NOISE) int64 grid coordinates.
        noise: (B, DRAWING_NOISE) uniforms in [0, 1).
        normals: `NORMALS`, where the noise is.

    Returns:
        (B, 1, 16, 16) uint8, ink bright on black.
    """
    normal = normals.index_select(0, (noise * LEVELS).int().flatten()).view(noise.shape)
    even = programs.double() * (1.4 / (GRID - 1)) - 0.7
    x, y = (even + JITTER * normal[:, :COORDINATES]).unflatten(1, (-1, 2)).unbind(2)  # each (B, STROKES CONTROLS)
    turn, zoom, aside, below = (part.unsqueeze(1) for part in normal[:, COORDINATES:].unbind(1))
    half = TURN / 2 * turn  # the tangent of half the angle: its sine and cosine are then the same in every batch
    scale = (1 + ZOOM * zoom) * (SIZE / 2 - 0.5) / (1 + half * half)  # pixels in a unit, over 1 + tangent^2
    cos, sin, centre = scale * (1 - half * half), scale * (2 * half), SIZE / 2 - 0.5
    column = cos * x - sin * y + (centre + SHIFT * SIZE / 2 * aside)
    row = sin * x + cos * y + (centre + SHIFT * SIZE / 2 * below)
    control = (torch.stack([column, row]).clamp(*REACH) * FINE).round().float()  # whole, and so is what follows
    start, middle, end = control.unflatten(2, (STROKES, CONTROLS, 1)).unbind(3)  # (2, B, STROKES, 1)
    parts = INK - 1
    time, bend = torch.arange(INK, dtype=torch.float32, device=noise.device), start - 2 * middle + end
    curve = torch.addcmul((2 * parts) * (middle - start), time, bend)  # sums below 2^24 are exact in any order
    curve = torch.addcmul(parts**2 * start + parts**2 // 2, time, curve)  # (2, B, STROKES, INK), parts^2 too much
    spot = curve.mul_(1 / parts**2).clamp_(0, (SIZE - 1) * FINE - 1).int().flatten(2)  # (2, B, n)
    (left, top), (column, row) = spot >> BITS, spot & FINE - 1  # what is over goes to the right and the lower pixel
    place = (top * SIZE + left).long()
    page = torch.zeros(len(noise), SIZE * SIZE, dtype=torch.int16, device=noise.device)
    for vertical, down in ((255 * (FINE - row), 0), (255 * row, SIZE)):
        aside, whole = vertical * column >> 2 * BITS, vertical >> BITS  # the order of adding does not matter
        page[:, down:].scatter_add_(1, place, (whole - aside).short())
        page[:, down + 1 :].scatter_add_(1, place, aside.short())
    return page.clamp_(max=255).to(torch.uint8).view(-1, 1, SIZE, SIZE)
