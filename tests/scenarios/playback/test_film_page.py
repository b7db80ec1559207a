"""A film as a page: what it holds, and that nothing of it comes from elsewhere."""

import base64
import json
import re
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from palaestra import scenarios
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios import catalogue
from palaestra.scenarios.playback import Player, watch, write_video


def frames_of(page: str) -> list[np.ndarray]:
    listed = re.search(r"const FRAMES = (\[.*?\]);", page)
    return [iio.imread(base64.b64decode(one)) for one in json.loads(listed[1])]


def test_a_page_holds_every_frame_and_needs_no_network(tiny_memory: Path) -> None:
    played = watch(catalogue.get(tiny_memory), "expert", video=Path("film.html"), episodes=2, frames_per_second=7)
    page = Path("film.html").read_text()
    found = frames_of(page)
    assert len(found) == 2 + sum(map(len, played.episodes))
    assert found[0].shape == (480, 480, 3)
    assert not re.search(r"(src|href)=\"?https?:|//cdn", page)
    assert 'max="15" value="0"' in page
    assert 'value="7"' in page


def test_a_notebook_shows_the_page_in_a_frame_and_names_are_text(tiny_memory: Path) -> None:
    film = scenarios.player(tiny_memory, "random", episodes=1, details=True)
    assert len(film.frames) == 8
    shown = film._repr_html_()
    assert shown.startswith('<iframe srcdoc="&lt;!doctype html&gt;')
    assert "<script>" not in shown
    frame = np.zeros((4, 6, 3), np.uint8)
    named = Player([frame], 2.0, "<b>&</b>").page()
    assert "<b>" not in named
    assert "&lt;b&gt;&amp;&lt;/b&gt;" in named
    assert np.array_equal(frames_of(named)[0], frame)


def test_a_page_without_frames_or_with_too_many_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match="at least one frame"):
        Player([], 2.0, "none")
    monkeypatch.setattr("palaestra.scenarios.playback.film_page.MOST", 2)
    with pytest.raises(InvalidInput, match="at most 2 frames"):
        write_video(Path("many.html"), iter([np.zeros((4, 4, 3), np.uint8)] * 3))
    assert not Path("many.html").exists()
