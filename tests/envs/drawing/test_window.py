"""The window: what it shows, and what it tells of keys, mouse and its end."""

from __future__ import annotations

import pytest

from palaestra.envs.drawing.canvas import COLOURS, Canvas
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.tests.envs.drawing.pixels import drawn


@pytest.fixture
def window(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    canvas = Canvas(200, 100, window=True, caption="test")
    yield canvas
    canvas.close()


def test_show_brings_the_picture_to_the_window(window):
    import pygame

    window.grid([[3]], (0, 0, 100, 100))
    assert window.show()
    display = pygame.display.get_surface()
    assert display.get_size() == (200, 100)
    assert tuple(display.get_at((50, 50)))[:3] == COLOURS[3]
    assert pygame.display.get_caption()[0] == "test"


def test_keys_are_reported_once_and_in_order_also_when_show_reads_them(window):
    import pygame

    window.keys_pressed()
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_LEFT))
    window.show()
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_a))
    assert window.keys_pressed() == ["left", "a"]
    assert window.keys_pressed() == []


def test_the_window_reports_that_the_user_closed_it(window):
    import pygame

    assert window.show()
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    assert not window.show()
    assert window.closed
    assert window.keys_pressed() == []
    window.text("still drawable", (0, 0))
    assert len(drawn(window.frame())) > 0


def test_a_window_closes_twice_without_harm(window):
    window.close()
    window.close()
    assert not window.show()


def test_a_window_that_nobody_can_see_is_refused(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "offscreen")
    with pytest.raises(InvalidInput, match="needs a display"):
        Canvas(window=True)


def test_a_canvas_without_a_window_cannot_be_shown(canvas):
    with pytest.raises(InvalidInput, match=r"Canvas.show.*window=False"):
        canvas.show()
    with pytest.raises(InvalidInput, match=r"Canvas.keys_pressed"):
        canvas.keys_pressed()


def test_the_mouse_is_reported_in_pixels_of_the_canvas(window):
    import pygame

    pygame.display.set_mode((400, 200))  # a person has made the window twice as large
    window.inputs()
    post = lambda kind, **what: pygame.event.post(pygame.event.Event(kind, **what))  # noqa: E731
    post(pygame.MOUSEBUTTONDOWN, pos=(100, 50), button=1)
    post(pygame.MOUSEMOTION, pos=(110, 60), rel=(10, 10), buttons=(1, 0, 0))
    post(pygame.MOUSEBUTTONUP, pos=(120, 70), button=1)
    post(pygame.MOUSEBUTTONDOWN, pos=(120, 70), button=3)
    post(pygame.KEYDOWN, key=pygame.K_UP)
    assert [(one.kind, one.key, one.place) for one in window.inputs()] == [
        ("press", "", (50, 25)),
        ("drag", "", (55, 30)),
        ("release", "", (60, 35)),
        ("key", "up", (-1, -1)),
    ]
    assert window.inputs() == []
