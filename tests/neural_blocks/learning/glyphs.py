"""Glyphs drawn from random stroke programs: a class is a program, a sample one jittered drawing of it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

STROKES, CONTROLS, SIZE = 3, 3, 16
CLASS_NOISE = STROKES * CONTROLS * 2  # uniforms that make a class
SAMPLE_NOISE = CLASS_NOISE + 4  # uniforms that make a sample: each control point's jitter, turn, zoom, shift


def draw_glyphs(classes: Tensor, samples: Tensor) -> Tensor:
    """Strokes are quadratic Bezier curves; a pixel is as bright as it is near to one.

    Args:
        classes: (K, CLASS_NOISE) uniforms in [0, 1).
        samples: (K, N, SAMPLE_NOISE) uniforms in [0, 1).

    Returns:
        (K, N, 1, SIZE, SIZE) float32 in [0, 1].
    """
    normal = torch.special.ndtri(samples.clamp(1e-6, 1 - 1e-6))
    points = 1.6 * classes.unsqueeze(1) - 0.8 + 0.07 * normal[..., :CLASS_NOISE]  # (K, N, CLASS_NOISE)
    points = points.unflatten(-1, (STROKES, CONTROLS, 2))
    turn, zoom, shift = 0.2 * normal[..., -4], 1 + 0.1 * normal[..., -3], 0.12 * normal[..., -2:]
    cos, sin = zoom * turn.cos(), zoom * turn.sin()
    rotation = torch.stack([cos, -sin, sin, cos], -1).unflatten(-1, (2, 2))  # (K, N, 2, 2)
    points = torch.einsum("knscx,knyx->knscy", points, rotation) + shift[..., None, None, :]
    time = torch.linspace(0, 1, 12)
    basis = torch.stack([math.comb(2, i) * time**i * (1 - time) ** (2 - i) for i in range(CONTROLS)])  # (3, 12)
    ink = torch.einsum("knscy,ct->knsty", points, basis).flatten(2, 3)  # (K, N, STROKES 12, 2)
    axis = torch.linspace(-1, 1, SIZE)
    pixels = torch.cartesian_prod(axis, axis)  # (SIZE^2, 2)
    distance = torch.cdist(pixels, ink.flatten(0, 1)).amin(-1).unflatten(0, samples.shape[:2])  # (K, N, SIZE^2)
    return torch.exp(-distance.square() / 0.015).unflatten(-1, (1, SIZE, SIZE))
