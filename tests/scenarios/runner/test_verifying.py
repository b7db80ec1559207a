"""A finished run is what it says, or what it is not is named."""

import json
from pathlib import Path

import pytest

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios import runner
from palaestra.scenarios.board import Leaderboard
from palaestra.scenarios.runner.verifying import verify


def changed(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_run_is_what_it_says_or_what_it_is_not_is_named(tiny: Path) -> None:
    row = runner.run(tiny, "ppo", 1, steps=512, root="runs")
    folder = Path(row.folder)
    found = verify(folder)
    assert (found.episodes, found.return_mean, found.score) == (3, row.return_mean, row.score)

    kept = {name: (folder / name).read_text() for name in ("recording.json", "result.json")}
    recording = json.loads(kept["recording.json"])
    changed(folder / "recording.json", returns=[1 - value for value in recording["returns"]])
    with pytest.raises(InvalidInput, match=r"recording.json: .* must have the return"):
        verify(folder)
    changed(folder / "recording.json", returns=recording["returns"], seed=recording["seed"] + 1)
    with pytest.raises(InvalidInput, match="is not of the episodes that the run is scored with"):
        verify(folder)
    changed(folder / "recording.json", seed=recording["seed"], options={"split": "train"})
    with pytest.raises(InvalidInput, match="is not of the episodes that the run is scored with"):
        verify(folder)
    (folder / "recording.json").write_text(kept["recording.json"])

    changed(folder / "result.json", return_mean=0.999)
    with pytest.raises(InvalidInput, match=r"tells a mean return of 0.999; its checkpoint, scored again, has"):
        verify(folder)
    (folder / "result.json").write_text(kept["result.json"])
    board = Leaderboard("runs/leaderboard.sqlite")
    board.add(type(row)(**{**vars(row), "return_mean": 0.999}))
    with pytest.raises(InvalidInput, match=r"the leaderboard tells a mean return of 0.999"):
        verify(folder)
    (folder / "result.json").unlink()
    with pytest.raises(InvalidInput, match="is not finished"):
        verify(folder)
