"""Playback: files, windows and a person at the keyboard."""

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from palaestra.envs.core.canvas import Canvas
from palaestra.envs.core.task import NoExpert
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios import catalogue, runner
from palaestra.scenarios.playback import watch
from palaestra.scenarios.recording import Recording


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_a_video_has_a_frame_for_every_reset_and_every_step(suffix: str, tiny_memory: Path) -> None:
    video = Path(f"video{suffix}")
    played = watch(catalogue.get(tiny_memory), "expert", video=video, episodes=2)
    frames = iio.imread(video)
    assert frames.shape == (2 * (1 + 7), 480, 480, 3)
    assert [len(actions) for actions in played.episodes] == [7, 7]
    assert played.returns == pytest.approx([1.0, 1.0])
    assert np.abs(frames[0].astype(int) - frames[3].astype(int)).mean() > 0.5


def test_a_sheet_shows_the_first_frames_in_rows_of_four(tiny_memory: Path) -> None:
    watch(catalogue.get(tiny_memory), "random", video=Path("sheet.png"), episodes=1)
    assert iio.imread("sheet.png").shape == (2 * 480, 4 * 480, 3)


def test_a_foreign_environment_renders_its_own_frames(tmp_path: Path) -> None:
    path = tmp_path / "cartpole.yaml"
    path.write_text("{name: pole, title: T, description: D, environment: CartPole-v1, steps: 64, num_envs: 2}")
    played = watch(catalogue.get(path), "random", video=Path("pole.mp4"), episodes=1)
    assert iio.imread("pole.mp4").shape == (1 + len(played.episodes[0]), 400, 600, 3)
    with pytest.raises(NoExpert, match="CartPole-v1 has no expert"):
        watch(catalogue.get(path), "expert", video=Path("none.gif"), episodes=1)
    assert not Path("none.gif").exists()


def test_a_trained_run_plays_as_it_was_recorded(tiny: Path) -> None:
    folder = Path(runner.run(tiny, root="runs").folder)
    recording = Recording.load(folder / "recording.json")
    played = watch(catalogue.get(tiny), str(folder), video=Path("run.gif"), episodes=len(recording.episodes))
    assert (played.seed, played.episodes, played.returns) == (recording.seed, recording.episodes, recording.returns)


def test_a_recording_plays_in_a_window_without_a_person(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = watch(catalogue.get(tiny), "expert", video=Path("v.gif"), episodes=2)
    recording.save("r.json")
    again = watch(catalogue.get(tiny), "r.json", frames_per_second=1000)
    assert again == recording


def keys(monkeypatch: pytest.MonkeyPatch, pressed: list[str]) -> None:
    waiting = iter([[key] for key in pressed])
    monkeypatch.setattr(Canvas, "keys_pressed", lambda self: next(waiting))


def test_a_person_plays_with_number_keys(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    truth = watch(catalogue.get(tiny), "expert", video=Path("v.gif"), episodes=2)
    first, second = (str(actions[0]) for actions in truth.episodes)
    wrong = str((int(second) + 1) % 3)
    keys(monkeypatch, ["x", first, "space", f"[{wrong}]", "return"])  # x is no answer; [1] is the number pad
    played = watch(catalogue.get(tiny), "human", episodes=2)
    assert played.returns == [1.0, 0.0]
    assert played.episodes == [[int(first)], [int(wrong)]]


def test_escape_ends_a_persons_game_and_keeps_what_was_played(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys(monkeypatch, ["0", "space", "escape"])
    played = watch(catalogue.get(tiny), "human", episodes=5)
    assert played.episodes == [[0]]
    assert len(played.returns) == 1


def test_an_action_space_without_keys_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pendulum.yaml"
    path.write_text("{name: swing, title: T, description: D, environment: Pendulum-v1, steps: 64}")
    with pytest.raises(InvalidInput, match="a person can play Discrete actions"):
        watch(catalogue.get(path), "human")


def test_a_recording_of_another_environment_is_refused(tiny: Path, tiny_memory: Path) -> None:
    watch(catalogue.get(tiny), "expert", video=Path("v.gif"), episodes=1).save("r.json")
    with pytest.raises(InvalidInput, match=r"recording must be of palaestra/RepeatPrevious-v0"):
        watch(catalogue.get(tiny_memory), "r.json", video=Path("w.gif"))
