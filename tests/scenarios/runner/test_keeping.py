"""Labels and configurations of runs; listing, extending, relabelling, removing and exporting them."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import yaml

from palaestra.agents.core.checkpoint import read_checkpoint
from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios import leaderboard, runner
from palaestra.scenarios.board import Leaderboard
from palaestra.scenarios.configuration import configuration, derived_label
from palaestra.scenarios.runner import keeping


def test_a_smoke_test_and_other_settings_leave_the_full_runs_standing_alone(tiny: Path) -> None:
    full = [runner.run(tiny, "ppo", seed, root="runs").score for seed in range(2)]
    (before,) = leaderboard("tiny", root="runs")
    runner.run(tiny, "ppo", 0, root="runs", steps=128)
    runner.run(tiny, "ppo", 1, root="runs", settings={"gamma": 0.5, "hidden": [4]})
    standings = {standing.label: standing for standing in leaderboard("tiny", root="runs")}
    assert set(standings) == {"ppo", "ppo steps=128", "ppo hidden=[4] gamma=0.5"}
    assert (standings["ppo"].score, standings["ppo"].seeds) == (before.score, 2) == (pytest.approx(sum(full) / 2), 2)
    again = runner.run(tiny, "ppo", 1, root="runs")  # equal in everything: the newer counts
    assert {s.label: s.seeds for s in leaderboard("tiny", root="runs")}["ppo"] == 2
    assert again.score == full[1]


def test_a_changed_scenario_is_another_configuration(tiny: Path) -> None:
    first = runner.run(tiny, "random", root="runs")
    content = yaml.safe_load(tiny.read_text())
    tiny.write_text(yaml.safe_dump(content | {"title": "Other words", "description": "", "steps": 4096}))
    assert runner.run(tiny, "random", 1, root="runs").configuration == first.configuration
    tiny.write_text(yaml.safe_dump(content | {"evaluation": {**content["evaluation"], "episodes": 48}}))
    assert runner.run(tiny, "random", 2, root="runs").configuration != first.configuration
    assert sorted(standing.seeds for standing in leaderboard("tiny", root="runs")) == [1, 2]


def test_a_label_is_chosen_or_made_of_what_differs(tiny: Path) -> None:
    assert runner.run(tiny, "random", root="runs", label="by chance").label == "by chance"
    assert derived_label("ppo", {}) == "ppo"
    assert derived_label("ppo", {"steps": 2000, "gamma": 0.5, "hidden": [64, 64]}) == (
        "ppo steps=2k gamma=0.5 hidden=[64,64]"
    )
    long = {f"setting_{k}": k for k in range(20)}
    assert len(derived_label("ppo", long)) < 80
    assert derived_label("ppo", long) != derived_label("ppo", long | {"setting_19": 0})


def test_an_extended_run_goes_on_from_where_it_ended_and_is_a_configuration_of_its_own(tiny: Path) -> None:
    short = runner.run(tiny, "ppo", root="runs", steps=1024)
    whole = runner.run(tiny, "ppo", root="whole")
    row = runner.resume(short.folder, steps=2048)
    assert (row.run_id, row.steps, row.label) == (short.run_id, 2048, "ppo")
    assert row.configuration not in (short.configuration, whole.configuration)
    folder = Path(short.folder)
    assert read_checkpoint(folder / "checkpoint.pt")["state"]["steps"] == 2048
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["steps"] for line in lines] == [128.0 * k for k in range(1, 17)]
    assert lines[-1]["evaluation_return"] is not None
    assert Leaderboard("runs/leaderboard.sqlite").rows() == [row]
    assert runner.resume(folder) == row
    for steps in (2047, 100):
        with pytest.raises(InvalidInput, match="steps must be a whole number from 2049"):
            runner.resume(folder, steps=steps)


def test_an_agent_that_does_not_learn_cannot_be_extended(tiny: Path) -> None:
    with pytest.raises(InvalidInput, match="'random' does not learn"):
        runner.resume(runner.run(tiny, "random", root="runs").folder, steps=10)


def test_runs_are_listed_with_their_state(tiny: Path) -> None:
    finished = runner.run(tiny, "random", root="runs")
    stopped = Path(runner.run(tiny, "ppo", root="runs").folder)
    (stopped / "result.json").unlink()
    damaged = Path(runner.run(tiny, "random", 1, root="runs").folder)
    (damaged / "run.yaml").write_text("seed: [")
    found = {run.folder: run for run in keeping.kept_runs("runs")}
    assert found[Path(finished.folder)].state == "finished"
    assert found[Path(finished.folder)].score == finished.score
    assert (found[stopped].state, found[stopped].steps, found[stopped].total) == ("stopped", 2048, 2048)
    assert found[damaged].state.startswith("unreadable: ")
    assert len(found) == 3
    assert keeping.kept_runs("runs", "absent") == []
    assert keeping.kept_runs("nowhere") == []


@pytest.mark.parametrize("by", ["folder", "id"])
def test_a_removed_run_leaves_no_row_no_folder_and_no_empty_folders(tiny: Path, by: str) -> None:
    row, other = runner.run(tiny, "random", root="runs"), runner.run(tiny, "expert", root="runs")
    Path("precious").mkdir()
    Path("precious/mine").touch()
    Path(row.folder, "link").symlink_to(Path("precious").absolute())
    keeping.remove_run(row.folder if by == "folder" else row.run_id, "runs")
    assert Leaderboard("runs/leaderboard.sqlite").rows() == [other]
    assert [path.name for path in Path("runs/tiny").iterdir()] == ["expert"]
    assert Path("precious/mine").exists()
    with pytest.raises(InvalidInput, match="run must be the folder of one, or the id of one"):
        keeping.remove_run(row.run_id, "runs")


def test_a_row_whose_folder_is_gone_is_removed_by_its_id(tiny: Path) -> None:
    row = runner.run(tiny, "random", root="runs")
    shutil.rmtree(row.folder)
    assert keeping.remove_run(row.run_id, "runs") == f"the row of {row.run_id}, whose folder is gone"
    assert Leaderboard("runs/leaderboard.sqlite").rows() == []


def test_a_relabelled_run_keeps_its_label_in_plan_result_and_row(tiny: Path) -> None:
    row = runner.run(tiny, "random", root="runs")
    keeping.relabel_run(row.run_id, "by chance", "runs")
    assert [standing.label for standing in leaderboard("tiny", root="runs")] == ["by chance"]
    assert runner.read_plan(row.folder).label == "by chance"
    assert runner.resume(row.folder).label == "by chance"
    keeping.relabel_run(row.run_id, None, "runs")
    assert [standing.label for standing in leaderboard("tiny", root="runs")] == ["random"]


def test_exported_rows_hold_what_the_leaderboard_does(tiny: Path) -> None:
    rows = [runner.run(tiny, name, root="runs") for name in ("random", "expert")]
    for ending in ("csv", "json", "jsonl"):
        assert keeping.export_rows(f"out.{ending}", "runs") == 2
    told = json.loads(Path("out.json").read_text())
    assert [one["run_id"] for one in told] == [row.run_id for row in rows]
    assert [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()] == told
    with Path("out.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [float(line["metric.accuracy"]) for line in lines] == [row.metrics["accuracy"] for row in rows]
    assert [line["label"] for line in lines] == ["random", "expert"]
    with pytest.raises(InvalidInput, match="export must end in"):
        keeping.export_rows("out.xls", "runs")


def test_a_run_that_names_code_can_be_listed_and_removed_but_not_used(tiny: Path) -> None:
    folder = Path(runner.run(tiny, "random", root="runs").folder)
    text = (folder / "run.yaml").read_text()
    (folder / "run.yaml").write_text(
        text.replace("environment: palaestra/TabularBandit-v0", "environment: antigravity:X")
    )
    with pytest.raises(InvalidInput, match="names code to import"):
        runner.resume(folder)
    assert len(keeping.kept_runs("runs")) == 1
    keeping.remove_run(folder, "runs")
    assert not folder.exists()


def test_what_is_only_reported_makes_no_other_configuration_and_no_other_label(tiny):
    given = {"scenario": {"name": "x"}, "agent": "ppo", "steps": 5, "version": "0.1"}
    plain = configuration(**given, config={"gamma": 0.9, "report_norms": False})
    assert configuration(**given, config={"gamma": 0.9, "report_norms": True}) == plain
    assert configuration(**given, config={"gamma": 0.8, "report_norms": True}) != plain
    assert configuration(**given, config={"gamma": 0.9}) != plain  # an agent without the setting
    quiet, loud = (runner.run(tiny, steps=0, root="runs", settings={"report_norms": on}) for on in (False, True))
    assert (quiet.label, quiet.configuration) == (loud.label, loud.configuration)
