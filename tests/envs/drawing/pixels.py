"""Where a frame has a colour."""

from __future__ import annotations

import numpy as np

from palaestra.envs.drawing.canvas import BACKGROUND


def where(frame, colour):
    """(y, x) of the pixels of exactly that colour: (N, 2)."""
    return np.argwhere((frame == np.array(colour)).all(axis=2))


def drawn(frame):
    """(y, x) of the pixels that are not background: (N, 2)."""
    return np.argwhere((frame != np.array(BACKGROUND)).any(axis=2))
