"""Starts that cannot work are found before anything is written; what a run folder holds is checked when it is read."""

import json
import math
from pathlib import Path

import gymnasium
import gymnasium.spaces as spaces
import numpy as np
import pytest
import torch
import yaml

from palaestra.agents.core.checkpoint import read_checkpoint, write_checkpoint
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios import runner
from palaestra.scenarios.catalogue import Scenario


def changed(tiny: Path, **values: object) -> Path:
    tiny.write_text(yaml.safe_dump(yaml.safe_load(tiny.read_text()) | values))
    return tiny


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"agent": "sac"}, "action space must be Box"),
        ({"agent": "self_play"}, "one player's view of a game"),
        ({"settings": {"encoder": torch.nn.Linear(4, 4)}}, "encoder must be a name or 'module:Class' in a run"),
        ({"settings": {"memory": torch.nn.Linear(4, 4)}}, "got a module, Linear"),
        ({"label": "two\nlines"}, "label must be 1 to 80 printable characters"),
        ({"demonstrations": "nowhere.json"}, "not a readable recording"),
    ],
)
def test_an_agent_that_cannot_run_here_leaves_nothing_behind(tiny: Path, change: dict, told: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        runner.run(**{"scenario": tiny, "root": "runs", **change})
    assert told in str(caught.value)
    assert not Path("runs").exists()


@pytest.mark.parametrize("part", ["options", "evaluation", "validation"])
def test_a_wrong_option_of_any_part_of_the_protocol_is_found_before_anything_is_written(tiny: Path, part: str) -> None:
    content = yaml.safe_load(tiny.read_text())
    if part == "options":
        content |= {"options": {"split": "trian"}, "evaluation": {"options": {"split": "test"}}}
    else:
        content |= {part: {"options": {"split": "trian"}}}
    with pytest.raises(InvalidInput, match="split must be one of"):
        runner.run(changed(tiny, **content), root="runs")
    assert not Path("runs").exists()


@pytest.mark.parametrize("what", ["a folder", "a text", "another database", "a link"])
def test_what_stands_where_the_leaderboard_should_is_found_before_anything_is_trained(tiny: Path, what: str) -> None:
    board = Path("runs/leaderboard.sqlite")
    board.parent.mkdir()
    if what == "a folder":
        board.mkdir()
    elif what == "a link":
        board.symlink_to("elsewhere")
    elif what == "a text":
        board.write_text("text" * 100)
    else:
        import sqlite3

        sqlite3.connect(board).execute("CREATE TABLE t (a)").connection.close()
    with pytest.raises(InvalidInput, match="leaderboard"):
        runner.run(tiny, root="runs")
    assert [path.name for path in Path("runs").iterdir()] == ["leaderboard.sqlite"]


class Faulty(gymnasium.Env):
    """Fails, or returns NaN, at a step of its choice; cannot be drawn."""

    observation_space, action_space = spaces.Box(-1, 1, (2,), np.float32), spaces.Discrete(2)

    def __init__(self, at: int = 10**9, end: int = 8, fails: bool = False):
        self.at, self.end, self.fails, self.taken = at, end, fails, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if self.at == 0:
            raise RuntimeError("the licence has run out")
        self.length = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.length, self.taken = self.length + 1, self.taken + 1
        if self.taken == self.at and self.fails:
            raise RuntimeError("the licence has run out")
        return np.zeros(2, np.float32), float(action), self.length >= self.end, False, {}


gymnasium.register("Faulty-v0", Faulty)


def faulty(**options: object) -> Scenario:
    return Scenario(
        name="faulty", title="", description="", environment="Faulty-v0", options=options, steps=256, num_envs=4,
        evaluation={"options": {"at": 10**9}, "episodes": 8, "num_envs": 4},
        agents={"ppo": {"rollout_steps": 8, "hidden": [8]}}, reference={"random": 4, "expert": 8, "source": "counted"},
    )  # fmt: skip


def test_a_run_that_fails_before_it_has_learned_anything_leaves_no_folder() -> None:
    with pytest.raises(InvalidInput, match="the licence has run out"):
        runner.run(faulty(at=0), root="runs")
    assert not list(Path("runs").iterdir())


def test_a_run_that_fails_later_keeps_what_it_learned() -> None:
    with pytest.raises(InvalidInput, match="the licence has run out"):
        runner.run(faulty(at=40, fails=True), root="runs")
    (folder,) = Path("runs/faulty/ppo").iterdir()
    assert read_checkpoint(folder / "checkpoint.pt")["state"]["steps"] > 0


def test_an_environment_that_cannot_be_drawn_has_result_row_and_recording() -> None:
    row = runner.run(faulty(), root="runs")
    folder = Path(row.folder)
    assert 0 <= row.score <= 1
    assert [len(episode) for episode in json.loads((folder / "recording.json").read_text())["episodes"]] == [8, 8, 8]


def test_the_result_stands_where_the_recording_fails(tiny: Path, monkeypatch) -> None:
    def failing(*_: object, **__: object) -> None:
        raise RuntimeError("no picture")

    monkeypatch.setattr("palaestra.scenarios.runner.scoring.play_episodes", failing)
    with pytest.warns(RuntimeWarning, match="no recording was kept: RuntimeError: no picture"):
        row = runner.run(tiny, root="runs")
    assert {"result.json", "checkpoint.pt"} <= {path.name for path in Path(row.folder).iterdir()}


def test_a_recording_imitated_at_any_moment_is_saved_and_carried_on(tiny: Path) -> None:
    recording = {
        "environment": "palaestra/TabularBandit-v0", "options": {"split": "train"}, "seed": 0,
        "episodes": [[0], [1], [2]] * 7, "returns": [0.0] * 21,
    }  # fmt: skip
    from palaestra.envs import make_batched

    env = make_batched("palaestra/TabularBandit-v0", 1, seed=0, split="train")
    env.reset(0)
    recording["returns"] = [float(env.step(torch.tensor(action)).reward) for action in recording["episodes"]]
    Path("shown.json").write_text(json.dumps(recording))
    settings = {"hidden": [8]}
    row = runner.run(
        tiny, "behaviour_cloning", steps=210, settings=settings, demonstrations="shown.json", root="runs",
        checkpoint_seconds=0,
    )  # fmt: skip
    assert row.steps == 21
    kept = read_checkpoint(Path(row.folder) / "checkpoint.pt")
    assert kept["extra"]["environment"] is None
    again = runner.resume(row.folder, steps=420)
    assert again.steps == 21
    assert read_checkpoint(Path(row.folder) / "checkpoint.pt")["state"]["steps"] == 420


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("seed", "one", "seed should be a valid integer; got 'one'"),
        ("seed", -1, "seed should be greater than or equal to 0; got -1"),
        ("steps", 1.5, "steps should be a valid integer; got 1.5"),
        ("config", [1], "config should be a valid dictionary; got [1]"),
        ("run_id", "../../etc", "run_id should match pattern"),
        ("scenario", "digits", "scenario should be"),
        ("surprise", 1, "key must be one of"),
        ("agent", None, "agent should be a valid string; got None"),
        ("agent", "os:system", "names code to import, 'os:system'"),
    ],
)
def test_a_damaged_run_yaml_is_told_in_one_line(tiny: Path, key: str, value: object, told: str) -> None:
    folder = Path(runner.run(tiny, "random", root="runs").folder)
    content = yaml.safe_load((folder / "run.yaml").read_text())
    (folder / "run.yaml").write_text(yaml.safe_dump(content | {key: value}))
    for use in (runner.resume, runner.score_run):
        with pytest.raises(InvalidInput) as caught:
            use(folder)
        assert told in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("seconds", -1.0, "seconds should be greater than or equal to 0"),
        ("seconds", math.nan, "seconds should be greater than or equal to 0"),
        ("logged", "far", "logged should be a valid integer; got 'far'"),
        ("environment", {"state": []}, "does not fit the environments"),
        ("environment", {"elapsed": torch.zeros(16)}, "elapsed must be torch.int64; got torch.float32"),
        ("surprise", 1, "key must be one of"),
    ],
)
def test_a_checkpoint_with_damaged_extras_is_told_in_one_line(tiny: Path, key: str, value: object, told: str) -> None:
    folder = Path(runner.run(tiny, root="runs", steps=256).folder)
    (folder / "result.json").unlink()
    content = read_checkpoint(folder / "checkpoint.pt")
    content["extra"][key] = value
    write_checkpoint(folder / "checkpoint.pt", content)
    with pytest.raises(InvalidInput) as caught:
        runner.resume(folder)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_result_is_told_in_one_line(tiny: Path) -> None:
    folder = Path(runner.run(tiny, "random", root="runs").folder)
    for text in ("{", "[]", '{"score": "high"}', ""):
        (folder / "result.json").write_text(text)
        with pytest.raises(InvalidInput, match=r"result\.json") as caught:
            runner.resume(folder)
        assert "\n" not in str(caught.value)


def test_a_run_of_a_device_that_is_not_here_goes_on_where_it_can(tiny: Path) -> None:
    folder = Path(runner.run(tiny, root="runs", steps=256).folder)
    (folder / "result.json").unlink()
    text = (folder / "run.yaml").read_text()
    (folder / "run.yaml").write_text(text.replace("device: cpu", "device: cuda:77"))
    assert runner.score_run(folder).steps == 256
    assert runner.resume(folder).steps == 256
    with pytest.raises(InvalidInput, match="device must be 'auto'"):
        runner.score_run(folder, device="abacus")
