"""Frames as files: MP4 and GIF videos, PNG sheets of frames spread over what was played, the sheet of environments."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from ...agents.core.whole_file import write_whole
from ...envs.adapters.batched import BatchedEnv
from ...envs.core.task import NoExpert
from ...envs.drawing.canvas import Canvas
from ...envs.registry import ids, make_task
from ...neural_blocks.errors import InvalidInput, shown
from .film_page import Player

FORMATS = (".mp4", ".gif", ".png", ".html")
FRAMES_PER_SECOND = 2.0
SHEET = 12  # frames of a PNG sheet
SHEET_SEED, SHEET_STEPS = 7, 6  # the episode and the moment in which every environment is drawn
SHOWN_WITH: dict[str, tuple[int, dict[str, Any]]] = {"palaestra/Calibrate-v0": (123, {"blend": 1.0, "corruption": 0.0})}
"""Seed and options with which an environment's picture shows what it is about: here a digit that is as much 4 as 9."""

Frame = NDArray[np.uint8]


def check_format(video: Path) -> None:
    """Nothing, for a file that `write_video` writes; else raises `InvalidInput`."""
    if video.suffix.lower() not in FORMATS:
        raise InvalidInput(f"video must end in {', '.join(FORMATS)}; got {shown(str(video))}")


def write_video(path: Path, frames: Iterator[Frame], frames_per_second: float = FRAMES_PER_SECOND) -> None:
    """Writes (H, W, 3) uint8 frames whole or not at all.

    As .mp4, .gif, a .png sheet of twelve spread evenly, or an .html page with buttons.
    """
    from imageio import v2

    imageio: Any = v2
    check_format(path)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / f"video{path.suffix.lower()}"
        if made.suffix == ".html":
            made.write_text(Player(frames, frames_per_second, path.stem).page(), encoding="utf-8")
        elif made.suffix == ".png":
            _save_sheet(made, spread(frames, SHEET))
        else:
            gif: dict[str, Any] = {"duration": 1000 / frames_per_second, "loop": 0}
            mp4: dict[str, Any] = {"fps": frames_per_second, "macro_block_size": 2, "codec": "libx264", "quality": 8}
            with imageio.get_writer(made, **(gif if made.suffix == ".gif" else mp4)) as writer:
                for frame in frames:
                    writer.append_data(frame)
        _keep(path, made)


def _keep(path: Path, made: Path) -> None:
    with made.open("rb") as content:
        write_whole(path, lambda file: shutil.copyfileobj(content, file))


def spread(frames: Iterator[Frame], count: int) -> list[Frame]:
    """`count` frames spread evenly over all of them, the first and the last among them; all if they are no more.

    Of a stream of unknown length no more than 64 frames for each of them are held at once.
    """
    kept: list[tuple[int, Frame]] = []
    every, total = 1, 0
    last = None
    for number, frame in enumerate(frames):
        if number % every == 0:
            kept.append((number, frame))
        if len(kept) > 64 * count:  # too many: every second one stays
            every *= 2
            kept = [one for one in kept if one[0] % every == 0]
        last, total = frame, number + 1
    if last is None:
        return []
    if kept[-1][0] != total - 1:
        kept.append((total - 1, last))
    places = np.array([number for number, _ in kept])
    wanted = np.round(np.linspace(0, total - 1, min(count, total)))
    return [kept[int(np.abs(places - place).argmin())][1] for place in wanted]


def _save_sheet(path: Path, frames: list[Frame], columns: int = 4) -> None:
    """A PNG of the frames in rows of four, the last row filled up with white."""
    import imageio.v3 as imageio

    columns = min(columns, len(frames))
    missing = -len(frames) % columns
    cells = [*frames, *repeat(np.full_like(frames[0], 255), missing)]
    rows = [np.concatenate(cells[first : first + columns], 1) for first in range(0, len(cells), columns)]
    imageio.imwrite(path, np.concatenate(rows, 0))


def draw_environments(path: Path) -> None:
    """Writes a .png sheet of every environment, each a few expert steps into an episode, under its name."""
    if path.suffix.lower() != ".png":
        raise InvalidInput(f"images must end in .png; got {shown(str(path))}")
    frames = []
    for id in ids():
        seed, options = SHOWN_WITH.get(id, (SHEET_SEED, {}))
        env = BatchedEnv(make_task(id, **options), 1, seed=seed, autoreset=AutoresetMode.DISABLED)
        env.reset()
        with suppress(NoExpert):
            for _ in range(SHEET_STEPS):
                if not bool(env.ended[0]):
                    env.step(env.expert_action())
        canvas = Canvas(height=44)
        canvas.clear()
        canvas.text(id, (canvas.width // 2, 22), size=26, anchor="center")
        frames.append(np.concatenate([canvas.frame(), env.frames()[0]], 0))
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "sheet.png"
        _save_sheet(made, frames)
        _keep(path, made)
