"""The event files of TensorBoard, read back."""

from pathlib import Path

import pytest

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios import runner, tracking
from palaestra.scenarios.tracking import TensorBoardTracker
from palaestra.tests.scenarios.conftest import learned

pytest.importorskip("tensorboard", reason="needs TensorBoard, which the extra 'tensorboard' brings")


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    found.Reload()
    return {tag: [(one.step, one.value) for one in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_a_run_that_was_stopped_and_goes_on_has_each_step_once(tmp_path: Path, tiny: Path) -> None:
    class Killed(Exception):
        pass

    def kill(steps: int, total: int, report: dict) -> None:
        if steps >= 384:
            raise Killed

    with pytest.raises(Killed):
        runner.run(tiny, root=tmp_path, steps=768, track="tensorboard", on_report=kill, checkpoint_seconds=100)
    (folder,) = (tmp_path / "tiny/ppo").iterdir()
    row = runner.resume(folder)
    found = scalars(folder / "tensorboard")
    wanted = [(int(line["steps"]), line["return"]) for line in learned(folder)]
    assert len(wanted) == 6
    assert found["return"] == [(step, pytest.approx(value, rel=1e-6)) for step, value in wanted]
    assert found["result/score"] == [(768, pytest.approx(row.score, rel=1e-6))]
    assert "steps" not in found


def test_a_full_disk_is_told_once_and_survived(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told: list[str] = []
    tracked = TensorBoardTracker(tmp_path / "file" / "tensorboard", told.append)
    tracked.log(1, {"return": 1.0})
    tracked.log(2, {"return": 1.0})
    tracked.finish({"score": 1.0})
    (line,) = told
    assert line.startswith("tensorboard: NotADirectoryError")
    assert line.endswith("the run goes on untracked")


def test_what_is_not_installed_or_takes_no_uploads_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match="upload 'film' needs the tracker 'wandb'; got 'tensorboard'"):
        tracking.check_tracker("tensorboard", ["film"])
    with pytest.raises(InvalidInput, match=r"upload must be one of 'film', 'checkpoint'; got 'flim' \(did you mean"):
        tracking.check_tracker("wandb", ["flim"])
    monkeypatch.setattr(tracking, "find_spec", lambda _: None)
    with pytest.raises(InvalidInput, match=r"needs TensorBoard: pip install 'palaestra\[tensorboard\]'"):
        tracking.check_tracker("tensorboard")
