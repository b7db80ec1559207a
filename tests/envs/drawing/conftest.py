"""A small canvas."""

import pytest

from palaestra.envs.drawing.canvas import Canvas


@pytest.fixture
def canvas():
    """200 by 100 pixels, without a window."""
    return Canvas(200, 100)
