"""Leaderboards at Weights & Biases, by the real client against a server on the loopback interface."""

import json
import os
import sys
from pathlib import Path

import pytest

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios import runner
from palaestra.scenarios.board import Leaderboard
from palaestra.scenarios.board.standings import standings
from palaestra.scenarios.main import main
from palaestra.scenarios.tracking import sharing
from palaestra.tests.scenarios.board.conftest import row
from palaestra.tests.scenarios.conftest import learned

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # of wandb, at its end
HERE = [row("ppo", seed, 0.9 + 0.01 * seed) for seed in range(3)] + [row("dqn", 0, 0.5)]
THERE = [row("ppo", seed, 0.8 + 0.01 * seed) for seed in (3, 4)] + [row("ppo", 0, 0.4, scenario="tabular")]


def command(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["palaestra", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code)


def test_what_two_machines_publish_is_one_leaderboard(tmp_path, server, monkeypatch, capsys):
    found = server("well")
    for name, rows in (("here", HERE), ("there", THERE)):
        for one in rows:
            Leaderboard(tmp_path / name / "leaderboard.sqlite").add(one)
        told = "publish", "--wandb", "me/team", "--root", tmp_path / name
        assert command(monkeypatch, *told) == 0
    assert f"{len(THERE)} runs published: {found.url}/me/team/runs/leaderboard-" in capsys.readouterr().out
    assert len(found.runs) == 2
    for kept in found.runs.values():
        assert kept["jobType"] == "leaderboard"
        assert kept["history"][0]["standings"]["_type"] == "table-file"
        charts = json.loads(kept["config"])["_wandb"]["value"]["visualize"]
        assert {"scores/all", "scores/digits"} <= set(charts)
    kinds = [(one["artifactTypeName"], one["committed"]) for one in found.artifacts]
    assert kinds.count(("leaderboard", True)) == 2
    pulled = sharing.pull("me/team")
    assert sorted(pulled, key=lambda one: one.run_id) == sorted(HERE + THERE, key=lambda one: one.run_id)

    Leaderboard(tmp_path / "third" / "leaderboard.sqlite").add(row("a2c", 0, 0.7))
    (tmp_path / "third" / "leaderboard.sqlite").replace(tmp_path / "leaderboard.sqlite")
    every = [*HERE, *THERE, row("a2c", 0, 0.7)]
    for scenario in (None, "digits"):
        words = ["leaderboard", *([scenario] if scenario else []), "--wandb", "me/team", "--json", "--root", tmp_path]
        assert command(monkeypatch, *words) == 0
        out, err = capsys.readouterr()
        assert json.loads(out) == json.loads(json.dumps([one.to_json() for one in standings(every, scenario)]))
        assert f"{len(every) - 1} runs of me/team, 1 of {tmp_path / 'leaderboard.sqlite'}: {len(every)} in all" in err

    (mine,) = [
        name for name, kept in found.runs.items() if "digits-dqn-0" in kept["files"]["leaderboard.json"].decode()
    ]
    sharing.publish(HERE[:1], "me/team", tmp_path / "here")
    assert len(found.runs) == 2  # from the same folder it is the same run
    assert json.loads(found.runs[mine]["files"]["leaderboard.json"])[0]["run_id"] == HERE[0].run_id


def test_a_tracked_run_is_told_once_goes_on_and_can_be_ranked(tmp_path, server, tiny):
    found = server("well")

    class Killed(Exception):
        pass

    def kill(steps: int, total: int, report: dict) -> None:
        if steps >= 384:
            raise Killed

    told = {"root": tmp_path / "runs", "steps": 768, "track": "wandb", "upload": ("film", "checkpoint")}
    with pytest.raises(Killed):
        runner.run(tiny, on_report=kill, checkpoint_seconds=100, **told)
    (folder,) = (tmp_path / "runs/tiny/ppo").iterdir()
    mine = runner.resume(folder)
    (name, kept) = found.runs.popitem()
    assert (name, found.runs) == (mine.run_id, {})
    assert (kept["jobType"], kept["groupName"]) == ("train", "tiny/ppo")
    config = {key: one["value"] for key, one in json.loads(kept["config"]).items() if key != "_wandb"}
    assert config["hidden"] == [16]
    assert config["options"] == {"split": "train"}
    logged = [line["_step"] for line in kept["history"] if "loss" in "".join(line)]
    assert logged == [int(line["steps"]) for line in learned(folder)]  # each once, in order, over both halves
    assert sum("recorded_episodes" in line for line in kept["history"]) == 1
    assert [path.split("/")[1] for path in kept["files"] if path.startswith("media/")].count("videos") == 1
    models = [one for one in found.artifacts if one["artifactTypeName"] == "model"]
    assert [(one["artifactCollectionName"], one["committed"]) for one in models] == [(f"run-{mine.run_id}", True)]
    found.runs[name] = kept
    assert sharing.pull("me/palaestra") == [mine]

    again = runner.score_run(folder, track="wandb")
    assert again.return_mean == mine.return_mean
    (other,) = [one for one in found.runs.values() if one is not kept]
    assert (other["jobType"], other["groupName"]) == ("evaluate", "tiny/ppo")
    assert json.loads(other["summary"])["return"] == mine.return_mean
    assert sharing.pull("me/palaestra") == [mine]


def test_training_goes_on_where_the_server_dies_half_way_and_says_so_once(tmp_path, server, tiny, capsys):
    found = server("well")

    def die(steps: int, total: int, report: dict) -> None:
        found.manner = "rubbish"

    done = runner.run(tiny, root=tmp_path / "runs", steps=256, track="wandb", on_report=die)
    assert done.steps == 256
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("wandb: ")]
    assert len(told) == 1
    assert "wandb sync" in told[0]


def test_rows_that_cannot_be_read_are_left_out_and_told_of_once(tmp_path, server):
    found, told = server("well"), []
    sharing.publish(HERE, "me/team", tmp_path)
    (kept,) = found.runs.values()
    rows = json.loads(kept["files"]["leaderboard.json"])
    rows[1]["seed"] = "one"
    del rows[2]["steps"]
    kept["files"]["leaderboard.json"] = json.dumps([*rows, 7]).encode()
    found.run("abc").update(jobType="train", summary=json.dumps({sharing.ROW: "no JSON"}))
    found.run("def").update(jobType="train")  # tracked, and not finished
    assert sharing.pull("me/team", told.append) == [HERE[0], HERE[3]]
    (line,) = told
    assert line.startswith("wandb: 4 runs of me/team left out: ")


@pytest.mark.parametrize(
    ("manner", "reason"),
    [("refuse", "HTTP 401"), ("error", "HTTP 500"), ("rubbish", "not that of a server"), ("hang", "no answer within")],
)
def test_a_server_that_does_not_serve_is_one_line(tmp_path, server, manner, reason):
    server(manner)
    told: list[str] = []
    with pytest.raises(OSError, match=reason):
        sharing.pull("me/team", patience=2.0)
    where = sharing.publish(HERE, "me/team", tmp_path, told.append, timeout=2.0)
    assert told[0].endswith(f"wandb sync {where}")
    assert len(told) == 1


def test_a_server_that_turns_bad_while_it_is_read_is_one_line(tmp_path, server):
    found = server("well")
    sharing.publish(HERE, "me/team", tmp_path)
    for kept in found.runs.values():
        kept["files"]["leaderboard.json"] = b"\x00<html>"
    told: list[str] = []
    assert sharing.pull("me/team", told.append) == []
    assert len(told) == 1
    found.runs["leaderboard-x"] = {"name": "x", "history": None, "summary": "", "config": "", "jobType": "train"}
    with pytest.raises(OSError, match=r"^wandb: "):
        sharing.pull("me/team", told.append, patience=4.0)


def test_publishing_and_reading_need_a_project_rows_and_a_key(tmp_path, monkeypatch):
    with pytest.raises(InvalidInput, match="wandb must be ENTITY/PROJECT; got 'team'"):
        sharing.pull("team")
    with pytest.raises(InvalidInput, match="publish needs finished runs"):
        sharing.publish([], "me/team", tmp_path)
    with pytest.raises(InvalidInput, match="there is no API key"):
        sharing.pull("me/team")


def test_what_is_published_offline_can_be_read_back(tmp_path):
    from palaestra.tests.scenarios.tracking.test_wandb_run import records

    where = Path(sharing.publish(HERE, "me/team", tmp_path))
    assert where.parent == tmp_path / "wandb"
    (log,) = where.glob("*.wandb")
    everything = json.dumps(records(log))
    assert [part in everything for part in ("leaderboard", "standings", "scores/digits")] == [True] * 3
    assert json.loads((where / "files" / "leaderboard.json").read_text())[0]["run_id"] == HERE[0].run_id
    assert os.environ["WANDB_MODE"] == "offline"
