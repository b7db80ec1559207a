"""Sweeps: what is tried, where it is scored, what is kept, and what dies."""

import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios import catalogue, runner
from palaestra.scenarios.board import Leaderboard
from palaestra.scenarios.main import main
from palaestra.scenarios.sweep import engines, sweeping
from palaestra.scenarios.sweep.cells import Cell, do, for_tuning
from palaestra.scenarios.sweep.searching import Listed, Optuna
from palaestra.scenarios.sweep.space import grid, parse_space, random_search
from palaestra.scenarios.sweep.workers import Died, Workers
from palaestra.tests.scenarios.sweep.dying import squared


class Inline(Workers):
    """The same, without another process, which takes its time to start."""

    def next(self) -> tuple[int, Cell]:
        place, task = self._waiting.popleft()
        return place, self.work(task)


def test_a_grid_is_every_combination_and_a_range_is_spread_evenly() -> None:
    space = parse_space(
        ["learning_rate=log(1e-4,1e-2)", "memory=gru,null", "hidden=[64],[64, 64]", "gamma=linear(0,1,5)"]
    )
    assert space["learning_rate"].values == (1e-4, 1e-3, 1e-2)
    assert space["memory"].values == ("gru", None)
    assert space["hidden"].values == ([64], [64, 64])
    assert space["gamma"].values == (0, 0.25, 0.5, 0.75, 1)
    assert len(grid(space)) == 3 * 2 * 2 * 5
    assert grid(parse_space(["a=1,2", "b=x,y"])) == [
        {"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "x"}, {"a": 2, "b": "y"},
    ]  # fmt: skip
    assert grid({}) == [{}]


def test_a_random_search_repeats_itself_and_spreads_over_the_logarithms() -> None:
    space = parse_space(["learning_rate=log(1e-4,1e-2)", "memory=gru,lstm"])
    drawn = random_search(space, 400)
    assert random_search(space, 100) == drawn[:100]
    rates = np.log10([one["learning_rate"] for one in drawn])
    assert -4 <= rates.min() <= rates.max() <= -2
    assert rates.mean() == pytest.approx(-3, abs=0.1)
    assert rates.std() == pytest.approx(2 / np.sqrt(12), abs=0.06)
    assert 150 < sum(one["memory"] == "gru" for one in drawn) < 250
    assert len(random_search(parse_space(["memory=gru,lstm"]), 50)) == 2  # what was drawn before is not tried again


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("gamma", "--set must be key=value"),
        ("a=log(0,1)", "needs 0 < low < high"),
        ("a=linear(2,1)", "needs low < high and 2 points"),
        ("a=log(x,1)", r"must have two numbers; got 'x, 1'"),
    ],
)
def test_wrong_spaces_are_refused(pair: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        parse_space([pair])


def test_of_listed_settings_the_best_is_chosen_and_a_failed_one_never() -> None:
    search = Listed([{"a": 1}, {"a": 2}, {"a": 3}, {"a": 4}])
    for value in (0.1, None, 0.7, 0.7):
        number, _ = search.ask()
        search.tell(number, value)
    assert search.ask() is None
    assert search.best == {"a": 3}


def test_a_task_whose_process_is_killed_is_given_to_another(tmp_path: Path) -> None:
    numbers = [1, -2, 3, -99, 5]
    with Workers(squared, jobs=2) as workers:
        results = dict(workers.all([(str(tmp_path), number) for number in numbers]))
    assert sorted(results) == [0, 1, 2, 3, 4]  # none lost, none doubled
    assert [results[k][0] for k in (0, 1, 2, 4)] == [1, 4, 9, 25]
    assert isinstance(results[3], Died)
    assert str(results[3]) == "its process died 3 times (exit code -9)"
    assert os.getpid() not in {results[k][1] for k in (0, 1, 2, 4)}


def test_what_is_tried_is_scored_on_validation_data_and_on_the_evaluations_scale() -> None:
    own = catalogue.get("digits")
    tuned = for_tuning(own)
    assert tuned.evaluation_options == {"split": "validation"}
    assert (own.evaluation_options, own.options) == ({"split": "test"}, tuned.options)
    assert tuned.evaluation.episodes == own.evaluation.episodes
    assert tuned.reference.expert == 1


def test_a_sweep_chooses_on_validation_reports_on_test_and_does_only_what_is_missing(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = catalogue.get(tiny)
    space = parse_space(["learning_rate=1e-9,1e-2", "gamma=0.5"])
    told: list[tuple[int, int]] = []

    def again(jobs: int) -> list:
        told.clear()
        return sweeping.sweep([scenario], ["ppo", "nobody"], space, seeds=2, steps=1024, jobs=jobs, root="runs",
                     on_cell=lambda _, done, total: told.append((done, total)))  # fmt: skip

    ppo, nobody = again(1)
    assert ppo.chosen == {"learning_rate": 1e-2, "gamma": 0.5}
    cells = [(cell.stage, cell.seed, cell.settings["learning_rate"], cell.state) for cell in ppo.cells]
    assert sorted(cells) == [
        ("reporting", 0, 1e-2, "finished"), ("reporting", 1, 1e-2, "finished"),
        ("tuning", 100, 1e-9, "finished"), ("tuning", 100, 1e-2, "finished"),
    ]  # fmt: skip
    assert nobody.chosen is None
    assert {cell.state for cell in nobody.cells} == {"failed"}
    assert all("'nobody'" in cell.error for cell in nobody.cells)
    assert told[-1] == (6, 8)
    rows = Leaderboard("runs/leaderboard.sqlite").rows()
    assert sorted((row.seed, row.label) for row in rows) == [
        (seed, "ppo steps=1024 learning_rate=0.01 gamma=0.5") for seed in (0, 1)
    ]
    tried = [runner.read_plan(cell.folder).scenario for cell in ppo.cells if cell.stage == "tuning"]
    assert {one.evaluation_options["split"] for one in tried} == {"validation"}
    kept = json.loads(next(Path("runs/sweeps").glob("*.json")).read_text())
    assert len(kept) == 6
    assert {cell["state"] for cell in kept if cell["agent"] == "ppo"} == {"finished"}

    gone = next(row for row in rows if row.seed == 1)
    shutil.rmtree(gone.folder)
    Leaderboard("runs/leaderboard.sqlite").remove(gone.run_id)
    monkeypatch.setattr(engines, "Workers", Inline)
    later = again(1)[0]
    assert later.chosen == ppo.chosen
    known = {cell.folder for cell in ppo.cells}
    (made,) = [cell for cell in later.cells if cell.folder not in known]
    assert (made.stage, made.seed, made.return_mean) == ("reporting", 1, gone.return_mean)


def command(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["palaestra", "sweep", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code)


def test_the_command_lists_failed_cells_with_their_errors(tiny: Path, monkeypatch, capsys) -> None:
    assert command(monkeypatch, tiny, "--agents", "nobody", "--set", "gamma=0.5,0.9", "--seeds", 1, "--json") == 0
    out, err = capsys.readouterr()
    cells = json.loads(out)
    assert [(cell["stage"], cell["settings"], cell["state"]) for cell in cells] == [
        ("tuning", {"gamma": 0.5}, "failed"), ("tuning", {"gamma": 0.9}, "failed"),
    ]  # fmt: skip
    assert all(cell["error"].endswith("; got 'nobody'") for cell in cells)
    assert "2/3 tuning: tiny · nobody gamma=0.9 · seed 100: InvalidInput: agent must be one of" in err
    assert command(monkeypatch, tiny, "--agents", "nobody", "--set", "gamma=0.5,0.9") == 2
    assert "every run has failed of nobody on tiny" in capsys.readouterr().err


def test_a_sweep_that_is_stopped_says_how_it_goes_on(tiny: Path, monkeypatch, capsys) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sweeping, "begun", stopped)
    assert command(monkeypatch, tiny) == 130
    assert capsys.readouterr().err == (
        f"palaestra: stopped; what was trained is saved. Carry on with: palaestra sweep {tiny}\n"
    )


def test_a_cell_that_was_stopped_goes_on_and_one_that_fails_tells_why(tiny: Path) -> None:
    cell = Cell(catalogue.get(tiny), "ppo", {}, 0, 512, Path("runs"), "reporting")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(runner.Stopped):
        runner.run(cell.scenario, "ppo", steps=512, root="runs", on_report=stop)
    (folder,) = Path("runs/tiny/ppo").iterdir()
    done = do(cell)
    assert (done.state, Path(done.folder)) == ("finished", folder)
    assert do(cell) == done
    failed = do(replace(cell, settings={"gama": 0.5}))
    assert failed.state == "failed"
    assert failed.error.startswith("InvalidInput: PPOConfig: key must be one of ")
    assert failed.error.endswith("; got 'gama' (did you mean 'gamma'?)")


def test_optuna_finds_a_planted_optimum_and_processes_share_a_study(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="needs Optuna, which the extra 'sweep' brings")
    space = parse_space(["learning_rate=log(1e-5,1e-1)", "memory=gru,lstm", "hidden=[64],[64, 64]"])

    def value(settings: dict) -> float:
        return -((np.log10(settings["learning_rate"]) + 3) ** 2) - (settings["memory"] == "gru")

    def work(search: Optuna, most: int) -> int:
        count = 0
        while count < most and (asked := search.ask()) is not None:
            number, settings = asked
            search.tell(number, None if number == 0 else value(settings))
            count += 1
        return count

    one, other = (Optuna("study", space, 40, tmp_path / "optuna.journal") for _ in range(2))
    assert work(one, 15) == 15
    assert work(other, 100) == 25
    assert work(one, 100) == 0
    assert one.best == other.best
    assert one.best["memory"] == "lstm"
    assert one.best["hidden"] in ([64], [64, 64])
    assert abs(np.log10(one.best["learning_rate"]) + 3) < 0.4
