"""Assessments: the fixed set, what is run and what is only read, the numbers of a profile, the command."""

import json
import sys
from pathlib import Path

import pytest
from scipy import stats

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios import runner
from palaestra.scenarios.assess import assessing, battery, profile
from palaestra.scenarios.assess.battery import ENDS, YARDSTICKS, Contender
from palaestra.scenarios.board import Leaderboard, Row
from palaestra.scenarios.main import main
from palaestra.scenarios.sweep.cells import Cell
from palaestra.scenarios.sweep.workers import Workers

CAPABILITIES = [
    "perception", "attention", "memory", "language", "generation", "robustness", "calibration", "adaptation",
    "control", "imitation",
]  # fmt: skip


class Inline(Workers):
    """The same, without another process, which takes its time to start."""

    def next(self) -> tuple[int, Cell]:
        place, task = self._waiting.popleft()
        return place, self.work(task)


@pytest.fixture
def small(tiny: Path, tiny_memory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[battery.Item]:
    """A set of two scenarios, done in this process; only the second is quick."""
    file = tmp_path / "battery.yaml"
    file.write_text(f"perception:\n  - {{scenario: {tiny}}}\nmemory:\n  - {{scenario: {tiny_memory}, quick: 512}}\n")
    monkeypatch.setattr(battery, "FILE", file)
    monkeypatch.setattr(assessing, "Workers", Inline)
    monkeypatch.chdir(tmp_path)
    return battery.battery(quick=False)


def test_the_set_covers_ten_capabilities_and_the_quick_one_has_a_scenario_of_each() -> None:
    whole, quick = battery.battery(quick=False), battery.battery(quick=True)
    assert list(dict.fromkeys(item.capability for item in whole)) == CAPABILITIES
    assert [item.capability for item in quick] == CAPABILITIES
    names = [item.scenario.name for item in whole]
    assert len(set(names)) == len(names)
    assert {item.scenario.name for item in quick} <= set(names)
    assert all(item.steps == item.scenario.steps for item in whole)


def test_a_learner_has_a_run_for_each_seed_and_all_others_have_one(small, tmp_path: Path) -> None:
    found = assessing.cells((*YARDSTICKS, *ENDS), small, 3, tmp_path, "cpu")
    count = {one.label: sum(cell.label == one.label for cell in found) for one in (*YARDSTICKS, *ENDS)}
    assert count == {"ppo with memory": 6, "ppo without memory": 6, "expert": 2, "random": 2}


def test_what_is_finished_is_only_read_and_what_was_stopped_goes_on(small, tmp_path: Path) -> None:
    contender = Contender("ppo", {"hidden": [8]}, "mine")
    found = assessing.cells((contender,), small[1:], 1, tmp_path, "cpu")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(runner.Stopped):
        runner.run(small[1].scenario, "ppo", settings={"hidden": [8]}, label="mine", root=tmp_path, on_report=stop)
    assert assessing.estimate(found).missing == 1
    assert assessing.estimate(found).seconds > 0
    (done,) = assessing.assess(found, 1)
    (folder,) = (tmp_path / "tiny-memory/ppo").iterdir()
    assert (done.state, Path(done.folder).name) == ("finished", folder.name)
    assert assessing.estimate(found) == assessing.Estimate(0, 0.0)
    assert assessing.assess(found, 1) == [done]


def test_an_agent_that_is_not_for_a_scenario_fails_there_and_only_there(small, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    found = assessing.cells((Contender("sac"), Contender("random")), small[:1], 1, tmp_path, "cpu")
    cells = assessing.assess(found, 1, lambda cell, done, total: told.append((cell.state, done, total)))
    assert [cell.state for cell in cells] == ["failed", "finished"]
    assert cells[0].error.startswith("InvalidInput: sac: action space must be Box")
    assert told == [("failed", 1, 2), ("finished", 2, 2)]


def row(label: str, scenario: str, seed: int, score: float) -> Row:
    agent = label if label in ("expert", "random") else "ppo"
    return Row(
        f"{label}-{scenario}-{seed}".replace(" ", "_"), scenario, agent, seed, 100, 10, score, 0.0, score, {}, 1.0,
        f"{scenario}/{agent}/{seed}", "2026-01-31T12:00:00+00:00", "0.1.0", f"{label} {scenario}", label,
    )  # fmt: skip


def test_a_profile_is_the_interquartile_mean_of_each_capability_with_its_coverage(small) -> None:
    scores = [0.1, 0.5, 0.7, 0.9]
    rows = [row("mine", "tiny", seed, score) for seed, score in enumerate(scores)]
    rows += [row("other", "tiny", 0, 0.2), row("other", "tiny-memory", 0, 0.4), row("expert", "tiny", 0, 1.0)]
    rows += [row("mine", "elsewhere", 0, 9.0)]
    found = profile.profiles(rows, small)
    assert list(found)[-1] == "expert"
    level = found["mine"]["perception"]
    assert level.score == pytest.approx(stats.trim_mean(scores, 0.25)) == 0.6
    assert 0.1 <= level.low < 0.6 < level.high <= 0.9
    assert "memory" not in found["mine"]
    assert (found["mine"]["all"].scenarios, found["mine"]["all"].of) == (1, 2)
    assert found["other"]["all"].score == pytest.approx(0.3)
    lines = profile.lines(found, small, (Contender("ppo", label="mine"),))
    assert [line["capability"] for line in lines] == ["perception", "memory", "all"]
    assert list(lines[0]) == ["capability", "mine", "other", "expert"]
    assert (lines[1]["mine"], lines[1]["other"], lines[2]["expert"]) == ("–", "0.40", "1.00 on 1/2")


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["palaestra", "assess", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_the_command_estimates_runs_shows_and_writes_a_page(small, monkeypatch, capsys) -> None:
    options = ("--agent", "ppo", "--set", "memory=gru", "--quick", "--seeds", 1, "--jobs", 1)
    assert command(monkeypatch, *options, "--estimate") == 0
    assert capsys.readouterr().out.startswith("3 runs of 3 to do: about ")
    assert command(monkeypatch, *options) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].split("  ") == ["capability", "ppo memory=gru", "expert", "random"]
    assert [line.split()[0] for line in lines[1:3]] == ["memory", "all"]
    assert lines[-1] == "wrote runs/assess/quick/profile.html"
    assert "3/3 random · tiny-memory · seed 0: score " in err
    page = Path("runs/assess/quick/profile.html").read_text()
    assert '"tags":["memory"]' in page
    (trained,) = Path("runs/assess/quick/tiny-memory/ppo").iterdir()
    assert command(monkeypatch, *options, "--json", "--beside", trained) == 0
    out, err = capsys.readouterr()
    assert err.startswith("no runs of 3 to do\n")
    found = {(one["contender"], one["capability"]): one["score"] for one in json.loads(out)}
    (again,) = (found[key] for key in found if key[0].startswith("ppo memory=gru (") and key[1] == "memory")
    assert again == found["ppo memory=gru", "memory"]
    assert found["expert", "memory"] == pytest.approx(1.0)
    assert len(Leaderboard("runs/assess/quick/leaderboard.sqlite").rows()) == 3


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--set", "memory=gru"], "--set and --label are of an agent; name it with --agent"),
        (["--agent", "ppo", "--out", "a.png"], "out must end in .html; got 'a.png'"),
        (["--agent", "pppo"], "agent must be one of "),
        (["--agent", "ppo", "--set", "memry=gru"], "PPOConfig: key must be one of "),
        (["--beside", "nowhere"], "run must be the folder of one, or the id of one in runs; got 'nowhere'"),
    ],
)
def test_what_cannot_be_assessed_is_told_in_one_line(small, monkeypatch, capsys, arguments, told) -> None:
    assert command(monkeypatch, *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"palaestra: {told}")
    assert not Path("runs").exists()


def test_runs_of_other_scenarios_and_unfinished_ones_are_not_shown_beside(small, tiny: Path, tmp_path: Path) -> None:
    done = runner.run(tiny, "random", root=tmp_path / "other")
    folder = Path(done.folder)
    (shown,) = profile.beside([str(folder)], small, tmp_path)
    assert shown.row.label == f"random ({done.run_id})"
    assert shown.plan.scenario.tags == ["perception"]
    with pytest.raises(InvalidInput, match="is on tiny, which is none of the scenarios here: tiny-memory"):
        profile.beside([str(folder)], small[1:], tmp_path)
    (folder / "result.json").unlink()
    with pytest.raises(InvalidInput, match="is not finished"):
        profile.beside([str(folder)], small, tmp_path)
