"""Fingers: keys that wait in pygame's own queue for the window that will open."""

import threading
import time
from collections.abc import Callable

import pygame
import pytest


def _post(key: str) -> None:
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.key.key_code(key)))


@pytest.fixture
def press() -> Callable[..., None]:
    """Presses keys, by their names, in the window to come."""
    threads = []

    def press(*names: str) -> None:
        def fingers() -> None:
            while pygame.display.get_surface() is None:
                time.sleep(0.005)
            for name in names:
                _post(name)

        threads.append(threading.Thread(target=fingers, daemon=True))
        threads[-1].start()

    yield press
    for thread in threads:
        thread.join(5)


@pytest.fixture
def pressed_after() -> Callable[..., threading.Event]:
    """Presses a key so many seconds after the window has opened, and tells whether it was still there."""

    def pressed_after(name: str, seconds: float) -> threading.Event:
        seen = threading.Event()

        def finger() -> None:
            while pygame.display.get_surface() is None:
                time.sleep(0.005)
            time.sleep(seconds)
            if pygame.display.get_surface() is not None:
                seen.set()
                _post(name)

        threading.Thread(target=finger, daemon=True).start()
        return seen

    return pressed_after
