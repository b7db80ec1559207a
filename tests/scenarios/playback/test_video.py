"""Videos and sheets of frames."""

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from palaestra.envs import ids
from palaestra.scenarios import catalogue
from palaestra.scenarios.playback import draw_environments, watch, write_video
from palaestra.scenarios.playback.video import spread


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_a_video_has_a_frame_for_every_reset_and_every_step(suffix: str, tiny_memory: Path) -> None:
    video = Path(f"video{suffix}")
    played = watch(catalogue.get(tiny_memory), "expert", video=video, episodes=2)
    frames = iio.imread(video)
    assert frames.shape == (2 * (1 + 7), 480, 480, 3)
    assert [len(actions) for actions in played.episodes] == [7, 7]
    assert played.returns == pytest.approx([1.0, 1.0])
    assert np.abs(frames[0].astype(int) - frames[3].astype(int)).mean() > 0.5


def grey(level: int) -> np.ndarray:
    return np.full((4, 6, 3), level, np.uint8)


def test_a_sheet_spreads_its_frames_evenly_over_all_of_them() -> None:
    write_video(Path("sheet.png"), (grey(k) for k in range(100)))
    sheet = iio.imread("sheet.png")
    assert sheet.shape == (3 * 4, 4 * 6, 3)
    assert sheet[::4, ::6, 0].flatten().tolist() == [0, 9, 18, 27, 36, 45, 54, 63, 72, 81, 90, 99]


@pytest.mark.parametrize("count", [1, 2, 5, 12, 13, 767, 769, 5000])
def test_the_first_and_the_last_frame_are_among_those_spread_evenly(count: int) -> None:
    chosen = [int(frame) for frame in spread(iter(np.arange(count)), 12)]
    assert len(chosen) == min(count, 12)
    assert (chosen[0], chosen[-1]) == (0, count - 1)
    ideal = np.linspace(0, count - 1, min(count, 12))
    assert np.abs(chosen - ideal).max() <= max(0.5, count / 500)


def test_no_frames_make_no_choice() -> None:
    assert spread(iter([]), 12) == []


def test_a_video_that_fails_leaves_nothing_behind() -> None:
    def frames():
        yield grey(0)
        raise OSError("the disk is full")

    for name in ("v.mp4", "v.gif", "v.png"):
        with pytest.raises(OSError, match="the disk is full"):
            write_video(Path(name), frames())
    assert list(Path().iterdir()) == []


def test_the_sheet_of_environments_shows_each_under_its_name() -> None:
    draw_environments(Path("all.png"))
    rows = -(-len(ids()) // 4)
    assert iio.imread("all.png").shape == (rows * 524, 4 * 480, 3)
