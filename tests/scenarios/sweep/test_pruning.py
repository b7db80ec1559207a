"""Runs of a sweep that are ended early: which, and where, by the rules in plain Python."""

import sys
from pathlib import Path
from statistics import median
from types import SimpleNamespace

import pytest

from palaestra.neural_blocks.errors import InvalidInput
from palaestra.scenarios import catalogue
from palaestra.scenarios.main import main
from palaestra.scenarios.sweep import cells, engines, sweeping
from palaestra.scenarios.sweep.space import parse_space
from palaestra.tests.scenarios.sweep.test_sweep import Inline

CHECKS = 10


def curve(settings: dict) -> list[float]:
    """What ten checks of a run would find: the better gamma, the higher; late ones begin low."""
    best = 1 - abs(settings["gamma"] - 0.7)
    return [best * (place / CHECKS) ** (1 + settings["gamma"]) for place in range(1, CHECKS + 1)]


def falls_short(kind: str, so_far: list[float], others: list[list[float]]) -> bool:
    """Whether a run ends here. `others` are the curves of those before it, as far as they went."""
    place = len(so_far)
    if kind == "median":
        finished = [one for one in others if len(one) == CHECKS]
        return len(finished) >= 5 and max(so_far) < median(one[place - 1] for one in finished)
    if place not in (1, 2, 4, 8):
        return False
    there = sorted([so_far[-1], *(one[place - 1] for one in others if len(one) >= place)], reverse=True)
    return so_far[-1] < there[max(len(there) // 2, 1) - 1]


@pytest.mark.parametrize("kind", ["median", "halving"])
def test_runs_end_early_where_the_rule_says_so(kind: str, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna", reason="needs Optuna, which the extra 'sweep' brings")
    played: list[list[float]] = []

    def stub(*_: object, settings: dict, on_report, **__: object) -> SimpleNamespace:
        values = curve(settings)
        if on_report is None:  # one that is reported
            return SimpleNamespace(score=1.0, return_mean=values[-1], folder="")
        played.append([])
        for place, value in enumerate(values, 1):
            played[-1].append(value)
            on_report(100 * place - 50, 100 * CHECKS, {"loss": 1.0})  # a report without a check
            on_report(100 * place, 100 * CHECKS, {"evaluation_return": value})
        return SimpleNamespace(score=1.0, return_mean=values[-1], folder="")

    monkeypatch.setattr(engines, "Workers", Inline)
    monkeypatch.setattr(cells, "run", stub)
    sweep = lambda samples: sweeping.sweep(  # noqa: E731
        [catalogue.get(tiny)], ["ppo"], parse_space(["gamma=linear(0,1)"]), seeds=1, method="optuna", samples=samples,
        prune=kind, root="runs",
    )  # fmt: skip
    (found,) = sweep(16)
    tried = [cell for cell in found.cells if cell.stage == "tuning"]
    expected: list[list[float]] = []
    for cell in tried:
        values, so_far = curve(cell.settings), []
        for value in values:
            so_far.append(value)
            if len(so_far) < CHECKS and falls_short(kind, so_far, expected):
                break
        expected.append(so_far)
    assert played == expected
    assert [cell.state for cell in tried] == ["finished" if len(one) == CHECKS else "pruned" for one in expected]
    assert [cell.return_mean for cell in tried] == [one[-1] for one in expected]
    whole = [cell for cell in tried if cell.state == "finished"]
    assert 0 < len(whole) < 13
    assert found.chosen == max(whole, key=lambda cell: cell.return_mean).settings
    assert len(played) == 16
    sweep(16)
    assert len(played) == 16  # those that were ended early count as tried


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--search", "random"), "prune needs the search 'optuna', whose study compares runs; got 'random'"),
        (("--search", "optuna", "--tuning-seeds", "2"), "prune needs tuning_seeds 1, so that a run is a trial; got 2"),
    ],
)
def test_runs_are_ended_early_within_a_study_alone(words, message, tiny: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(
        sys, "argv", ["palaestra", "sweep", str(tiny), "--set", "gamma=0.5,0.9", "--prune", "median", *words]
    )
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
    with pytest.raises(InvalidInput, match="prune must be one of 'median', 'halving'; got 'mediam'"):
        sweeping.sweep([catalogue.get(tiny)], [], parse_space(["gamma=0.5,0.9"]), method="optuna", prune="mediam")
