"""A run that leaves the numbers stops, says where, keeps its last good checkpoint, and has no row."""

import json
import math
from pathlib import Path

import pytest
import torch

from palaestra.agents.core.checkpoint import not_finite, read_checkpoint
from palaestra.agents.policy_gradient.ppo import PPO
from palaestra.neural_blocks.errors import Diverged
from palaestra.scenarios import runner
from palaestra.scenarios.board import Leaderboard
from palaestra.scenarios.runner.folder import strict


def spoiling(monkeypatch: pytest.MonkeyPatch, at: int, spoil) -> None:
    """Lets PPO's learning go wrong in one iteration, without its own noticing."""
    learn = PPO.learn

    def learning(self, env, steps):
        for count, report in enumerate(learn(self, env, steps), 1):
            yield spoil(self, report) if count == at else report

    monkeypatch.setattr(PPO, "learn", learning)


def nan_weight(agent: PPO, report: dict[str, float]) -> dict[str, float]:
    with torch.no_grad():
        next(iter(agent.network.parameters())).fill_(math.nan)
    return report


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (nan_weight, "learning diverged at iteration 5: network."),
        (lambda _, report: report | {"policy_loss": math.inf}, "learning diverged at iteration 5: policy_loss is inf"),
        (lambda _, report: report | {"entropy": math.nan}, "learning diverged at iteration 5: entropy is nan"),
    ],
)
def test_a_run_that_diverges_has_no_row_and_keeps_its_last_good_checkpoint(
    tiny: Path, monkeypatch, spoil, told
) -> None:
    spoiling(monkeypatch, 5, spoil)
    with pytest.raises(Diverged) as caught:
        runner.run(tiny, root="runs", checkpoint_seconds=0)
    (folder,) = Path("runs/tiny/ppo").iterdir()
    assert str(caught.value).startswith(told)
    assert f"the last good checkpoint is kept: {folder / 'checkpoint.pt'}" in str(caught.value)
    assert Leaderboard("runs/leaderboard.sqlite").rows() == []
    assert not (folder / "result.json").exists()
    assert read_checkpoint(folder / "checkpoint.pt")["state"]["steps"] == 4 * 128
    assert runner.score_run(folder).steps == 4 * 128


def test_weights_that_spoil_at_the_very_end_are_not_saved(tiny: Path, monkeypatch) -> None:
    spoiling(monkeypatch, 16, nan_weight)
    with pytest.raises(Diverged, match="iteration 16"):
        runner.run(tiny, root="runs", checkpoint_seconds=1000)
    (folder,) = Path("runs/tiny/ppo").iterdir()
    assert read_checkpoint(folder / "checkpoint.pt")["state"]["steps"] < 2048
    assert not_finite(runner.load_agent(folder, _env(folder))) is None


def test_a_learner_s_own_word_is_passed_on(tiny: Path, monkeypatch) -> None:
    def spoil(agent: PPO, report: dict[str, float]) -> dict[str, float]:
        raise Diverged(5, "gradient", math.nan)

    spoiling(monkeypatch, 5, spoil)
    with pytest.raises(Diverged, match=r"iteration 5: gradient is nan; the last good checkpoint is kept: .*checkpoint"):
        runner.run(tiny, root="runs")


def test_metrics_are_strict_json_whatever_a_report_holds(tiny: Path, monkeypatch) -> None:
    odd = {"explained_variance": math.nan, "bound": math.inf, "count": torch.tensor(3.0), "whole": 2}
    spoiling(monkeypatch, 3, lambda _, report: report | odd)
    folder = Path(runner.run(tiny, root="runs").folder)

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    lines = [json.loads(line, parse_constant=refuse) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert {name: lines[2][name] for name in odd} == {
        "explained_variance": None, "bound": None, "count": 3.0, "whole": 2.0,
    }  # fmt: skip
    json.loads((folder / "result.json").read_text(), parse_constant=refuse)
    assert strict({"a": -math.inf}) == b'{"a": null}\n'
    assert not_finite(runner.load_agent(folder, _env(folder))) is None


def _env(folder: Path):
    from palaestra.scenarios.environments import make_environment

    return make_environment(runner.read_plan(folder).scenario, 4)
