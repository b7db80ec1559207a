"""Early stopping: by patience or at a target, in a run that is killed and goes on, and in what is told of it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios import leaderboard, runner
from palaestra.scenarios.main import app
from palaestra.scenarios.report.runs import command
from palaestra.scenarios.runner import carrying_out
from palaestra.tests.scenarios.conftest import learned
from palaestra.tests.scenarios.runner.test_stopping import after

TOLD = [0.1, 0.5, 0.4, 0.5, 0.6, 0.6, 0.2, 0.3, 0.9, 1.0]  # 3 are not better than 0.6, the fifth


def told(monkeypatch: pytest.MonkeyPatch, returns: list[float]) -> None:
    given = iter(returns)
    monkeypatch.setattr("palaestra.scenarios.runner.checks.check", lambda *_: next(given))


def seen(folder: str | Path) -> list[float]:
    return [line["evaluation_return"] for line in learned(folder) if "evaluation_return" in line]


def test_training_ends_when_no_check_was_better_for_as_long_as_its_patience(tiny: Path, monkeypatch) -> None:
    told(monkeypatch, TOLD)
    row = runner.run(tiny, root="runs", early_stopping={"patience": 3})
    assert seen(row.folder) == TOLD[:8]
    assert learned(row.folder)[-1]["stopped_by_patience"] == 1.0
    assert row.steps == learned(row.folder)[-1]["steps"] == 1664  # the first iteration of 128 after 8 tenths of 2048
    (standing,) = leaderboard("tiny", root="runs")
    assert (standing.steps, standing.label) == (1664, "ppo patience=3")


def test_training_ends_at_its_target_and_otherwise_takes_all_its_steps(tiny: Path, monkeypatch) -> None:
    told(monkeypatch, TOLD)
    row = runner.run(tiny, root="runs", early_stopping={"target": 0.5, "checks": 10})
    assert (seen(row.folder), row.steps) == (TOLD[:2], 512)
    told(monkeypatch, TOLD)
    whole = runner.run(tiny, root="runs", early_stopping={"target": 1.5})
    assert (seen(whole.folder), whole.steps) == (TOLD, 2048)
    told(monkeypatch, TOLD)
    assert len({row.configuration, whole.configuration, runner.run(tiny, root="runs").configuration}) == 3


def test_a_killed_run_waits_as_long_as_one_that_was_not(tiny: Path, monkeypatch) -> None:
    told(monkeypatch, TOLD)
    whole = runner.run(tiny, root="whole", early_stopping={"patience": 3}, checkpoint_seconds=0)

    def die() -> None:
        raise RuntimeError("killed")

    told(monkeypatch, TOLD)
    with pytest.raises(RuntimeError, match="killed"):  # one check after the best one, before that check is saved
        runner.run(tiny, root="runs", early_stopping={"patience": 3}, checkpoint_seconds=0, on_report=after(10, die))
    (folder,) = Path("runs/tiny/ppo").iterdir()
    told(monkeypatch, TOLD[5:])
    row = runner.resume(folder)
    assert (learned(folder), row.return_mean) == (learned(whole.folder), whole.return_mean)


def test_a_run_that_ended_early_is_scored_once_and_goes_on_with_more_steps(tiny: Path, monkeypatch) -> None:
    told(monkeypatch, TOLD)
    rules, scored = {"target": 0.5}, carrying_out.score_agent
    monkeypatch.setattr("palaestra.scenarios.runner.carrying_out.score_agent", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        runner.run(tiny, root="runs", early_stopping=rules)
    monkeypatch.setattr("palaestra.scenarios.runner.carrying_out.score_agent", scored)
    (folder,) = Path("runs/tiny/ppo").iterdir()
    assert runner.resume(folder).steps == 512  # scored as it stood
    told(monkeypatch, [0.2, 0.1, 0.0, 0.7])
    longer = runner.resume(folder, steps=4096)
    assert seen(folder)[:4] == [*TOLD[:2], 0.2, 0.1]
    assert longer.steps == learned(folder)[-1]["steps"] > 1024


def test_the_command_says_why_and_the_report_tells_the_command(tiny: Path, monkeypatch) -> None:
    told(monkeypatch, TOLD)
    result = CliRunner().invoke(app, ["train", str(tiny), "--patience", "1", "--checks", "10"])
    assert result.exit_code == 0
    assert "stopped early, after 640 of 2,048 steps: no check on the validation options was better" in result.stderr
    (folder,) = Path("runs/tiny/ppo").iterdir()
    plan = runner.read_plan(folder)
    assert command(plan, None, folder).endswith("--agent ppo --patience 1 --checks 10")
    assert json.loads((folder / "result.json").read_text())["steps"] == 640
    refused = CliRunner().invoke(app, ["train", str(tiny), "--patience", "1", "--together", "--seeds", "2"])
    assert refused.exit_code == 2
    assert "--together goes without --patience" in refused.stderr


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"patience": 0}, r"early stopping: patience .* 1.*; got 0"),
        ({"target": "high"}, "early stopping: target .*; got 'high'"),
        ({"checks": 5}, "early stopping: .*patience or a target"),
        ({"patients": 3}, "early stopping: .*patience"),
    ],
)
def test_wrong_rules_are_refused_in_one_line(tiny: Path, rules, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        runner.run(tiny, root="runs", early_stopping=rules)
    assert "\n" not in str(caught.value)
    with pytest.raises(InvalidInput, match="'random' does not learn"):
        runner.run(tiny, "random", root="runs", early_stopping={"patience": 2})
    assert not Path("runs").exists()
